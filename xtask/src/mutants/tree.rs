//! The working tree in which mutants are made: at the present revision, and with the build of the present tree to begin with, so that
//! dependencies are not compiled again.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};
use crate::process::{output, run};

/// The revision that `asked` names; without it the present one, whose changes have to be committed: the tree is made from it.
///
/// # Errors
/// git is missing or does not know the revision, or there are changes.
pub(super) fn revision(root: &Path, asked: Option<&str>) -> Result<String> {
    if let Some(asked) = asked {
        return git(root, &["rev-parse", "--short=12", asked]);
    }
    let changes = git(root, &["status", "--porcelain", "--untracked-files=no"])?;
    if !changes.is_empty() {
        return Err(Error::Uncommitted { changes });
    }
    git(root, &["rev-parse", "--short=12", "HEAD"])
}

/// Makes the working tree or brings it to a revision, and returns its folder.
///
/// # Errors
/// git fails, or the build cannot be copied.
pub(super) fn prepare(root: &Path, revision: &str) -> Result<PathBuf> {
    let tree = root.join("target/mutants/tree");
    if tree.join(".git").exists() {
        // A mutant that was being tested when the run was stopped is undone, and the build is kept.
        git(&tree, &["checkout", "--quiet", "--force", "--detach", revision])?;
    } else {
        let path = tree.display().to_string();
        git(root, &["worktree", "prune"])?;
        git(root, &["worktree", "add", "--quiet", "--detach", &path, revision])?;
    }
    let (build, present) = (tree.join("target/release"), root.join("target/release"));
    if !build.exists() && present.exists() {
        std::fs::create_dir_all(&build).map_err(Error::file(&build))?;
        run(Command::new("cp").arg("-a").args([".fingerprint", "build"].map(|part| present.join(part))).arg(&build))?;
        link_libraries(&present.join("deps"), &build.join("deps"))?;
    }
    Ok(tree)
}

/// Links the libraries of a build, which are gigabytes, into another folder: the compiler replaces files, and does not write into them. The
/// programs, which are made again anyway, are left out.
fn link_libraries(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).map_err(Error::file(to))?;
    for file in std::fs::read_dir(from).map_err(Error::file(from))? {
        let file = file.map_err(Error::file(from))?.path();
        let is_part =
            file.extension().is_some_and(|kind| ["rlib", "rmeta", "so", "d"].iter().any(|part| kind == *part));
        if let (true, Some(name)) = (is_part, file.file_name()) {
            std::fs::hard_link(&file, to.join(name)).map_err(Error::file(&file))?;
        }
    }
    Ok(())
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
