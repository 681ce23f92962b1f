//! The `ebhost` binary: its command line, and what it is to do.

use std::{io, process::ExitCode};

use clap::Parser as _;
use ebhost::{bootstrap, cli::Cli, memory};

fn main() -> ExitCode {
    memory::return_large_buffers();
    let cli = Cli::parse();
    match cli.document(&mut io::stdout()) {
        Ok(false) => {}
        Ok(true) => return ExitCode::SUCCESS,
        Err(_) => return ExitCode::FAILURE, // the reader went away
    }
    if cli.command.is_some() { bootstrap::run_command(&cli) } else { bootstrap::run_host(cli) }
}
