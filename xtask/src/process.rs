//! Runs programs. An error contains the program's name, and an unsuccessful exit status is an error.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::error::{Error, Result};

/// Runs a program until it exits, with our standard input and output.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().map_err(|why| Error::Start { program: name(command), why })?;
    if status.success() { Ok(()) } else { Err(Error::Failed { program: name(command) }) }
}

/// Runs a program and returns its standard output, without trailing whitespace.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output =
        command.stderr(Stdio::inherit()).output().map_err(|why| Error::Start { program: name(command), why })?;
    if !output.status.success() {
        return Err(Error::Failed { program: name(command) });
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().into())
}

/// The path of a program on PATH.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// The cargo that started this program.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Whether this process runs as root.
pub(crate) fn is_root() -> bool {
    output(Command::new("id").arg("-u")).is_ok_and(|id| id == "0")
}

fn name(command: &Command) -> String {
    let words = [command.get_program()].into_iter().chain(command.get_args().take(2));
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
