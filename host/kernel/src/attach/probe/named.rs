//! Files that objects place probes in, found before the process restricts its access to files.

use std::path::{Path, PathBuf};

use object::{Object as _, ObjectSection as _};

use super::super::section::{Attach, Section};
use crate::object::files;

/// Where libraries and programs are that are named without a path.
const SYSTEM: [&str; 9] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32", "/opt", "/etc/ld.so.cache", "/etc/ld.so.conf"];

/// The files and folders that loading the objects in `folders`, and in their direct subfolders, reads: none, if no object has a probe in
/// a file.
pub fn probed_files(folders: &[&Path]) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = files::objects_in(folders).iter().flat_map(|object| named(object)).collect();
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

fn named(object: &[u8]) -> Vec<PathBuf> {
    let Ok(elf) = object::File::parse(object) else { return Vec::new() };
    let sections = elf.sections().filter_map(|section| Section::parse(section.name().ok()?));
    sections
        .filter_map(|section| match section.attach {
            Attach::Uprobe { file, .. } | Attach::UprobeMulti { file, .. } | Attach::Usdt { file, .. } => {
                Some(PathBuf::from(file))
            }
            _ => None,
        })
        .collect()
}
