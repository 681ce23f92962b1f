//! The `ebhost` binary: its command line, and what it is to do.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use ebhost::{
    bootstrap,
    command_line::{self, CommandLineError},
    memory,
};

fn main() -> ExitCode {
    memory::return_large_buffers();
    let cli = match command_line::parse(std::env::args_os().collect()) {
        Ok(cli) => cli,
        Err(CommandLineError::Arguments(error)) => error.exit(),
        Err(error) => {
            // The log is not there yet: it depends on what could not be parsed.
            let _ = writeln!(io::stderr(), "ebhost: {error}"); // nobody may read it
            return ExitCode::FAILURE;
        }
    };
    match cli.document(&mut io::stdout()) {
        Ok(false) => {}
        Ok(true) => return ExitCode::SUCCESS,
        Err(_) => return ExitCode::FAILURE, // the reader went away
    }
    if cli.command.is_some() { bootstrap::run_command(&cli) } else { bootstrap::run_host(cli) }
}
