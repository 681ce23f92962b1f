//! Where packages are: a folder of plugins, a folder of drop-in configurations, or both.

use std::path::{Path, PathBuf};

use super::{DropIns, FolderError, Package, PackageError, discover};

/// At least one of the two.
#[derive(Debug, Clone, Default)]
pub struct PackageFolders {
    /// A folder whose subfolders hold a `plugin.yaml` each.
    pub plugins: Option<PathBuf>,
    pub drop_ins: Option<DropIns>,
}

impl PackageFolders {
    /// The files by which all packages are known, those that were named and are not there among them.
    pub fn all(&self) -> Result<Vec<PathBuf>, FolderError> {
        let mut files = self.plugins.as_deref().map(discover).transpose()?.unwrap_or_default();
        files.extend(self.drop_ins.iter().flat_map(DropIns::files));
        Ok(files)
    }

    /// Those that are there now, which may be none.
    pub fn present(&self) -> Result<Vec<PathBuf>, FolderError> {
        let mut files = match self.plugins.as_deref().map(discover).transpose() {
            Ok(files) => files.unwrap_or_default(),
            Err(FolderError::Empty { .. }) => Vec::new(),
            Err(fault) => return Err(fault),
        };
        files.extend(self.drop_ins.iter().flat_map(DropIns::files).filter(|file| file.is_file()));
        Ok(files)
    }

    /// Reads the package that is known by that file.
    pub fn read(&self, file: &Path) -> Result<Package, PackageError> {
        let is_named = |drop_ins: &&DropIns| drop_ins.files().iter().any(|named| named == file);
        match self.drop_ins.as_ref().filter(is_named) {
            Some(drop_ins) => drop_ins.read(file),
            None => Package::read(file),
        }
    }
}
