//! The repository's commands: `cargo xtask build`, `run`, `test`, `fuzz`, `mutants`, `docs` and `bench`.
//!
//! It builds the artefacts that are committed next to each `plugin.yaml`, and runs what cargo builds. It is not part of the product:
//! nothing here is linked into the host or a plugin.

#![allow(clippy::print_stdout, reason = "a command line tool writes to standard output")]

mod arm64;
mod bench;
mod build;
mod busy;
mod check;
mod clang;
mod component;
mod containers;
mod dashboards;
mod debian;
mod digest;
mod dist;
mod docs;
mod error;
mod fuzz;
mod mutants;
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
cargo xtask build            rebuild the committed components and BPF objects
cargo xtask build --check    list those whose sources have changed since; needs no toolchain
cargo xtask build --verify   rebuild them below target/ and compare the bytes with what is committed
cargo xtask run [-- ARGS]    build ebhost and run it on ./plugins, as root
cargo xtask test [FILTER]    run all tests, or those whose name contains FILTER
cargo xtask busy [FILTER]    run them twice in a row while a busy loop runs on each CPU, and name those that fail
cargo xtask fuzz [TARGET [CASES]]
                             run every target of host/fuzz for a fixed number of cases, or one until it is stopped or for so many cases
cargo xtask mutants [--seed N] [--count N] [--crates A,B] [--stages crates|all] [--revision REVISION] [--keep REVISION]
                             change the host's code in a sample of places, one at a time, and list the changes that no test notices
cargo xtask dashboards       make dashboards and alerts in examples/ of examples/panels; with --check list those that are older
cargo xtask bench [ROW …]    measure the cost of a scrape relative to the kernel's own read; as root, on a quiet machine
cargo xtask bench cost [PACKAGE]
                             measure what a run of each package's programs costs; as root
cargo xtask docs             write docs/plugins.md and the list of packages in README.md
cargo xtask story            make the pictures in docs/pictures: Prometheus and the live page under a few loads; as root
cargo xtask dist [ARCH …]    make a release below target/dist/out: static binaries, tarballs, deb, rpm, image, list of contents; all architectures, or
                             x86_64 and aarch64 by name
cargo xtask dist --verify [ARCH …]
                             make it twice, the second time in another folder, and compare the bytes
cargo xtask containers       test the release's image and tarball with containerd and podman in a virtual machine; takes half an hour
cargo xtask arm64            build ebhost for arm64 and test it in a virtual machine with a PMU; takes ten minutes";

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
        ["build"] => build::build(root),
        ["build", "--check"] => check::check(root),
        ["build", "--verify"] => build::verify(root),
        ["run"] => run::run(root, &[]),
        ["run", "--", args @ ..] => run::run(root, args),
        ["test"] => test::test(root, None),
        ["test", filter] => test::test(root, Some(filter)),
        ["busy"] => busy::busy(root, None),
        ["busy", filter] => busy::busy(root, Some(filter)),
        ["docs"] => docs::docs(root),
        ["story"] => test::story(root),
        ["dashboards"] => dashboards::write(root),
        ["dashboards", "--check"] => dashboards::check(root),
        ["arm64"] => arm64::arm64(root),
        ["containers"] => containers::containers(root),
        ["dist", "--verify", archs @ ..] => dist::verify(root, archs),
        ["dist", archs @ ..] => dist::dist(root, archs),
        ["fuzz"] => fuzz::fuzz(root, None, None),
        ["fuzz", target] => fuzz::fuzz(root, Some(target), None),
        ["fuzz", target, cases] if cases.parse::<u32>().is_ok() => fuzz::fuzz(root, Some(target), cases.parse().ok()),
        ["mutants", args @ ..] => mutants::mutants(root, &mutants::Options::parse(args)?),
        ["bench", rows @ ..] => bench::bench(root, rows),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => Err(Error::Usage { found: args.join(" "), usage: USAGE }),
    }
}

/// The root of the workspace; xtask is a folder directly below it.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is in the workspace").into()
}
