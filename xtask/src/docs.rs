//! `cargo xtask docs`: writes the documentation that follows from the packages. The test suite `catalogue` compares it with them.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::error::{Error, Result};
use crate::process::{cargo, output, run};

/// The lines of README.md between which the list of packages is.
const BEGIN: &str = "<!-- packages -->\n";
const END: &str = "<!-- /packages -->\n";

/// Builds ebhost and writes `docs/plugins.md` and the list in `README.md`.
pub(crate) fn docs(root: &Path) -> Result<()> {
    run(cargo().current_dir(root).args(["build", "--release", "--workspace", "--bins"]))?;
    let pages = ebhost(root, &["docs"])?;
    write(&root.join("docs/plugins.md"), &pages)?;
    let readme = root.join("README.md");
    let text = fs::read_to_string(&readme).map_err(Error::file(&readme))?;
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = parts
        .ok_or_else(|| Error::Format { path: readme.clone(), why: format!("has no lines {BEGIN:?} and {END:?}") })?;
    write(&readme, &format!("{before}{BEGIN}{}{END}{after}", ebhost(root, &["docs", "--list"])?))
}

/// The output of a command of ebhost about all packages, in the order of their names.
fn ebhost(root: &Path, args: &[&str]) -> Result<String> {
    let folder = root.join("plugins");
    let entries = fs::read_dir(&folder).map_err(Error::file(&folder))?;
    let mut packages: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    packages.retain(|package| package.join("plugin.yaml").is_file());
    packages.sort();
    let mut command = Command::new(root.join("target/release/ebhost"));
    Ok(output(command.current_dir(root).args(args).args(packages))? + "\n")
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(Error::file(path))
}
