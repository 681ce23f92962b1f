//! Why the location of a probe is not found.

use std::{io, path::PathBuf};

/// Why the location of a probe is not found.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeError {
    /// The file cannot be opened.
    #[error("{path}: cannot be read: {error}{}", hint(.error))]
    Unreadable {
        path: PathBuf,
        #[source]
        error: io::Error,
    },
    #[error("{path}: is not an ELF file: {error}")]
    NotElf {
        path: PathBuf,
        #[source]
        error: object::Error,
    },
    /// There is no such file, function or USDT probe; the text says where it was searched and what there is.
    #[error("{0}")]
    Absent(String),
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "; ebhost reads only files that objects named when it started: start it again, as a user who may read it"
        }
        _ => "",
    }
}
