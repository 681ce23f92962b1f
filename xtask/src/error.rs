//! Errors of the commands: what was found, what was expected, what to try.

use core::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The result of a step of a command.
pub(crate) type Result<T> = core::result::Result<T, Error>;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Error {
    /// There is no such command.
    Usage { found: String, usage: &'static str },
    /// A file or folder could not be read or written.
    File { path: PathBuf, why: io::Error },
    /// A program could not be started.
    Start { program: String, why: io::Error },
    /// A program failed; it has printed the reason.
    Failed { program: String },
    /// A tool is not on PATH.
    Missing { tool: &'static str, remedy: &'static str },
    /// A file does not have the expected format.
    Format { path: PathBuf, why: String },
    /// A component imports something that is not in the contract.
    Import { component: PathBuf, found: String },
    /// The sources of artefacts have changed since they were built.
    Stale { count: usize },
    /// Mutants are made of what is committed.
    Uncommitted { changes: String },
    /// Too few mutants were noticed by a test.
    MutantsMissed { missed: usize, unexplained: usize, all: usize, least_percent: usize },
    /// Tests failed while other programs kept every CPU busy.
    BusyFailed { count: usize },
    /// Rebuilt artefacts differ from the committed ones.
    Different { count: usize, tools: String },
    /// There is no fuzz target with this name.
    FuzzTarget { found: String, expected: String },
}

impl Error {
    /// Adds the path to an I/O error; for `map_err`.
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
            Self::Start { program, why } => write!(f, "`{program}` cannot be started: {why}"),
            Self::Failed { program } => write!(f, "`{program}` failed; its output is above"),
            Self::Missing { tool, remedy } => write!(f, "{tool} is not on PATH: try `{remedy}`"),
            Self::Format { path, why } => write!(f, "{}: {why}", path.display()),
            Self::Import { component, found } => write!(
                f,
                "{}: imports `{found}`, expected only `{}`: try to find the dependency that needs it",
                component.display(),
                crate::component::LOG
            ),
            Self::FuzzTarget { found, expected } => write!(f, "found the target `{found}`, expected one of {expected}"),
            Self::Different { count, tools } => write!(
                f,
                "{count} of the committed artefacts differ from what their sources give ({tools}): try `cargo xtask build`, or the tool \
                 versions that CONTRIBUTING.md names"
            ),
            Self::Uncommitted { changes } => {
                write!(f, "found changes, expected a working tree without any: commit them first\n{changes}")
            }
            Self::MutantsMissed { missed, unexplained, all, least_percent } => write!(
                f,
                "no test notices {missed} of {all} mutants, {unexplained} of them without a reason; expected {least_percent} % to be noticed, and a reason for each of the others: \
                 try a test for each that is listed above, or, if it changes nothing, an entry in xtask/src/mutants/equivalent.txt"
            ),
            Self::BusyFailed { count } => write!(
                f,
                "{count} failures on a busy machine, expected none: try each of these tests by its name; one that only fails here waits for a time instead of what it asserts"
            ),
            Self::Stale { count } => write!(f, "{count} of the committed artefacts are stale: try `cargo xtask build`"),
        }
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::File { why, .. } | Self::Start { why, .. } => Some(why),
            _ => None,
        }
    }
}
