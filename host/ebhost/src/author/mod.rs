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
    io,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

pub use command::Command;

use crate::agent::{OfflineError, SingleError};
use ebhost_package::{Package, PackageError};
use ebhost_plugin_host::{Compiler, ComponentError, Engine};
use ebhost_series::Misfit;

/// Why a command did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
enum AuthorError {
    #[error(
        "{path}: found no package; expected a folder with a plugin.yaml, or that file itself; `ebhost new NAME` makes one"
    )]
    NoPackage { path: PathBuf },
    #[error(transparent)]
    Package(#[from] PackageError),
    #[error("the compiler's process cannot be started: {0}")]
    Compiler(io::Error),
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
    Unwritable { path: PathBuf, error: io::Error },
    #[error("the maps could not be read in time; try again, or with a longer --for")]
    Late,
    #[error("signals cannot be waited for: {0}")]
    Signals(io::Error),
    #[error("standard output: {0}")]
    Output(io::Error),
}

/// Runs one command. The exit status is 0, 1 where it found something wrong, 2 where it could not do its work.
///
/// A component is compiled by the process that bounds it: authors check what others wrote, too.
pub fn run(command: &Command, cache: Option<&Path>, compiler: io::Result<Compiler>) -> ExitCode {
    let engine = || {
        let compiler = compiler.map_err(AuthorError::Compiler)?;
        Ok(Engine::new(cache, Some(Arc::new(compiler)))?)
    };
    let done = match command {
        Command::Check(asked) => engine().and_then(|engine| check::check(asked, &engine)),
        Command::Record(asked) => engine().and_then(|engine| record::record(asked, &engine)),
        Command::Replay(asked) => engine().and_then(|engine| replay::replay(asked, &engine)),
        Command::Run(asked) => engine().and_then(|engine| watch::watch(asked, &engine)),
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
