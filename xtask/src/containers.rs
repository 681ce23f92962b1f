//! `cargo xtask containers`: ebhost's image and tarball beside containers of real runtimes, in a virtual machine. It is a command of its own because it
//! takes too long for every run of the tests.

use std::path::Path;

use crate::{
    dist,
    error::Result,
    process::{cargo, run},
};

/// Makes the release for this architecture and runs the test with it.
pub(crate) fn containers(root: &Path) -> Result<()> {
    dist::dist(root, &["x86_64"])?;
    let mut test = cargo();
    test.current_dir(root).args([
        "test",
        "--release",
        "--workspace",
        "--test",
        "guest",
        "--",
        "--ignored",
        "containers_of",
    ]);
    run(test.env("EBHOST_TESTS_SKIP", "no"))
}
