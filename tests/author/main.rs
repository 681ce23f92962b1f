//! The commands for plugin authors: `new`, `check`, `record`, `replay`, `run`, and the guide that uses them.

mod counting;
mod examples;
mod forty_lines;
mod guide;
mod kit;
mod mistakes;
mod new;
mod promise;
mod replays;
mod terminal;

use std::{
    path::Path,
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
};

use ebhost_tests::{binary, workspace};

/// The output and exit status of a command.
struct Said {
    out: String,
    err: String,
    code: Option<i32>,
}

fn ebhost(args: &[&str], folder: &Path) -> Said {
    said(Command::new(binary()).args(args).current_dir(folder))
}

fn said(command: &mut Command) -> Said {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said { out: text(&output.stdout), err: text(&output.stderr), code: output.status.code() }
}

/// A lock for npm: two npm processes that fill the cache at the same time leave packages out without an error.
fn npm() -> MutexGuard<'static, ()> {
    static NPM: Mutex<()> = Mutex::new(());
    NPM.lock().unwrap_or_else(PoisonError::into_inner)
}

fn fixture(name: &str) -> std::path::PathBuf {
    workspace().join("tests/fixtures").join(name)
}
