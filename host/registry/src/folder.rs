//! A folder of packages, written so that a running host never sees half of one.
//!
//! A package is written whole into a hidden folder beside its place, which a host passes over, and then takes the place of the one before in a
//! single step (`renameat2` with `RENAME_EXCHANGE`). The pins follow, also by a rename. If a step fails, those before it are undone.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process,
};

use rustix::{
    fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with},
    io::Errno,
};

use crate::{
    pins::{Pin, Pins, Record},
    write::{Temporary, create, create_folder, parent, sync_folder, write_file},
};
use ebhost_package::{Digest, Package, PackageError, Settings};

/// A folder of packages that this process alone writes.
#[derive(Debug)]
pub struct PluginFolder {
    path: PathBuf,
    /// Holds the lock.
    _locked: fs::File,
}

/// A package that is on disk, but not in its place.
#[derive(Debug)]
pub struct Staged {
    folder: Temporary,
    pub package: Package,
    pins: Vec<Pin>,
}

/// A file of a package.
#[derive(Debug, Clone)]
pub struct PackageFile {
    /// Its path in the package; see [`crate::Layer::title`].
    pub title: String,
    pub bytes: Vec<u8>,
}

/// Why a package could not be written.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error("{path}: {source}; expected a folder for packages that this user can write")]
    NoFolder { path: PathBuf, source: io::Error },
    #[error("{path}: another `ebhost pull` writes there; try again when it is done")]
    Busy { path: PathBuf },
    #[error("{path}: cannot be written: {source}")]
    Unwritable { path: PathBuf, source: io::Error },
    #[error("the files make no package: {0}")]
    Package(#[from] PackageError),
    #[error("{path}: found a link, expected a folder: a link is not replaced")]
    Link { path: PathBuf },
}

impl PluginFolder {
    /// Opens the folder, and locks it until the value is dropped.
    ///
    /// # Errors
    /// There is no such folder, or another process has it locked.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let no_folder = |source| FolderError::NoFolder { path: path.to_owned(), source };
        let folder = fs::File::open(path).map_err(no_folder)?;
        if !folder.metadata().map_err(no_folder)?.is_dir() {
            return Err(no_folder(io::Error::from(io::ErrorKind::NotADirectory)));
        }
        match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { path: path.to_owned(), _locked: folder }),
            Err(Errno::WOULDBLOCK) => Err(FolderError::Busy { path: path.to_owned() }),
            Err(error) => Err(no_folder(error.into())),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the files of one package beside its place, and reads them as a host would.
    ///
    /// # Errors
    /// They cannot be written, or are no package.
    pub fn stage(&self, files: &[PackageFile], number: usize) -> Result<Staged, FolderError> {
        let path = self.path.join(format!(".pull-{}-{number}", process::id()));
        let unwritable = |source| FolderError::Unwritable { path: path.clone(), source };
        create_folder(&path).map_err(unwritable)?;
        let folder = Temporary(path.clone());
        for file in files {
            write_below(&path, file).map_err(unwritable)?;
        }
        sync_folder(&path).map_err(unwritable)?;
        let package = Package::read(&path.join("plugin.yaml"), &Settings::default())?;
        let pin = |file: &PackageFile| Pin {
            path: format!("{}/{}", package.name, file.title),
            digest: Digest::of(&file.bytes),
        };
        let pins = files.iter().map(pin).collect();
        Ok(Staged { folder, package, pins })
    }

    /// Whether there is a package of this name.
    pub fn has(&self, name: &str) -> bool {
        self.path.join(name).symlink_metadata().is_ok()
    }

    /// Puts all packages into their places, and writes their pins.
    ///
    /// # Errors
    /// A step failed; those before it were undone.
    pub fn commit(&self, staged: &[(Staged, Record)], mut pins: Pins) -> Result<(), FolderError> {
        for (package, record) in staged {
            pins.set(record, &package.pins);
        }
        let mut placed = Vec::new();
        let result = self.place_all(staged, &mut placed).and_then(|()| {
            let unwritable = |source| FolderError::Unwritable { path: pins.path().to_owned(), source };
            write_file(pins.path(), pins.text().as_bytes()).map_err(unwritable)
        });
        if result.is_err() {
            for (from, to) in placed.iter().rev() {
                let _ = swap(from, to); // the first error is the one to report
            }
        }
        result
    }

    fn place_all(&self, staged: &[(Staged, Record)], placed: &mut Vec<(PathBuf, PathBuf)>) -> Result<(), FolderError> {
        for (package, record) in staged {
            let (from, to) = (package.folder.0.clone(), self.path.join(&record.name));
            if to.is_symlink() {
                return Err(FolderError::Link { path: to });
            }
            swap(&from, &to).map_err(|source| FolderError::Unwritable { path: to.clone(), source })?;
            placed.push((from, to));
        }
        sync_folder(&self.path).map_err(|source| FolderError::Unwritable { path: self.path.clone(), source })
    }
}

/// Writes a file and the folders above it, below `folder`.
fn write_below(folder: &Path, file: &PackageFile) -> io::Result<()> {
    let path = folder.join(&file.title);
    for above in parent(Path::new(&file.title)).ancestors().collect::<Vec<_>>().into_iter().rev() {
        let above = folder.join(above);
        if !above.is_dir() {
            create_folder(&above)?;
        }
    }
    create(&path, &file.bytes)
}

/// Moves `from` to `to`. If something is there, the two change places; if what is there is not, `to` moves to `from`.
fn swap(from: &Path, to: &Path) -> io::Result<()> {
    match (from.exists(), to.exists()) {
        (true, true) => match renameat_with(CWD, from, CWD, to, RenameFlags::EXCHANGE) {
            Err(Errno::INVAL | Errno::NOSYS) => swap_in_steps(from, to),
            done => Ok(done?),
        },
        (true, false) => fs::rename(from, to),
        (false, _) => fs::rename(to, from),
    }
}

/// The same on file systems that cannot exchange two names: for a moment there is none.
fn swap_in_steps(from: &Path, to: &Path) -> io::Result<()> {
    let aside = from.with_extension("aside");
    fs::rename(to, &aside)?;
    if let Err(error) = fs::rename(from, to) {
        let _ = fs::rename(&aside, to); // the first error is the one to report
        return Err(error);
    }
    fs::rename(&aside, from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(version: &str) -> Vec<PackageFile> {
        let yaml = format!("name: x\nversion: \"{version}\"\ncomponent: x.wasm\n");
        let file = |title: &str, bytes: &[u8]| PackageFile { title: title.to_owned(), bytes: bytes.to_vec() };
        vec![file("plugin.yaml", yaml.as_bytes()), file("x.wasm", b"\0asm"), file("tests/deep/a.jsonl", b"{}")]
    }

    fn record() -> Record {
        let reference = format!("a.io/x@{}", crate::OciDigest::of(b"m")).parse().unwrap();
        Record { name: "x".to_owned(), version: None, created: None, reference }
    }

    /// Every path below a folder, with the version in its plugin.yaml.
    fn versions(folder: &Path) -> Vec<(String, String)> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
        let mut found: Vec<_> = entries
            .filter(|entry| entry.path().is_dir())
            .map(|entry| {
                let text = fs::read_to_string(entry.path().join("plugin.yaml")).unwrap();
                (entry.file_name().to_string_lossy().into_owned(), text.lines().nth(1).unwrap().to_owned())
            })
            .collect();
        found.sort();
        found
    }

    #[test]
    fn a_package_whose_pins_cannot_be_written_is_not_left_installed() {
        let path = Path::new("/dev/shm").join(format!("ebhost-registry-{}", process::id()));
        fs::create_dir(&path).unwrap();
        {
            let folder = PluginFolder::open(&path).unwrap();
            assert!(matches!(PluginFolder::open(&path), Err(FolderError::Busy { .. })));
            let pins = |path: &Path| Pins::read(path).unwrap();
            let nowhere = Path::new("/nonexistent/pins");
            let staged = folder.stage(&files("1"), 0).unwrap();
            assert!(folder.commit(&[(staged, record())], pins(nowhere)).is_err());
            assert!(versions(&path).is_empty());

            let staged = folder.stage(&files("1"), 0).unwrap();
            folder.commit(&[(staged, record())], pins(&path.join("pins"))).unwrap();
            let written = fs::read_to_string(path.join("pins")).unwrap();
            assert!(written.contains("  x/tests/deep/a.jsonl\n"), "{written}");

            let staged = folder.stage(&files("2"), 0).unwrap();
            assert!(folder.commit(&[(staged, record())], pins(nowhere)).is_err());
            assert_eq!(versions(&path), [("x".to_owned(), "version: \"1\"".to_owned())]);
            let staged = folder.stage(&files("2"), 0).unwrap();
            folder.commit(&[(staged, record())], pins(&path.join("pins"))).unwrap();
            assert_eq!(versions(&path), [("x".to_owned(), "version: \"2\"".to_owned())]);
            assert!(folder.stage(&files("2")[1..], 0).is_err(), "no plugin.yaml");
            assert_eq!(fs::read_dir(&path).unwrap().count(), 2, "nothing but the package and its pins");
        }
        fs::remove_dir_all(&path).unwrap();
    }
}
