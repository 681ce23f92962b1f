//! Why a file is not a BPF object that can be loaded, or does not have what plugin.yaml names.

use std::path::PathBuf;

use crate::attach::SECTIONS;

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
        "{path}: program `{program}` is in section `{section}`, which is not known; expected one of {}",
        SECTIONS.join(", ")
    )]
    UnknownSection { path: PathBuf, program: String, section: String },
    #[error("{path}: cannot be parsed: {why}")]
    Malformed { path: PathBuf, why: String },
    #[error("{path}: has no program")]
    NoProgram { path: PathBuf },
    #[error(
        "{path}: has no program `{name}`, which `bpf.programs` in plugin.yaml names; it has {}", list(.has)
    )]
    NoSuchProgram { path: PathBuf, name: String, has: Vec<String> },
    #[error("{path}: has no map `{name}`, which {by} names; it has {}", list(.has))]
    NoSuchMap { path: PathBuf, name: String, by: &'static str, has: Vec<String> },
    #[error(
        "{path}: has no global `{name}`, which `bpf.globals` in plugin.yaml sets; it has {} (`const volatile` ones)",
        list(.has)
    )]
    NoSuchGlobal { path: PathBuf, name: String, has: Vec<String> },
    #[error("{path}: global `{name}` is {expected}, found `{found}` for it in plugin.yaml")]
    WrongGlobal { path: PathBuf, name: String, expected: String, found: String },
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
