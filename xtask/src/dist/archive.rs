//! Tar archives whose bytes depend on names, modes and contents alone.

use std::{
    fs::File,
    path::Path,
    process::{Command, Stdio},
};

use super::{Release, tree::Tree};
use crate::{
    error::{Error, Result},
    process::run,
};

/// The tarball of an architecture: the tree below a folder that is named after the release.
pub(super) fn tarball(release: &Release, tree: &Tree) -> Result<()> {
    let name = format!("ebhost-{}-{}", release.version, tree.arch.name());
    let tar = release.stage.join(format!("{name}.tar"));
    write(release, &tree.root, &tar, &[".".to_owned()], &[format!("--transform=s,^\\.,{name},")])?;
    compress(&tar, &release.out.join(format!("{name}.tar.gz")))
}

/// The Helm chart, with the files that its links lead to.
pub(super) fn chart(release: &Release) -> Result<()> {
    let name = format!("ebhost-chart-{}", release.version);
    let tar = release.stage.join(format!("{name}.tar"));
    let more = ["--dereference", "--transform=s,^\\.,ebhost,"].map(str::to_owned);
    write(release, &release.root.join("examples/kubernetes/chart"), &tar, &[".".to_owned()], &more)?;
    compress(&tar, &release.out.join(format!("{name}.tgz")))
}

/// Writes the named files below `root` into a tar archive.
pub(super) fn write(release: &Release, root: &Path, tar: &Path, names: &[String], more: &[String]) -> Result<()> {
    let mut command = Command::new("tar");
    command.args([
        "--create",
        "--sort=name",
        "--format=gnu",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--mode=u=rwX,go=rX",
    ]);
    command.arg(format!("--mtime=@{}", release.epoch)).arg("--file").arg(tar).arg("--directory").arg(root);
    run(command.args(more).args(names))
}

/// Compresses a file into another one.
pub(super) fn compress(from: &Path, to: &Path) -> Result<()> {
    let out = File::create(to).map_err(Error::file(to))?;
    run(Command::new("gzip").args(["-9", "--no-name", "--stdout"]).arg(from).stdout(Stdio::from(out)))
}
