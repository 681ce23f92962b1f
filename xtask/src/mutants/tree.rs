//! The working tree in which mutants are made: at the present revision, and with the build of the present tree to begin with, so that
//! dependencies are not compiled again.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};
use crate::process::{output, run};

/// The revision of the sources, whose changes have to be committed: the tree is made from it.
///
/// # Errors
/// git is missing, or there are changes.
pub(super) fn revision(root: &Path) -> Result<String> {
    let changes = git(root, &["status", "--porcelain", "--untracked-files=no"])?;
    if !changes.is_empty() {
        return Err(Error::Uncommitted { changes });
    }
    git(root, &["rev-parse", "--short=12", "HEAD"])
}

/// Makes the working tree or brings it to the present revision, and returns its folder.
///
/// # Errors
/// git fails, or the build cannot be copied.
pub(super) fn prepare(root: &Path) -> Result<PathBuf> {
    let (revision, tree) = (revision(root)?, root.join("target/mutants/tree"));
    if tree.join(".git").exists() {
        // A mutant that was being tested when the run was stopped is undone, and the build is kept.
        git(&tree, &["checkout", "--quiet", "--force", "--detach", &revision])?;
    } else {
        let path = tree.display().to_string();
        git(root, &["worktree", "prune"])?;
        git(root, &["worktree", "add", "--quiet", "--detach", &path, &revision])?;
    }
    let (build, present) = (tree.join("target/release"), root.join("target/release"));
    if !build.exists() && present.exists() {
        std::fs::create_dir_all(&build).map_err(Error::file(&build))?;
        run(Command::new("cp").arg("-a").args([".fingerprint", "build"].map(|part| present.join(part))).arg(&build))?;
        // Gigabytes, which are linked: the compiler replaces files, and does not write into them.
        run(Command::new("cp").arg("-al").arg(present.join("deps")).arg(&build))?;
    }
    Ok(tree)
}

/// Removes the cases that property tests kept of an earlier mutant: they would find the next one by chance.
///
/// # Errors
/// git fails.
pub(super) fn forget_cases(tree: &Path) -> Result<()> {
    git(tree, &["clean", "--quiet", "--force", "-d", "host"]).map(drop)
}

fn git(folder: &Path, args: &[&str]) -> Result<String> {
    output(Command::new("git").arg("-C").arg(folder).args(args))
}
