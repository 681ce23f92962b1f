//! `cargo xtask dist`: everything that a release consists of, below `target/dist/out`. See CONTRIBUTING.md for the list.
//!
//! The binaries are static, so one for each architecture runs on every distribution, and in an image without any other file. Nothing that is
//! made depends on the time, the machine's name or the folder: the same revision gives the same bytes.

mod archive;
mod build;
mod deb;
mod image;
mod rpm;
mod sbom;
mod tree;
mod verify;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    digest,
    error::{Error, Result},
    process::output,
};
use build::Binary;
use tree::Tree;
pub(crate) use verify::verify;

/// The architectures that are released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arch {
    X86_64,
    Aarch64,
}

impl Arch {
    const ALL: [Self; 2] = [Self::X86_64, Self::Aarch64];

    /// The kernel's name of it, which is rpm's, too.
    fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// Debian's name, which is that of OCI images, too.
    fn debian(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }

    /// Rust's target.
    fn target(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-gnu",
            Self::Aarch64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// The architecture that this program runs on.
    fn here() -> Option<Self> {
        Self::ALL.into_iter().find(|arch| arch.name() == std::env::consts::ARCH)
    }
}

/// A release that is being made.
struct Release {
    root: PathBuf,
    version: &'static str,
    /// The time of the revision, which is the time of every file.
    epoch: String,
    /// Where the results go.
    out: PathBuf,
    /// Where files are put together.
    stage: PathBuf,
}

/// Makes a release for the named architectures; for all if none is named.
pub(crate) fn dist(root: &Path, names: &[&str]) -> Result<()> {
    let archs = chosen(names)?;
    let release = Release::begin(root)?;
    let mut binaries = Vec::new();
    for arch in archs {
        binaries.push(build::build(&release, arch)?);
    }
    let documents = build::documents(&release, &binaries)?;
    for binary in &binaries {
        release.packages(binary, &documents)?;
    }
    image::write(&release, &binaries)?;
    archive::chart(&release)?;
    sbom::write(&release)?;
    release.sums()
}

fn chosen(names: &[&str]) -> Result<Vec<Arch>> {
    if names.is_empty() {
        return Ok(Arch::ALL.to_vec());
    }
    let find = |name: &&str| Arch::ALL.into_iter().find(|arch| arch.name() == *name);
    let unknown = |name: &str| Error::Usage { found: format!("dist {name}"), usage: crate::USAGE };
    let mut archs: Vec<_> = names.iter().map(|name| find(name).ok_or_else(|| unknown(name))).collect::<Result<_>>()?;
    // The manual page and the completions are printed by a binary that runs here.
    archs.extend(Arch::here().filter(|here| !archs.contains(here)));
    // In one order, however they were named: the image lists them.
    Ok(Arch::ALL.into_iter().filter(|arch| archs.contains(arch)).collect())
}

impl Release {
    fn begin(root: &Path) -> Result<Self> {
        let folder = root.join("target/dist");
        let (out, stage) = (folder.join("out"), folder.join("stage"));
        for folder in [&out, &stage] {
            if folder.exists() {
                fs::remove_dir_all(folder).map_err(Error::file(folder))?;
            }
            fs::create_dir_all(folder).map_err(Error::file(folder))?;
        }
        let committed = || output(Command::new("git").current_dir(root).args(["log", "-1", "--format=%ct"]));
        let epoch = std::env::var("SOURCE_DATE_EPOCH").or_else(|_| committed())?;
        Ok(Self { root: root.to_owned(), version: env!("CARGO_PKG_VERSION"), epoch, out, stage })
    }

    /// The tarball, deb and rpm of one architecture.
    fn packages(&self, binary: &Binary, documents: &build::Documents) -> Result<()> {
        let tree = Tree::new(self, binary, documents)?;
        archive::tarball(self, &tree)?;
        deb::write(self, &tree)?;
        rpm::write(self, &tree)
    }

    /// Writes the digests of everything that was made.
    fn sums(&self) -> Result<()> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.out).map_err(Error::file(&self.out))?.flatten() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        let mut sums = String::new();
        for name in names {
            let file = self.out.join(&name);
            let bytes = fs::read(&file).map_err(Error::file(&file))?;
            sums += &format!("{}  {name}\n", digest::sha256(&bytes));
        }
        let file = self.out.join("SHA256SUMS");
        fs::write(&file, &sums).map_err(Error::file(&file))?;
        println!("{}:\n{sums}", self.out.display());
        Ok(())
    }

    /// A file of `xtask/packaging`.
    fn packaging(&self, name: &str) -> PathBuf {
        self.root.join("xtask/packaging").join(name)
    }
}
