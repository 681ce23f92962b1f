//! `cargo xtask bench`: measures the cost of a scrape on this machine.

use std::path::Path;
use std::process::Command;

use crate::error::Result;
use crate::process::{cargo, run};

/// Builds ebhost and the benchmark, and runs the benchmark as root. `only` selects rows by name; empty: all.
pub(crate) fn bench(root: &Path, only: &[&str]) -> Result<()> {
    run(cargo().current_dir(root).args(["build", "--release", "--workspace", "--bins"]))?;
    let built = root.join("target/release");
    run(Command::new(built.join("ebhost-bench")).current_dir(root).env("EBHOST_BIN", built.join("ebhost")).args(only))
}
