//! Why a file is not a BPF object that can be loaded, or does not have what plugin.yaml names.

use std::path::PathBuf;

use crate::attach::SECTIONS;
use ebhost_package::did_you_mean;

/// Why a file is not a BPF object that can be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    #[error(
        "{path}: is not an ELF file that can be read ({why}): truncated? expected what `clang -target bpf -g -O2 -c` makes"
    )]
    NotElf { path: PathBuf, why: String },
    #[error(
        "{path}: found an object for {found}, expected one for little-endian BPF: compile with `clang -target bpf`"
    )]
    OtherMachine { path: PathBuf, found: String },
    #[error(
        "{path}: has no BTF (no `.BTF` section), which map and global types are read from: compile with `clang -g`"
    )]
    NoBtf { path: PathBuf },
    #[error(
        "{path}: has no license: expected `char LICENSE[] SEC(\"license\") = \"GPL\";`, or another one, in the program's source; the kernel \
         offers most helper functions to programs under the GPL alone"
    )]
    NoLicense { path: PathBuf },
    #[error(
        "{path}: program `{program}` is in section `{section}`, which is not known; expected one of {}{}",
        SECTIONS.join(", "), meant_section(section)
    )]
    UnknownSection { path: PathBuf, program: String, section: String },
    #[error("{path}: cannot be parsed: {why}")]
    Malformed { path: PathBuf, why: String },
    #[error("{path}: has no program")]
    NoProgram { path: PathBuf },
    #[error(
        "{path}: has no program `{name}`, which `bpf.programs` in plugin.yaml names; it has {}{}", list(.has), meant(name, has)
    )]
    NoSuchProgram { path: PathBuf, name: String, has: Vec<String> },
    #[error("{path}: has no map `{name}`, which {by} names; it has {}{}", list(.has), meant(name, has))]
    NoSuchMap { path: PathBuf, name: String, by: &'static str, has: Vec<String> },
    #[error(
        "{path}: has no global `{name}`, which `bpf.globals` in plugin.yaml sets; it has {} (`const volatile` ones){}",
        list(.has), meant(name, has)
    )]
    NoSuchGlobal { path: PathBuf, name: String, has: Vec<String> },
    #[error(
        "{path}: map `{name}` is storage of tasks, sockets, inodes or cgroups, which has no size; found `max_entries` for it in plugin.yaml: take it \
         out"
    )]
    SizeOfStorage { path: PathBuf, name: String },
    #[error(
        "{path}: map `{name}` is a ring buffer, found `max_entries: {found}` for it in plugin.yaml, expected its bytes: a power of two, {PAGE} or \
         more, such as {}", nearest_ring(*found)
    )]
    SizeOfRing { path: PathBuf, name: String, found: u32 },
    #[error(
        "{path}: map `{name}` is no perf event array, which `perf` in plugin.yaml fills; expected BPF_MAP_TYPE_PERF_EVENT_ARRAY"
    )]
    NotPerfEventArray { path: PathBuf, name: String },
    #[error("{path}: global `{name}` is {expected}, found `{found}` for it in plugin.yaml")]
    WrongGlobal { path: PathBuf, name: String, expected: String, found: String },
}

/// Behind a message: the name that was probably meant.
fn meant(name: &str, has: &[String]) -> String {
    did_you_mean(name, has.iter().map(String::as_str))
}

/// The same for the first part of a section's name, which says what kind of program it is.
fn meant_section(section: &str) -> String {
    let kinds = SECTIONS.iter().flat_map(|known| known.split(", ")).filter_map(|known| known.split(['/', ' ']).next());
    did_you_mean(section.split('/').next().unwrap_or(section), kinds)
}

/// Bytes of a page, of which a ring buffer has a power of two.
pub(super) const PAGE: u32 = 4096;

/// The nearest size that a ring buffer can have.
fn nearest_ring(found: u32) -> u32 {
    found.checked_next_power_of_two().unwrap_or(1 << 31).max(PAGE)
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
