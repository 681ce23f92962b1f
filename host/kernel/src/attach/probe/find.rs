//! Finds the files that sections name: libraries as the dynamic loader does, programs as a shell does.
//!
//! `/etc/ld.so.cache` is read in glibc's new format, which is the only one since 2.32 and follows the old one in files of older versions.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use super::ProbeError;

const CACHE: &str = "/etc/ld.so.cache";
const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const HEADER: usize = 48;
const ENTRY: usize = 24;

/// Finds a file. A name with a slash is a path, one with `.so` a library, any other a program.
///
/// # Errors
/// There is no such library or program; the message names the places that were searched.
pub(crate) fn find(name: &str) -> Result<PathBuf, ProbeError> {
    if name.contains('/') {
        return Ok(PathBuf::from(name));
    }
    let cache = fs::read(CACHE).unwrap_or_default();
    let is_library = name.contains(".so");
    let (variable, found) = if is_library {
        ("LD_LIBRARY_PATH", in_folders("LD_LIBRARY_PATH", name).or_else(|| cached(&cache, name)))
    } else {
        ("PATH", in_folders("PATH", name))
    };
    let fallback = || folders(is_library).into_iter().map(|folder| folder.join(name)).find(|path| path.is_file());
    found.or_else(fallback).ok_or_else(|| {
        ProbeError::Absent(match is_library {
            true => format!("found no library `{name}` in {variable}, {CACHE} or the default folders; give its path"),
            false => format!("found no program `{name}` in {variable}; give its path"),
        })
    })
}

fn in_folders(variable: &str, name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os(variable)?).map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn folders(is_library: bool) -> Vec<PathBuf> {
    if !is_library {
        return ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"].map(PathBuf::from).into();
    }
    let triplet = format!("{}-linux-gnu", env::consts::ARCH);
    let multiarch = ["/lib", "/usr/lib"].map(|folder| Path::new(folder).join(&triplet));
    multiarch.into_iter().chain(["/lib64", "/usr/lib64", "/lib", "/usr/lib"].map(PathBuf::from)).collect()
}

/// A library's path in the loader's cache: the first entry for this machine, which is the one that the loader takes.
fn cached(cache: &[u8], name: &str) -> Option<PathBuf> {
    // The new format may follow the old one.
    let start = cache.windows(MAGIC.len()).position(|window| window == MAGIC)?;
    let cache = &cache[start..];
    let word = |at: usize| Some(u32::from_le_bytes(cache.get(at..at.checked_add(4)?)?.try_into().ok()?));
    let text = |at: usize| {
        let bytes = cache.get(at..)?;
        std::str::from_utf8(&bytes[..bytes.iter().position(|byte| *byte == 0)?]).ok()
    };
    let entry = |index: usize| {
        let at = HEADER + index * ENTRY;
        let (flags, key, value) = (word(at)?, word(at + 4)?, word(at + 8)?);
        // Builds for certain processors are listed beside the plain one, which is wanted.
        let is_plain = word(at + 16)? == 0 && word(at + 20)? == 0;
        is_plain.then_some((flags, text(key as usize)?, text(value as usize)?))
    };
    let count = word(MAGIC.len())? as usize;
    let matches =
        |entry: &(u32, &str, &str)| entry.1 == name && is_this_machine(entry.0) && Path::new(entry.2).is_file();
    (0..count.min(cache.len() / ENTRY)).filter_map(entry).find(matches).map(|(_, _, path)| PathBuf::from(path))
}

/// The upper byte of an entry's flags is the architecture of the library.
fn is_this_machine(flags: u32) -> bool {
    let own = match env::consts::ARCH {
        "x86_64" => 0x03,
        "aarch64" => 0x0a,
        _ => return true,
    };
    flags >> 8 & 0xff == own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_found_where_the_loader_maps_it_from() {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let mapped = maps.split_ascii_whitespace().find(|word| word.ends_with("/libc.so.6")).unwrap();
        let found = find("libc.so.6").unwrap();
        assert_eq!(found.canonicalize().unwrap(), Path::new(mapped).canonicalize().unwrap());
        assert_eq!(cached(&fs::read(CACHE).unwrap(), "libc.so.6"), Some(found));
    }

    #[test]
    fn a_program_is_found_where_a_shell_finds_it() {
        assert!(find("sh").unwrap().ends_with("bin/sh"));
        assert_eq!(find("/any/path").unwrap(), PathBuf::from("/any/path"));
        let message = find("libnone.so.7").unwrap_err().to_string();
        assert!(message.starts_with("found no library `libnone.so.7` in LD_LIBRARY_PATH"));
    }

    #[test]
    fn a_damaged_cache_does_not_panic() {
        assert_eq!(cached(b"", "x"), None);
        let mut cut = MAGIC.to_vec();
        cut.extend([0xff; 60]);
        assert_eq!(cached(&cut, "x"), None);
    }
}
