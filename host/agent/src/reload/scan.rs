//! One look at the package folders: the files of every package by size, times and inode.
//!
//! Comparing whole looks is sturdier than following events: it works through symbolic links that are swapped (as Kubernetes
//! mounts a ConfigMap), and nothing is missed when an event queue overflows. inotify only says when to look ([`super::notify`]).

use std::{
    collections::BTreeMap,
    fs::{self, Metadata},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use ebhost_package::{FolderError, Listing, PackageFolders};

/// Folders within a package, and files in it, that are looked at: more than any package has.
const DEPTH: usize = 3;
const FILES: usize = 256;

/// Every file of a package, in the order of their paths. Two equal stamps mean that no file was changed in between.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Stamp(Vec<FileStamp>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct FileStamp {
    path: PathBuf,
    bytes: u64,
    modified: (i64, i64),
    /// A file that becomes readable by a `chmod` has the same size and time of modification as before.
    status_changed: (i64, i64),
    inode: u64,
}

/// The result of one look at a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Presence {
    /// It is there, with these files.
    Present(Stamp),
    /// An error other than "no such file": whether the package is still there is not known.
    Unknown(String),
}

/// All packages at one look, by the file that each is known by.
pub(super) type Scan = BTreeMap<PathBuf, Presence>;

/// Looks at every package in the folders.
///
/// # Errors
/// A folder that cannot be listed: then nothing is known about its packages.
pub(super) fn scan(folders: &PackageFolders) -> Result<Scan, FolderError> {
    folders.list().map(scan_listing)
}

/// Looks at the packages of a listing.
pub(super) fn scan_listing(listing: Listing) -> Scan {
    let present = listing.files.into_iter().map(|file| {
        let stamp = stamp(&file);
        (file, Presence::Present(stamp))
    });
    let unknown = listing.unreadable.into_iter().map(|(file, error)| (file, Presence::Unknown(error.to_string())));
    present.chain(unknown).collect()
}

/// The present state of a package's files: all in its folder, or a drop-in configuration and its object.
pub(super) fn stamp(file: &Path) -> Stamp {
    let mut files = Vec::new();
    match file.parent() {
        Some(folder) if file.ends_with("plugin.yaml") => add_folder(folder, DEPTH, &mut files),
        _ => [file.to_owned(), file.with_extension("bpf.o")].into_iter().for_each(|file| add_file(file, &mut files)),
    }
    files.sort();
    Stamp(files)
}

/// The present state of a single file, which may not be there.
pub(super) fn file_stamp(file: &Path) -> Stamp {
    let mut files = Vec::new();
    add_file(file.to_owned(), &mut files);
    Stamp(files)
}

fn add_file(path: PathBuf, files: &mut Vec<FileStamp>) {
    if let Ok(metadata) = fs::metadata(&path) {
        files.push(FileStamp::new(path, &metadata));
    }
}

fn add_folder(folder: &Path, depth: usize, files: &mut Vec<FileStamp>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let Ok(metadata) = fs::metadata(&path) else { continue };
        if metadata.is_dir() {
            if depth > 1 {
                add_folder(&path, depth - 1, files);
            }
        } else if files.len() < FILES {
            files.push(FileStamp::new(path, &metadata));
        }
    }
}

impl FileStamp {
    fn new(path: PathBuf, metadata: &Metadata) -> Self {
        Self {
            path,
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            status_changed: (metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
        }
    }
}

#[cfg(test)]
impl Stamp {
    /// A stamp of one made-up file of that size.
    pub(super) fn of_size(bytes: u64) -> Self {
        Self(vec![FileStamp { path: "x".into(), bytes, modified: (0, 0), status_changed: (0, 0), inode: 0 }])
    }
}

/// Every folder in which a change can change a stamp, and those that symbolic links lead to.
pub(super) fn folders_to_watch(folders: &PackageFolders) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = folders.drop_ins.iter().map(|drop_ins| drop_ins.folder.clone()).collect();
    if let Some(plugins) = &folders.plugins {
        add_subfolders(plugins, DEPTH + 1, &mut found);
    }
    found.sort();
    found.dedup();
    found
}

fn add_subfolders(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    found.push(folder.to_owned());
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
            found.extend(path.canonicalize().ok().and_then(|target| Some(target.parent()?.to_owned())));
        }
        if depth > 1 && path.is_dir() {
            add_subfolders(&path, depth - 1, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_that_a_chmod_made_readable_is_a_changed_file() {
        let folder = Path::new("/dev/shm").join(format!("ebhost-scan-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("plugin.yaml");
        fs::write(&file, "x").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
        let before = stamp(&file);
        std::thread::sleep(std::time::Duration::from_millis(20)); // the clock of the file system is coarse
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert_ne!(stamp(&file), before);
        fs::remove_dir_all(&folder).unwrap();
    }
}
