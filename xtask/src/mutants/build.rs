//! How the crates of mutants are built and their tests run: hundreds of times, so cheaply.

use std::process::Command;

use super::TARGETS;

/// Crates whose tests depend on the crates that are changed.
const DEPENDENTS: [&str; 3] = ["ebhost-handle", "ebhost-recorder", "ebhost-telemetry"];

/// Processor time of a test program in seconds, beyond which it is stopped; without a change they take less than 10.
const CPU_SECONDS: u32 = 120;

/// Memory that a test program may ask for, in bytes: a loop without an end that allocates must not take the machine's.
const MEMORY_BYTES: u64 = 4 << 30;

/// The arguments that select the tests of a crate but for those in its documentation, and that compile it quickly: of the release profile
/// only this crate and what depends on it are compiled in another way, so that everything else is there.
pub(super) fn crate_tests() -> Vec<String> {
    let packages = TARGETS.iter().map(|target| target.package).chain(DEPENDENTS);
    let settings = packages.flat_map(|package| {
        ["opt-level=1", "debug=false"].map(|setting| format!("--config=profile.release.package.{package}.{setting}"))
    });
    ["--tests".to_owned()].into_iter().chain(settings).collect()
}

/// Sets the environment of a command that builds or tests.
pub(super) fn environment(command: &mut Command) {
    // One crate is compiled again and again. The tests must not be skipped for want of a tool: then they notice nothing.
    command.env("CARGO_INCREMENTAL", "1").env("EBHOST_TESTS_SKIP", "no").env_remove("CARGO_TARGET_DIR");
}

/// Limits processor time and memory of the test programs that a command runs.
pub(super) fn limit_tests(command: &mut Command) {
    let runner = format!("prlimit --cpu={CPU_SECONDS}:{} --data={MEMORY_BYTES} --core=0", CPU_SECONDS + 10);
    command.env(format!("CARGO_TARGET_{}_UNKNOWN_LINUX_GNU_RUNNER", std::env::consts::ARCH.to_uppercase()), runner);
}
