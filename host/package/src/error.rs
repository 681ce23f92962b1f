//! Why a package, or a folder of packages, cannot be used.

use std::{io, path::PathBuf};

use super::{Diagnostic, Mistakes};
use ebhost_limits as limits;

/// Why a package cannot be used. Each message names the file, what was found and what was expected.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    #[error("{path}: cannot be read: {source}; {hint}")]
    Unreadable { path: PathBuf, source: io::Error, hint: &'static str },
    #[error("{0}")]
    Invalid(Diagnostic),
    #[error("{0}")]
    Mistakes(Mistakes),
    #[error("{path}: found {found} bytes, expected at most {most}: is this the right file?")]
    TooLarge { path: PathBuf, found: u64, most: u64 },
}

/// Why the packages of a folder are not known.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error("{path}: cannot be listed: {source}; --plugins takes a folder whose subfolders hold a plugin.yaml each")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error(
        "{path}: found no plugin package; expected subfolders with a plugin.yaml each, such as {path}/biolatency/plugin.yaml"
    )]
    Empty { path: PathBuf },
    #[error("{path}: found {found} packages, expected at most {}: is this the right folder?", limits::PACKAGES)]
    TooMany { path: PathBuf, found: usize },
}
