//! The Debian package, put together by dpkg-deb.

use std::{fs, path::Path, process::Command};

use super::{
    Release,
    build::need,
    tree::{SETTINGS, Tree},
};
use crate::{
    error::{Error, Result},
    process::run,
};

/// Maintainer scripts, as they are in `packaging/deb`.
const SCRIPTS: [&str; 4] = ["postinst", "prerm", "postrm", "preinst"];

pub(super) fn write(release: &Release, tree: &Tree) -> Result<()> {
    need("dpkg-deb", "apt-get install dpkg")?;
    let package = Tree { arch: tree.arch, root: release.stage.join(format!("deb-{}", tree.arch.name())) };
    run(Command::new("cp").args(["--archive"]).arg(&tree.root).arg(&package.root))?;
    // Debian's zsh looks for functions of packages elsewhere than others do.
    package.rename("usr/share/zsh/site-functions", "usr/share/zsh/vendor-completions")?;
    let source = |name: &str| release.packaging("deb").join(name);
    package.copy(&source("copyright"), "usr/share/doc/ebhost/copyright", 0o644)?;
    package.copy(&source("lintian-overrides"), "usr/share/lintian/overrides/ebhost", 0o644)?;
    let changes = changelog(release)?;
    package.compressed("usr/share/doc/ebhost/changelog", changes.as_bytes())?;
    let sums = package.sums()?;
    let control = text(&source("control"))?;
    let control = control.replace("@VERSION@", release.version).replace("@ARCH@", tree.arch.debian());
    package.write("DEBIAN/control", control.replace("@SIZE@", &package.kibibytes()?.to_string()).as_bytes())?;
    package.write("DEBIAN/md5sums", sums.as_bytes())?;
    package.write("DEBIAN/conffiles", SETTINGS.map(|file| format!("/{file}\n")).concat().as_bytes())?;
    for script in SCRIPTS.into_iter().filter(|script| source(script).is_file()) {
        package.copy(&source(script), &format!("DEBIAN/{script}"), 0o755)?;
    }
    let out = release.out.join(format!("ebhost_{}_{}.deb", release.version, tree.arch.debian()));
    let mut command = Command::new("dpkg-deb");
    // Several threads compress in blocks, one does not: the bytes would depend on the number of CPUs.
    command.env("DPKG_DEB_THREADS_MAX", "1");
    command.env("SOURCE_DATE_EPOCH", &release.epoch).args(["--root-owner-group", "-Zxz", "--build"]);
    run(command.arg(&package.root).arg(&out))
}

fn text(file: &Path) -> Result<String> {
    fs::read_to_string(file).map_err(Error::file(file))
}

/// Debian's form of a changelog: this release, which points to the real one.
fn changelog(release: &Release) -> Result<String> {
    let mut date = Command::new("date");
    let date = date.args(["--utc", "--rfc-email", &format!("--date=@{}", release.epoch)]).env("LC_ALL", "C");
    let date = crate::process::output(date)?;
    let text = text(&release.packaging("deb/changelog"))?;
    Ok(text.replace("@VERSION@", release.version).replace("@DATE@", &date))
}

impl Tree {
    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let (from, to) = (self.root.join(from), self.root.join(to));
        fs::rename(&from, &to).map_err(Error::file(&from))
    }

    /// The digests by which dpkg verifies an installation.
    fn sums(&self) -> Result<String> {
        let files: Vec<_> = self.list()?.into_iter().filter(|place| self.root.join(place).is_file()).collect();
        let sums = crate::process::output(Command::new("md5sum").current_dir(&self.root).args(&files))?;
        Ok(sums + "\n")
    }

    fn kibibytes(&self) -> Result<u64> {
        let size = |place: &String| {
            let file = self.root.join(place);
            fs::metadata(&file).map(|file| file.len().div_ceil(1024)).map_err(Error::file(&file))
        };
        self.list()?.iter().map(size).sum()
    }
}
