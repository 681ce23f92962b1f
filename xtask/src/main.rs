//! The project's commands: `cargo xtask build`, `run`, `test` and `bench`.
//!
//! It builds what is committed beside each `plugin.yaml` and starts what cargo builds. It is no part of the product: nothing here is
//! linked into the host or a plugin.

#![allow(clippy::print_stdout, reason = "a command line tool, whose output this is")]

mod arm64;
mod bench;
mod check;
mod clang;
mod component;
mod debian;
mod digest;
mod error;
mod fuzz;
mod package;
mod process;
mod pypi;
mod run;
mod seal;
mod test;
mod toolchain;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use error::{Error, Result};

const USAGE: &str = "\
cargo xtask build            rebuild the components and BPF objects in plugins/
cargo xtask build --check    say which of them are older than their sources; needs no toolchain
cargo xtask run [-- ARGS]    build ebhost and run it on ./plugins, as root
cargo xtask test [FILTER]    all tests, or those whose name contains FILTER
cargo xtask fuzz [TARGET]    every target of host/fuzz for a fixed number of cases, or one until it is stopped
cargo xtask bench [ROW …]    what a scrape costs, beside the kernel's own read; as root, on a quiet machine
cargo xtask arm64            ebhost for arm64 on a PMU, in a guest: builds all of it, which takes ten minutes";

fn main() -> ExitCode {
    if fuzz::wrap() {
        return ExitCode::FAILURE;
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match command(&root(), &args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn command(root: &Path, args: &[&str]) -> Result<()> {
    match args {
        ["build"] => build(root),
        ["build", "--check"] => check::check(root),
        ["run"] => run::run(root, &[]),
        ["run", "--", args @ ..] => run::run(root, args),
        ["test"] => test::test(root, None),
        ["test", filter] => test::test(root, Some(filter)),
        ["arm64"] => arm64::arm64(root),
        ["fuzz"] => fuzz::fuzz(root, None),
        ["fuzz", target] => fuzz::fuzz(root, Some(target)),
        ["bench", rows @ ..] => bench::bench(root, rows),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => Err(Error::Usage { found: args.join(" "), usage: USAGE }),
    }
}

/// Both artefacts of every package, sealed with the digest of their sources.
fn build(root: &Path) -> Result<()> {
    let packages = package::all(root)?;
    for package in &packages {
        if let Some(object) = &package.object {
            clang::build(root, object)?;
        }
    }
    component::build(root, packages.iter().filter_map(|package| package.component.as_ref()))
}

/// The workspace: xtask lies directly in it.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is in the workspace").into()
}
