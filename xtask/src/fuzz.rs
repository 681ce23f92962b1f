//! Fuzzing with libFuzzer: the targets of `host/fuzz`, built in the release profile.
//!
//! cargo-fuzz would recompile all dependencies with coverage instrumentation, which takes a quarter of an hour for wasmtime alone. Only our
//! own crates are under test, so only they are instrumented: cargo starts the compiler for crates of the workspace through a wrapper,
//! which is this program, and reuses the dependencies that were built for the tests.

use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::error::{Error, Result};
use crate::process::{cargo, run};

/// Environment variable that tells this program that it was started as the compiler's wrapper.
const WRAPPER: &str = "EBHOST_XTASK_IS_WRAPPER";

/// Crates that are compiled with coverage instrumentation, debug assertions and overflow checks.
const COVERED: [&str; 11] = [
    "ebhost",
    "ebhost_fuzz",
    "ebhost_kernel",
    "ebhost_lookup",
    "ebhost_metrics",
    "ebhost_object",
    "ebhost_package",
    "ebhost_plugin_host",
    "ebhost_series",
    "ebhost_server",
    "ebhost_snapshot",
];
const FLAGS: [&str; 7] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cdebug-assertions=on",
    "-Coverflow-checks=on",
];

/// A fuzz target.
struct Target {
    name: &'static str,
    /// Number of inputs that CI tries.
    cases: u32,
    /// Largest input, in bytes.
    max_bytes: u32,
}

const TARGETS: [Target; 5] = [
    Target { name: "plugin_yaml", cases: 200_000, max_bytes: 2_048 },
    Target { name: "answers", cases: 2_000_000, max_bytes: 512 },
    Target { name: "accept_header", cases: 2_000_000, max_bytes: 512 },
    // Fewer cases, because every input that parses as a component is compiled.
    Target { name: "components", cases: 30_000, max_bytes: 512 },
    // The objects of the repository are its seeds.
    Target { name: "objects", cases: 100_000, max_bytes: 65_536 },
];

/// Runs all targets for their number of cases; or one target, for `cases` inputs or until it is stopped.
pub(crate) fn fuzz(root: &Path, name: Option<&str>, cases: Option<u32>) -> Result<()> {
    let chosen = |target: &&Target| name.is_none_or(|name| name == target.name);
    let targets: Vec<_> = TARGETS.iter().filter(chosen).collect();
    if targets.is_empty() {
        let names = TARGETS.map(|target| target.name).join(", ");
        return Err(Error::FuzzTarget { found: name.unwrap_or_default().into(), expected: names });
    }
    build(root)?;
    for target in targets {
        run_target(root, target, cases.or(name.is_none().then_some(target.cases)))?;
    }
    Ok(())
}

fn build(root: &Path) -> Result<()> {
    let wrapper = std::env::current_exe().map_err(Error::file(root))?;
    let mut build = cargo();
    // The whole workspace is selected, so that dependencies have the same features as in the tests and need not be rebuilt.
    build.current_dir(root).args([
        "build",
        "--locked",
        "--release",
        "--workspace",
        "--features",
        "ebhost-fuzz/libfuzzer",
    ]);
    build.args(TARGETS.iter().flat_map(|target| ["--bin", target.name]));
    run(build.env("RUSTC_WORKSPACE_WRAPPER", wrapper).env(WRAPPER, "1"))
}

/// `cases`: the number of inputs to try; `None`: until it is stopped.
fn run_target(root: &Path, target: &Target, cases: Option<u32>) -> Result<()> {
    let fuzz = root.join("target/fuzz");
    let (corpus, seeds) = (fuzz.join(target.name), root.join("host/fuzz/seeds").join(target.name));
    fs::create_dir_all(&corpus).map_err(Error::file(&corpus))?;
    if target.name == "objects" {
        copy_objects(root, &corpus)?;
    }
    let mut command = Command::new(root.join("target/release").join(target.name));
    command.current_dir(&fuzz).arg(&corpus).args(seeds.is_dir().then_some(&seeds));
    command.arg(format!("-max_len={}", target.max_bytes)).args(["-timeout=20", "-rss_limit_mb=2048"]);
    if let Some(cases) = cases {
        command.args([format!("-runs={cases}"), "-verbosity=0".into(), "-print_final_stats=1".into()]);
    }
    println!("fuzzing {}", target.name);
    run(&mut command)
}

/// Copies the committed BPF objects into a corpus.
fn copy_objects(root: &Path, corpus: &Path) -> Result<()> {
    let mut folders = vec![root.join("plugins"), root.join("bench/packages"), root.join("tests/fixtures")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(".bpf.o") {
                fs::copy(&path, corpus.join(entry.file_name())).map_err(Error::file(&path))?;
            }
        }
    }
    Ok(())
}

/// If this program was started as the compiler's wrapper, replaces it with the compiler and does not return. Returns false if it was not,
/// and true if the compiler could not be started.
pub(crate) fn wrap() -> bool {
    if std::env::var_os(WRAPPER).is_none() {
        return false;
    }
    let mut args = std::env::args_os().skip(1);
    let compiler = args.next().unwrap_or_else(|| "rustc".into());
    let args: Vec<OsString> = args.collect();
    let mut compile = Command::new(compiler);
    if is_covered(&args) {
        compile.args(FLAGS);
    }
    eprintln!("xtask: the compiler cannot be started: {}", compile.args(args).env_remove(WRAPPER).exec());
    true
}

fn is_covered(args: &[OsString]) -> bool {
    let name = args.windows(2).find(|pair| pair[0] == "--crate-name").map(|pair| &pair[1]);
    let is_build_script = args.iter().any(|arg| arg == "build.rs" || arg.to_string_lossy().ends_with("/build.rs"));
    let names = COVERED.into_iter().chain(TARGETS.iter().map(|target| target.name));
    !is_build_script && name.is_some_and(|name| names.into_iter().any(|covered| name == covered))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_crates_and_the_targets_are_instrumented() {
        let args = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert!(is_covered(&args("--crate-name ebhost --edition=2024 host/ebhost/src/lib.rs")));
        assert!(is_covered(&args("--crate-name plugin_yaml fuzz_targets/plugin_yaml.rs")));
        assert!(!is_covered(&args("--crate-name ebhost_plugin plugins/sdk/src/lib.rs")));
        assert!(!is_covered(&args("--crate-name build_script_build host/ebhost/build.rs")));
        assert!(!is_covered(&args("-vV")));
    }

    #[test]
    fn every_file_of_fuzz_targets_is_a_target() {
        let folder = crate::root().join("host/fuzz/fuzz_targets");
        let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        files.sort();
        let mut names = TARGETS.map(|target| OsString::from(format!("{}.rs", target.name)));
        names.sort();
        assert_eq!(files, names);
    }
}
