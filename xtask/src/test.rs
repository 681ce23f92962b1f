//! `cargo xtask test`: runs the tests, locally and in CI.

use std::path::Path;
use std::process::Command;
use std::thread;

use crate::debian;
use crate::error::Result;
use crate::process::{cargo, run};
use crate::pypi;

/// Runs all tests of the workspace whose name contains `filter`, in the release profile: then wasmtime is compiled only once for the tests
/// and the product.
pub(crate) fn test(root: &Path, filter: Option<&str>) -> Result<()> {
    let skipped = prepare(root)?;
    let result = run(command(root).args(filter));
    for tests in &skipped {
        println!("skipped  {tests}");
    }
    result?;
    println!("{}", closing(filter, skipped.len()));
    Ok(())
}

/// Installs what tests need while they compile, which needs nothing of it, and returns the tests that will be skipped.
///
/// # Errors
/// The tests do not compile.
pub(crate) fn prepare(root: &Path) -> Result<Vec<String>> {
    thread::scope(|scope| {
        let compiling = scope.spawn(|| run(command(root).arg("--no-run")));
        let mut skipped = debian::provide();
        skipped.extend(pypi::provide(root));
        compiling.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok(skipped)
    })
}

/// The command that runs all tests.
pub(crate) fn command(root: &Path) -> Command {
    // This also builds the binary before any test starts, because the host has integration tests. Building it alone beforehand would
    // select other features for shared dependencies, and compile wasmtime twice.
    // A failing suite does not hide the next one's failures.
    let mut command = cargo();
    command.current_dir(root).args(["test", "--release", "--workspace", "--no-fail-fast"]);
    command
}

/// Makes the pictures in docs/pictures: the test that drives Prometheus and the live page in a browser.
pub(crate) fn story(root: &Path) -> Result<()> {
    let missing = debian::provide();
    missing.iter().for_each(|tests| println!("skipped  {tests}"));
    let test = ["test", "--release", "--workspace", "--test", "page", "--", "--ignored", "the_story_in_pictures"];
    run(cargo().current_dir(root).args(test))
}

fn closing(filter: Option<&str>, skipped: usize) -> String {
    let which = filter.map_or_else(|| "all tests".into(), |filter| format!("tests named …{filter}…"));
    match skipped {
        0 => format!("{which} passed; no test was skipped because of a missing tool"),
        _ => format!("{which} passed, except those skipped above"),
    }
}
