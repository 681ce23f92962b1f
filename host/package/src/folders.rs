//! The folders that hold packages: one of plugins, one of drop-in configurations, or both.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use super::{DropIns, FolderError, Package, PackageError, Settings};
use ebhost_limits as limits;

/// At least one of the two.
#[derive(Debug, Clone, Default)]
pub struct PackageFolders {
    /// A folder whose subfolders hold a `plugin.yaml` each.
    pub plugins: Option<PathBuf>,
    pub drop_ins: Option<DropIns>,
}

/// The packages of a folder, each by the file that it is known by.
#[derive(Debug, Default)]
pub struct Listing {
    /// Those that are there, ordered by name.
    pub files: Vec<PathBuf>,
    /// Those of which it is not known whether they are there, and the error that hides them. No other error than
    /// "no such file" (`ENOENT`, `ENOTDIR`) says that a package is gone: a network file system may answer again in a second.
    pub unreadable: Vec<(PathBuf, io::Error)>,
}

/// A package that was read.
#[derive(Debug)]
pub enum Read {
    Package(Box<Package>),
    /// Its default or a setting says that it is not loaded.
    SwitchedOff {
        name: String,
    },
}

impl PackageFolders {
    /// The packages to start with. Drop-in configurations that were named are among them, whether they are there or not.
    ///
    /// # Errors
    /// A plugin folder that cannot be listed, has no package in it or too many.
    pub fn list_at_start(&self) -> Result<Listing, FolderError> {
        let mut listing = self.list_plugins()?;
        if let (Some(path), true, true) = (&self.plugins, listing.files.is_empty(), listing.unreadable.is_empty()) {
            return Err(FolderError::Empty { path: path.clone() });
        }
        listing.files.extend(self.drop_ins.iter().flat_map(DropIns::files));
        Ok(listing)
    }

    /// The packages that are there now, which may be none.
    ///
    /// # Errors
    /// A plugin folder that cannot be listed, or has too many packages in it.
    pub fn list(&self) -> Result<Listing, FolderError> {
        let mut listing = self.list_plugins()?;
        for file in self.drop_ins.iter().flat_map(DropIns::files) {
            listing.add(file);
        }
        Ok(listing)
    }

    fn list_plugins(&self) -> Result<Listing, FolderError> {
        self.plugins.as_deref().map(list_plugins).transpose().map(Option::unwrap_or_default)
    }

    /// Reads the package that is known by that file, if it is switched on.
    ///
    /// # Errors
    /// A file of the package that cannot be read, or is not what it should be; a setting that the package does not have.
    pub fn read(&self, file: &Path, settings: &Settings) -> Result<Read, PackageError> {
        let is_named = |drop_ins: &&DropIns| drop_ins.files().iter().any(|named| named == file);
        match self.drop_ins.as_ref().filter(is_named) {
            Some(drop_ins) => Ok(Read::Package(Box::new(drop_ins.read(file)?))),
            None => Package::read_if_on(file, settings),
        }
    }
}

impl Listing {
    fn add(&mut self, file: PathBuf) {
        match fs::metadata(&file) {
            Ok(metadata) if metadata.is_file() => self.files.push(file),
            Ok(_) => {}
            Err(error) if is_absent(&error) => {}
            Err(error) => self.unreadable.push((file, error)),
        }
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Whether a folder of this name is passed over: `.NAME` is hidden, and `NAME.disabled` is how an operator switches a package off.
fn is_switched_off(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(b".") || name.ends_with(b".disabled")
}

/// The `plugin.yaml` files in the direct subfolders of `folder` that are not switched off.
fn list_plugins(folder: &Path) -> Result<Listing, FolderError> {
    let unreadable = |source| FolderError::Unreadable { path: folder.to_owned(), source };
    let mut listing = Listing::default();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if !is_switched_off(&entry.file_name()) {
            listing.add(entry.path().join("plugin.yaml"));
        }
    }
    listing.files.sort();
    let found = listing.files.len() + listing.unreadable.len();
    if found > limits::PACKAGES {
        return Err(FolderError::TooMany { path: folder.to_owned(), found });
    }
    Ok(listing)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn an_error_is_not_taken_for_a_package_that_is_gone() {
        let folder = Path::new("/dev/shm").join(format!("ebhost-folders-{}", std::process::id()));
        for package in ["good", "looping", "empty"] {
            fs::create_dir_all(folder.join(package)).unwrap();
        }
        fs::write(folder.join("good/plugin.yaml"), "name: good").unwrap();
        // A link to itself (ELOOP) fails for root too, as EIO, ESTALE or EMFILE would.
        symlink("plugin.yaml", folder.join("looping/plugin.yaml")).unwrap();
        fs::write(folder.join("a-file"), "").unwrap();
        let folders = PackageFolders { plugins: Some(folder.clone()), drop_ins: None };
        let listing = folders.list().unwrap();
        assert_eq!(listing.files, [folder.join("good/plugin.yaml")]);
        let unreadable: Vec<_> = listing.unreadable.iter().map(|(file, _)| file.clone()).collect();
        assert_eq!(unreadable, [folder.join("looping/plugin.yaml")]);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_package_whose_folder_is_hidden_or_called_disabled_is_not_loaded() {
        let folder = Path::new("/dev/shm").join(format!("ebhost-switched-off-{}", std::process::id()));
        for package in ["good", ".hidden", "off.disabled", "not.disabled.now"] {
            fs::create_dir_all(folder.join(package)).unwrap();
            fs::write(folder.join(package).join("plugin.yaml"), "name: x").unwrap();
        }
        let folders = PackageFolders { plugins: Some(folder.clone()), drop_ins: None };
        let names = ["good", "not.disabled.now"].map(|name| folder.join(name).join("plugin.yaml"));
        assert_eq!(folders.list().unwrap().files, names);
        fs::remove_dir_all(&folder).unwrap();
    }
}
