//! The commands for plugin authors: `check`, `record`, `replay`, `run`, `docs`, `new`, `pack`, `tracepoint`; and `options`, `top`
//! and those for registries ([`fleet`]) for operators.
//!
//! `check` and `replay` need no kernel and no privileges; `record` and `run` load BPF programs as the agent does. Results go to standard
//! output, errors to standard error, and the exit status tells success, findings and errors apart.

#![allow(clippy::print_stdout, reason = "the output of the commands")]

mod check;
mod command;
mod core_check;
mod cost;
mod docs;
mod findings;
mod fixes;
mod interrupt;
mod new;
mod options;
mod pack;
mod plausible;
mod purity;
mod queries;
mod record;
mod recording;
mod replay;
mod run;
mod show;
mod stale;
mod template;
mod tracepoint;
mod unrecorded;
mod variants;

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

pub(crate) use command::time;
pub use command::{Command, ViewArgs};

use crate::{
    fleet::{self, FleetError},
    top::{self, TopError},
    view::{self, ViewError},
};
use ebhost_agent::{DescribeError, SingleError};
use ebhost_kernel::TracepointError;
use ebhost_package::{FolderError, Package, PackageError, Settings};
use ebhost_plugin_host::{Compiler, ComponentError, Engine};
use ebhost_series::ShapeMismatch;

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
enum AuthorError {
    #[error(
        "{path}: found no package; expected a folder with a plugin.yaml, or that file itself; `ebhost new NAME` makes one"
    )]
    NoPackage { path: PathBuf },
    #[error(transparent)]
    Package(#[from] PackageError),
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error("found no package `{name}` in {folder}, expected one of {known}")]
    UnknownPackage { name: String, folder: PathBuf, known: String },
    #[error("the compiler's process cannot be started: {0}")]
    Compiler(#[source] io::Error),
    #[error(transparent)]
    Engine(#[from] ComponentError),
    #[error(transparent)]
    Describe(#[from] DescribeError),
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
    Outdated { recording: PathBuf, misfit: ShapeMismatch },
    #[error("{path}: cannot be written: {source}")]
    Unwritable { path: PathBuf, source: io::Error },
    #[error("the maps could not be read in time; try again, or with a longer --for")]
    Late,
    #[error(transparent)]
    Tracepoint(#[from] TracepointError),
    #[error("{path}: cannot be packed: {source}")]
    Unpackable { path: PathBuf, source: io::Error },
    #[error("{package}: does not load, so it is not packed; `ebhost check` says why")]
    Unsound { package: PathBuf },
    #[error(transparent)]
    Fleet(#[from] FleetError),
    #[error(transparent)]
    Top(#[from] TopError),
    #[error("signals cannot be received: {0}")]
    Signals(#[source] io::Error),
    #[error(transparent)]
    View(#[from] ViewError),
    #[error("standard output: {0}")]
    Output(#[source] io::Error),
}

/// Runs one command. The exit status is 0, 1 if it found mistakes, and 2 if it could not do its work.
///
/// Components are compiled by the compiler's process, which bounds them: authors check packages of others, too.
pub fn run(command: &Command, cache: Option<&Path>, compiler: io::Result<Compiler>) -> ExitCode {
    let engine = || {
        let compiler = compiler.map_err(AuthorError::Compiler)?;
        Ok(Engine::new(cache, Some(Arc::new(compiler)))?)
    };
    let done = match command {
        Command::Check(args) => engine().and_then(|engine| check::check(args, &engine)),
        Command::Record(args) => engine().and_then(|engine| record::record(args, &engine)),
        Command::Replay(args) => engine().and_then(|engine| replay::replay(args, &engine)),
        Command::Run(args) => engine().and_then(|engine| run::run(args, &engine)),
        Command::New(args) => new::new(args),
        Command::Docs(args) => engine().and_then(|engine| docs::docs(args, &engine)),
        Command::Options(args) => options::options(args),
        Command::View(args) => view::view(args).map_err(AuthorError::from),
        Command::Tracepoint(args) => tracepoint::tracepoint(args),
        Command::Pack(args) => engine().and_then(|engine| pack::pack(args, &engine)),
        Command::Push(args) => push(args, engine),
        Command::Pull(args) => fleet::pull(args).map_err(AuthorError::from),
        Command::Verify(args) => fleet::verify(args).map_err(AuthorError::from),
        Command::Search(args) => fleet::search(args).map_err(AuthorError::from),
        Command::Top(args) => top::top(args).map_err(AuthorError::from),
    };
    done.unwrap_or_else(|fault| {
        // A person reads this: one line, without the fields of a log.
        eprintln!("ebhost: {fault}");
        ExitCode::from(2)
    })
}

/// Pushes a package that loads.
fn push(args: &fleet::PushArgs, engine: impl FnOnce() -> Result<Engine, AuthorError>) -> Result<ExitCode, AuthorError> {
    let mut failed = None;
    let pushed = fleet::push(args, |package| match engine() {
        Ok(engine) => check::loads(package, &engine),
        Err(error) => {
            failed = Some(error);
            false
        }
    });
    match failed {
        Some(error) => Err(error),
        None => Ok(pushed?),
    }
}

/// The `plugin.yaml` of a package, which is given as its folder or as that file.
fn manifest_of(package: &Path) -> Result<PathBuf, AuthorError> {
    let file = if package.is_dir() { package.join("plugin.yaml") } else { package.to_owned() };
    if file.is_file() { Ok(file) } else { Err(AuthorError::NoPackage { path: package.to_owned() }) }
}

/// Reads and checks the `plugin.yaml` of a package.
fn read(package: &Path) -> Result<Package, AuthorError> {
    Ok(Package::read(&manifest_of(package)?, &Settings::default())?)
}
