//! ebhost on the packages of this repository.

use std::path::Path;
use std::process::Command;

use crate::error::Result;
use crate::process::{cargo, is_root, run as run_to_end};

/// Builds it and runs it with these further arguments, by sudo if need be: loading BPF takes privileges.
pub(crate) fn run(root: &Path, args: &[&str]) -> Result<()> {
    // All of the workspace, as the tests do: it alone would choose other features for what both need, and whoever runs the
    // tests afterwards would compile wasmtime again.
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
