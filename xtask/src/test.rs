//! `cargo xtask test`: runs the tests, locally and in CI.

use std::path::Path;

use crate::debian;
use crate::error::Result;
use crate::process::{cargo, run};
use crate::pypi;

/// Runs all tests of the workspace whose name contains `filter`, in the release profile: then wasmtime is compiled only once for the tests
/// and the product.
pub(crate) fn test(root: &Path, filter: Option<&str>) -> Result<()> {
    let mut skipped = debian::provide();
    skipped.extend(pypi::provide(root));
    // This also builds the binary before any test starts, because the host has integration tests. Building it alone beforehand would
    // select other features for shared dependencies, and compile wasmtime twice.
    // A failing suite does not hide the next one's failures.
    let result =
        run(cargo().current_dir(root).args(["test", "--release", "--workspace", "--no-fail-fast"]).args(filter));
    for tests in &skipped {
        println!("skipped  {tests}");
    }
    result?;
    println!("{}", closing(filter, skipped.len()));
    Ok(())
}

fn closing(filter: Option<&str>, skipped: usize) -> String {
    let which = filter.map_or_else(|| "all tests".into(), |filter| format!("tests named …{filter}…"));
    match skipped {
        0 => format!("{which} passed; no test was skipped because of a missing tool"),
        _ => format!("{which} passed, except those skipped above"),
    }
}
