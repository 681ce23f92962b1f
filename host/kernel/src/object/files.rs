//! Objects found in folders before the process restricts its access to files: what loading them will have to read and create.
//!
//! It reads section names and strings and trusts nothing else: a file that is no object asks for nothing.

use std::{
    fs,
    path::{Path, PathBuf},
};

use object::{Object as _, ObjectSection as _};

use ebhost_limits::OBJECT_BYTES;

/// The bytes of all objects in these folders and in their direct subfolders.
pub(crate) fn objects_in(folders: &[&Path]) -> Vec<Vec<u8>> {
    folders.iter().flat_map(|folder| paths(folder, 1)).filter_map(|path| read(&path)).collect()
}

/// Whether an object declares a map that is pinned by name.
///
/// It is decided by the strings of its BTF, so it may be true of an object that only uses the word; it is never false of one that pins.
pub(crate) fn declares_pins(object: &[u8]) -> bool {
    const MEMBER: &[u8] = b"\0pinning\0";
    let Ok(elf) = object::File::parse(object) else { return false };
    let section = elf.section_by_name(".BTF").and_then(|section| section.data().ok());
    let strings = section.unwrap_or_default();
    strings.windows(MEMBER.len()).any(|window| window == MEMBER)
}

fn paths(folder: &Path, depth: usize) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found = Vec::new();
    for path in entries {
        if path.is_dir() && depth > 0 {
            found.extend(paths(&path, depth - 1));
        } else if path.extension().is_some_and(|extension| extension == "o") && path.is_file() {
            found.push(path);
        }
    }
    found
}

fn read(file: &Path) -> Option<Vec<u8>> {
    fs::metadata(file).ok().filter(|metadata| metadata.len() <= OBJECT_BYTES)?;
    fs::read(file).ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// `bench/packages/maps` with its BTF member `map_flags` renamed, so that its maps with flags are pinned by name: `map_flags` of 64
    /// is `pinning` of 64, and of 0 none; only the declaration matters here.
    pub(crate) fn with_pins(mut object: Vec<u8>) -> Vec<u8> {
        let at = object.windows(11).position(|window| window == b"\0map_flags\0").expect("it declares flags");
        object[at..at + 11].copy_from_slice(b"\0pinning\0x\0");
        object
    }

    #[test]
    fn an_object_without_pins_declares_none() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../bench/packages/maps/maps.bpf.o");
        let object = fs::read(path).unwrap();
        assert!(!declares_pins(&object));
        assert!(declares_pins(&with_pins(object)));
        assert!(!declares_pins(b"no object"));
    }
}
