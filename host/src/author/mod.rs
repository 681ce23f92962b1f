//! The plugin author's commands: `check`, `record`, `replay`, `run`, `new`.
//!
//! `check` and `replay` need no kernel and no privilege; `record` and `run` load BPF programs as the agent does. What they
//! find out goes to standard output, what went wrong to standard error, and the exit status says which it was.

#![allow(clippy::print_stdout, reason = "commands whose output this is")]

mod check;
mod command;
mod cost;
mod findings;
mod fixes;
mod new;
mod purity;
mod record;
mod recording;
mod replay;
mod show;
mod template;
mod wait;
mod watch;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

pub use command::Command;

use crate::{
    agent::{OfflineError, SingleError},
    package::{Package, PackageError},
    plugin::ComponentError,
    series::Misfit,
};

/// Why a command did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
enum AuthorError {
    #[error(
        "{path}: found no package; expected a folder with a plugin.yaml, or that file itself; `ebhost new NAME` makes one"
    )]
    NoPackage { path: PathBuf },
    #[error(transparent)]
    Package(#[from] PackageError),
    #[error(transparent)]
    Engine(#[from] ComponentError),
    #[error(transparent)]
    Offline(#[from] OfflineError),
    #[error(transparent)]
    Single(#[from] SingleError),
    #[error(transparent)]
    Recording(#[from] recording::RecordingError),
    #[error(transparent)]
    Replay(#[from] replay::ReplayError),
    #[error(transparent)]
    New(#[from] new::NewError),
    #[error(
        "{recording}: does not hold what this package's maps hold now ({misfit}): a struct or a map has changed since; record it again"
    )]
    Outgrown { recording: PathBuf, misfit: Misfit },
    #[error("{path}: cannot be written: {error}")]
    Unwritable { path: PathBuf, error: std::io::Error },
    #[error("the maps could not be read in time; try again, or with a longer --for")]
    Late,
    #[error("signals cannot be waited for: {0}")]
    Signals(std::io::Error),
    #[error("standard output: {0}")]
    Output(std::io::Error),
}

/// Runs one command. The exit status is 0, 1 where it found something wrong, 2 where it could not do its work.
pub fn run(command: &Command, cache: Option<&Path>) -> ExitCode {
    let done = match command {
        Command::Check(asked) => check::check(asked, cache),
        Command::Record(asked) => record::record(asked, cache),
        Command::Replay(asked) => replay::replay(asked, cache),
        Command::Run(asked) => watch::watch(asked, cache),
        Command::New(asked) => new::new(asked),
    };
    done.unwrap_or_else(|fault| {
        // One line a fault, without the form of a log: a person reads it.
        eprintln!("ebhost: {fault}");
        ExitCode::from(2)
    })
}

/// The `plugin.yaml` of a package that is named by its folder or by that file.
fn manifest_of(package: &Path) -> Result<PathBuf, AuthorError> {
    let file = if package.is_dir() { package.join("plugin.yaml") } else { package.to_owned() };
    if file.is_file() { Ok(file) } else { Err(AuthorError::NoPackage { path: package.to_owned() }) }
}

fn read(package: &Path) -> Result<Package, AuthorError> {
    Ok(Package::read(&manifest_of(package)?)?)
}
