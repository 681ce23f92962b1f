//! `cargo xtask dist --verify`: a release that is made twice, the second time from a clone in another folder and from nothing, has the same bytes.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    error::{Error, Result},
    process::{output, run},
};

/// Makes the release for the named architectures twice and compares every file.
pub(crate) fn verify(root: &Path, names: &[&str]) -> Result<()> {
    let changes = output(Command::new("git").current_dir(root).args(["status", "--porcelain"]))?;
    if !changes.is_empty() {
        let why = format!("found changes that are not committed, expected none, since a clone lacks them:\n{changes}");
        return Err(Error::Format { path: root.to_owned(), why });
    }
    super::dist(root, names)?;
    // Neither as long nor as deep as the folder of the first.
    let copy = root.join("target/dist/again/somewhere/else");
    clone(root, &copy)?;
    super::dist(&copy, names)?;
    compare(&root.join("target/dist/out"), &copy.join("target/dist/out"))?;
    println!("both releases have the same bytes");
    fs::remove_dir_all(&copy).map_err(Error::file(&copy))
}

fn clone(root: &Path, copy: &Path) -> Result<()> {
    if copy.exists() {
        fs::remove_dir_all(copy).map_err(Error::file(copy))?;
    }
    let revision = output(Command::new("git").current_dir(root).args(["rev-parse", "HEAD"]))?;
    run(Command::new("git").args(["clone", "--quiet", "--shared", "--no-checkout"]).arg(root).arg(copy))?;
    run(Command::new("git").current_dir(copy).args(["checkout", "--quiet", "--detach", &revision]))
}

/// Fails with the names of files that differ, or that only one release has.
fn compare(first: &Path, second: &Path) -> Result<()> {
    let (first, second) = (sums(first)?, sums(second)?);
    let names = first.0.keys().chain(second.0.keys());
    let mut differing: Vec<_> = names.filter(|name| first.0.get(*name) != second.0.get(*name)).cloned().collect();
    differing.sort();
    differing.dedup();
    if differing.is_empty() {
        return Ok(());
    }
    let why = format!("found other bytes in {}, expected those of {}", differing.join(", "), first.1.display());
    Err(Error::Format { path: second.1, why })
}

/// The digests of a release by the names of its files, and the file that they are from.
fn sums(out: &Path) -> Result<(BTreeMap<String, String>, PathBuf)> {
    let file = out.join("SHA256SUMS");
    let text = fs::read_to_string(&file).map_err(Error::file(&file))?;
    let sums = text.lines().filter_map(|line| line.split_once("  "));
    Ok((sums.map(|(digest, name)| (name.to_owned(), digest.to_owned())).collect(), file))
}
