//! Files that objects have probes in, found before the process rules out the sight of all others.
//!
//! It reads section names and believes nothing else: what is no object names no file.

use std::{
    fs,
    path::{Path, PathBuf},
};

use object::{Object as _, ObjectSection as _};

use super::super::section::{Attach, Section};
use ebhost_limits::OBJECT_BYTES;

/// Where libraries and programs lie that are named without a path.
const SYSTEM: [&str; 9] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32", "/opt", "/etc/ld.so.cache", "/etc/ld.so.conf"];

/// What loading the objects in these folders, and in their direct subfolders, has to read: nothing, if none has a probe in a file.
pub fn probed_files(folders: &[&Path]) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        folders.iter().flat_map(|folder| objects(folder, 1)).flat_map(|file| named(&file)).collect();
    if !files.is_empty() {
        files.extend(SYSTEM.map(PathBuf::from));
        let folders = ["PATH", "LD_LIBRARY_PATH"].into_iter().filter_map(std::env::var_os);
        files.extend(folders.flat_map(|folders| std::env::split_paths(&folders).collect::<Vec<_>>()));
    }
    files.sort();
    files.dedup();
    files.retain(|file| file.exists());
    files
}

fn objects(folder: &Path, depth: usize) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found = Vec::new();
    for path in entries {
        if path.is_dir() && depth > 0 {
            found.extend(objects(&path, depth - 1));
        } else if path.extension().is_some_and(|extension| extension == "o") && path.is_file() {
            found.push(path);
        }
    }
    found
}

fn named(file: &Path) -> Vec<PathBuf> {
    if fs::metadata(file).map_or(true, |metadata| metadata.len() > OBJECT_BYTES) {
        return Vec::new();
    }
    let Ok(bytes) = fs::read(file) else { return Vec::new() };
    let Ok(elf) = object::File::parse(&*bytes) else { return Vec::new() };
    let sections = elf.sections().filter_map(|section| Section::parse(section.name().ok()?));
    sections
        .filter_map(|section| match section.attach {
            Attach::Uprobe { file, .. } | Attach::Uprobes { file, .. } | Attach::Usdt { file, .. } => {
                Some(PathBuf::from(file))
            }
            _ => None,
        })
        .collect()
}
