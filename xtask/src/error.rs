//! What can go wrong in a command: what was found, what was expected, what to try.

use core::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Of this tool.
pub(crate) type Result<T> = core::result::Result<T, Error>;

/// A command's end.
#[derive(Debug)]
pub(crate) enum Error {
    /// Not a command.
    Usage { found: String, usage: &'static str },
    /// A file or folder could not be read or written.
    File { path: PathBuf, why: io::Error },
    /// A program could not be started.
    Start { program: String, why: io::Error },
    /// A program ended with a failure; it has said why.
    Failed { program: String },
    /// A tool is not on PATH.
    Missing { tool: &'static str, remedy: &'static str },
    /// A file is not what its name says.
    Format { path: PathBuf, why: String },
    /// A component imports what the contract does not give.
    Import { component: PathBuf, found: String },
    /// Artefacts are older than their sources.
    Stale { count: usize },
    /// No target of that name.
    FuzzTarget { found: String, expected: String },
}

impl Error {
    /// For `map_err` on what touches a path.
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |why| Self::File { path, why }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage { found, usage } if found.is_empty() => write!(f, "no command; there are\n\n{usage}"),
            Self::Usage { found, usage } => write!(f, "no such command: `{found}`; there are\n\n{usage}"),
            Self::File { path, why } => write!(f, "{}: {why}", path.display()),
            Self::Start { program, why } => write!(f, "`{program}` does not start: {why}"),
            Self::Failed { program } => write!(f, "`{program}` failed; its own words are above"),
            Self::Missing { tool, remedy } => write!(f, "{tool} is not on PATH: try `{remedy}`"),
            Self::Format { path, why } => write!(f, "{}: {why}", path.display()),
            Self::Import { component, found } => write!(
                f,
                "{}: imports `{found}`, expected `{}` alone: try to find which dependency asks for it",
                component.display(),
                crate::component::LOG
            ),
            Self::FuzzTarget { found, expected } => write!(f, "found the target `{found}`, expected one of {expected}"),
            Self::Stale { count } => write!(f, "{count} of the committed artefacts are stale: try `cargo xtask build`"),
        }
    }
}

impl core::error::Error for Error {}
