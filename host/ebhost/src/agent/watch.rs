//! What changed in the plugin folder: a look at its files, and a comparison with the look before.
//!
//! Looking is sturdier than being told what changed: it works through symbolic links that are swapped (as Kubernetes mounts a
//! ConfigMap), and misses nothing when a queue overflows. The kernel only says when to look (`notice`). A change counts once it stood still for a whole look, so that a file
//! that is being copied is not taken for what it will be.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use ebhost_package::PackageFolders;

/// Folders within a package, and files in it, that are looked at: more than any package has.
const DEPTH: usize = 3;
const FILES: usize = 256;

/// Every file of a package by name, size, time of change and inode.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Stamp(Vec<(PathBuf, u64, i64, i64, u64)>);

/// The packages as they were at the last look, and as they were when they were last taken.
#[derive(Debug, Default)]
pub(super) struct Watch {
    last: BTreeMap<PathBuf, Stamp>,
    taken: BTreeMap<PathBuf, Stamp>,
}

/// What is to be done about a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// New, or not as it was.
    Changed(PathBuf),
    Gone(PathBuf),
}

impl Watch {
    /// Compares with the look before. What changed since it was last taken, and not since that look, is found; and taken.
    pub(super) fn look(&mut self, now: BTreeMap<PathBuf, Stamp>) -> Vec<Found> {
        let mut found = Vec::new();
        for (file, stamp) in &now {
            if self.taken.get(file) != Some(stamp) && self.last.get(file) == Some(stamp) {
                self.taken.insert(file.clone(), stamp.clone());
                found.push(Found::Changed(file.clone()));
            }
        }
        let gone = |file: &&PathBuf| !now.contains_key(*file) && !self.last.contains_key(*file);
        let gone: Vec<_> = self.taken.keys().filter(gone).cloned().collect();
        for file in gone {
            self.taken.remove(&file);
            found.push(Found::Gone(file));
        }
        self.last = now;
        found
    }

    /// Whether the last look found everything as it was taken.
    pub(super) fn is_settled(&self) -> bool {
        self.last == self.taken
    }

    /// Takes the packages as they are, without a wait: at the start.
    pub(super) fn take(&mut self, now: BTreeMap<PathBuf, Stamp>) {
        self.taken.clone_from(&now);
        self.last = now;
    }

    /// Has every package found again, changed or not: what it depends on beside its files may have changed.
    pub(super) fn doubt_all(&mut self) {
        for stamp in self.taken.values_mut() {
            stamp.0.clear();
        }
    }

    /// Has a package found again that changed while it was read.
    pub(super) fn doubt(&mut self, file: &Path) {
        if let Some(stamp) = self.taken.get_mut(file) {
            stamp.0.clear();
        }
    }
}

/// Every folder in which a file can change that a stamp is made of, and those that symbolic links lead to.
pub(super) fn folders(places: &PackageFolders) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = places.drop_ins.iter().map(|drop_ins| drop_ins.folder.clone()).collect();
    if let Some(plugins) = &places.plugins {
        add_folders(plugins, DEPTH + 1, &mut folders);
    }
    folders.sort();
    folders.dedup();
    folders
}

fn add_folders(folder: &Path, depth: usize, folders: &mut Vec<PathBuf>) {
    folders.push(folder.to_owned());
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
            folders.extend(path.canonicalize().ok().and_then(|target| Some(target.parent()?.to_owned())));
        }
        if depth > 1 && path.is_dir() {
            add_folders(&path, depth - 1, folders);
        }
    }
}

/// How a package's files are now: all in its folder, or a drop-in configuration and its object.
pub(super) fn stamp(file: &Path) -> Stamp {
    let mut files = Vec::new();
    match file.parent() {
        Some(folder) if file.ends_with("plugin.yaml") => add(folder, DEPTH, &mut files),
        _ => [file.to_owned(), file.with_extension("bpf.o")].into_iter().for_each(|file| add_file(file, &mut files)),
    }
    files.sort();
    Stamp(files)
}

fn add_file(path: PathBuf, files: &mut Vec<(PathBuf, u64, i64, i64, u64)>) {
    if let Ok(metadata) = fs::metadata(&path) {
        files.push((path, metadata.len(), metadata.mtime(), metadata.mtime_nsec(), metadata.ino()));
    }
}

fn add(folder: &Path, depth: usize, files: &mut Vec<(PathBuf, u64, i64, i64, u64)>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let Ok(metadata) = fs::metadata(&path) else { continue };
        if metadata.is_dir() {
            if depth > 1 {
                add(&path, depth - 1, files);
            }
        } else if files.len() < FILES {
            add_file(path, files);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(packages: &[(&str, u64)]) -> BTreeMap<PathBuf, Stamp> {
        let stamp = |size| Stamp(vec![("x".into(), size, 0, 0, 0)]);
        packages.iter().map(|(name, size)| (PathBuf::from(name), stamp(*size))).collect()
    }

    fn changed(file: &str) -> Vec<Found> {
        vec![Found::Changed(file.into())]
    }

    #[test]
    fn a_change_is_taken_once_it_stands_still() {
        let mut watch = Watch::default();
        watch.take(folder(&[("a", 1)]));
        assert_eq!(watch.look(folder(&[("a", 1)])), []);
        for size in [2, 3, 4] {
            assert_eq!(watch.look(folder(&[("a", size)])), [], "it grows");
        }
        assert_eq!(watch.look(folder(&[("a", 4)])), changed("a"));
        assert_eq!(watch.look(folder(&[("a", 4)])), [], "once");
    }

    #[test]
    fn packages_come_and_go() {
        let mut watch = Watch::default();
        watch.take(folder(&[("a", 1)]));
        assert_eq!(watch.look(folder(&[("a", 1), ("b", 1)])), []);
        assert_eq!(watch.look(folder(&[("a", 1), ("b", 1)])), changed("b"));
        assert_eq!(watch.look(folder(&[("b", 1)])), [], "a file may be away for a moment");
        assert_eq!(watch.look(folder(&[("b", 1)])), vec![Found::Gone("a".into())]);
        assert_eq!(watch.look(folder(&[("b", 1)])), []);
    }

    #[test]
    fn a_file_that_comes_back_at_once_was_never_gone() {
        let mut watch = Watch::default();
        watch.take(folder(&[("a", 1)]));
        assert_eq!(watch.look(folder(&[])), []);
        assert_eq!(watch.look(folder(&[("a", 1)])), []);
        assert_eq!(watch.look(folder(&[("a", 1)])), []);
    }

    #[test]
    fn it_is_settled_when_nothing_is_left_to_be_found() {
        let mut watch = Watch::default();
        watch.take(folder(&[("a", 1)]));
        assert!(watch.is_settled());
        for (now, is_settled) in [
            (&[("a", 2)][..], false),
            (&[("a", 2)], true),
            (&[("a", 2), ("b", 1)], false),
            (&[("a", 2)], true),
            (&[], false),
        ] {
            watch.look(folder(now));
            assert_eq!(watch.is_settled(), is_settled, "{now:?}");
        }
        assert_eq!(watch.look(folder(&[])), vec![Found::Gone("a".into())]);
        assert!(watch.is_settled());
    }

    #[test]
    fn doubt_finds_what_did_not_change() {
        let mut watch = Watch::default();
        watch.take(folder(&[("a", 1), ("b", 1)]));
        watch.doubt(Path::new("a"));
        assert!(!watch.is_settled());
        assert_eq!(watch.look(folder(&[("a", 1), ("b", 1)])), changed("a"));
        watch.doubt_all();
        assert_eq!(watch.look(folder(&[("a", 1), ("b", 1)])).len(), 2);
    }
}
