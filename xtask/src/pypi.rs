//! Packages of Python that tests need: installed into the build folder, or named.

use std::{path::Path, process::Command};

use crate::process::{find, run};

/// The reference parser of OpenMetrics; pinned, for a later one may be stricter.
const PACKAGE: &str = "prometheus_client==0.26.0";
const MODULE: &str = "prometheus_client";
const TESTS: &str = "OpenMetrics, read by its reference parser";

/// Installs what is missing below `target/pypi`; gives a sentence if it stays missing.
pub(crate) fn provide(root: &Path) -> Option<String> {
    let folder = root.join("target/pypi");
    let is_there = || folder.join(MODULE).is_dir();
    if !is_there() && find("python3").is_some() {
        println!("installing {PACKAGE}");
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"])
            .arg(&folder)
            .arg(PACKAGE);
        if let Err(error) = run(&mut pip) {
            println!("{error}");
        }
    }
    (!is_there()).then(|| format!("{TESTS}: skipped without {PACKAGE} (of PyPI, by python3 -m pip)"))
}
