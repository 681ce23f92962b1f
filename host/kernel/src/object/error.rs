//! Why a file is not a BPF object that can be loaded, or does not have what plugin.yaml names.

use std::path::PathBuf;

use crate::attach::SECTIONS;

/// Why a file is not a BPF object that can be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    #[error(
        "{path}: is not an ELF file that can be read ({error}): truncated? expected what `clang -target bpf -g -O2 -c` makes"
    )]
    NotElf {
        path: PathBuf,
        #[source]
        error: object::Error,
    },
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

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
