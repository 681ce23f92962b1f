//! `cargo xtask run`: runs ebhost with the packages of this repository.

use std::path::Path;
use std::process::Command;

use crate::error::Result;
use crate::process::{cargo, is_root, run as run_to_end};

/// Builds ebhost and runs it with the given arguments, through sudo unless the user is root: loading BPF needs privileges.
pub(crate) fn run(root: &Path, args: &[&str]) -> Result<()> {
    // Build the whole workspace, as the tests do: building one crate would select other features for shared dependencies, and the tests
    // would then have to compile wasmtime again.
    run_to_end(cargo().current_dir(root).args(["build", "--release", "--workspace", "--bins"]))?;
    let binary = root.join("target/release/ebhost");
    let mut command = if is_root() {
        Command::new(&binary)
    } else {
        let mut sudo = Command::new("sudo");
        sudo.arg(&binary);
        sudo
    };
    run_to_end(command.current_dir(root).args(["--plugins", "./plugins"]).args(args))
}
