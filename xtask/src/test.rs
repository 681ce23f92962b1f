//! The one test command: the same locally and in CI.

use std::path::Path;

use crate::debian;
use crate::error::Result;
use crate::process::{cargo, run};
use crate::pypi;

/// All tests of the workspace whose name contains `filter`. One profile with the product, so that wasmtime is compiled once.
pub(crate) fn test(root: &Path, filter: Option<&str>) -> Result<()> {
    let mut skipped = debian::provide();
    skipped.extend(pypi::provide(root));
    // Builds the binary too, for the host's own tests, before any test starts. A build of it alone beforehand would choose other
    // features for what both need, and compile wasmtime twice.
    let result = run(cargo().current_dir(root).args(["test", "--release", "--workspace"]).args(filter));
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
        0 => format!("{which} passed, nothing was skipped for want of a tool"),
        _ => format!("{which} passed, but for those skipped above"),
    }
}
