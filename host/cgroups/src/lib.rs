//! The cgroup hierarchy of version 2 as a file system: where it is mounted, and the walk through its folders.
//!
//! A cgroup's id is the inode number of its folder, which is what `bpf_get_current_cgroup_id` gives. It reads no file of a
//! cgroup and keeps nothing: what a cgroup is called, and which ones are meant, is for those who have it walked.

#![forbid(unsafe_code)]

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use ebhost_limits::CGROUP_DEPTH;

/// Where it is mounted on this machine.
pub fn mount() -> PathBuf {
    mount_by(Path::new("/proc"), Path::new("/sys"))
}

/// Where it is mounted, by what these two folders say.
pub fn mount_by(proc: &Path, sys: &Path) -> PathBuf {
    let mounts = fs::read_to_string(proc.join("self/mounts")).unwrap_or_default();
    let mount = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (folder, kind) = (fields.next()?, fields.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(folder))
    });
    mount.unwrap_or_else(|| sys.join("fs/cgroup"))
}

/// Whether a walk saw every cgroup.
#[derive(Debug)]
#[must_use]
pub enum Walk {
    Complete,
    /// A folder could not be looked at, for another reason than that it is gone (too many open files, for example). What is below it
    /// was not seen, and may well be there.
    Incomplete(io::Error),
}

/// Calls `see` with the id and the folder of each cgroup from `root` down. One that goes meanwhile may be missing.
pub fn walk(root: &Path, mut see: impl FnMut(u64, &Path)) -> Walk {
    let mut hidden = None;
    visit(root, 0, &mut see, &mut hidden);
    hidden.map_or(Walk::Complete, Walk::Incomplete)
}

/// `hidden`: the first error that hides a cgroup.
fn visit(folder: &Path, depth: usize, see: &mut impl FnMut(u64, &Path), hidden: &mut Option<io::Error>) {
    if let Err(error) = try_visit(folder, depth, see, hidden)
        && !is_gone(&error)
    {
        hidden.get_or_insert(error);
    }
}

fn try_visit(
    folder: &Path,
    depth: usize,
    see: &mut impl FnMut(u64, &Path),
    hidden: &mut Option<io::Error>,
) -> io::Result<()> {
    see(fs::metadata(folder)?.ino(), folder);
    if depth == CGROUP_DEPTH {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            visit(&entry.path(), depth + 1, see, hidden);
        }
    }
    Ok(())
}

/// A cgroup that was removed during the walk; cgroupfs answers `ENODEV` for one whose folder is still open.
fn is_gone(error: &io::Error) -> bool {
    const ENODEV: i32 = 19;
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        || error.raw_os_error() == Some(ENODEV)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_folder_that_cannot_be_looked_at_makes_the_walk_incomplete() {
        let root = Path::new("/dev/shm").join(format!("ebhost-cgroups-{}", std::process::id()));
        fs::create_dir_all(root.join("a/b")).unwrap();
        let seen = |root: &Path| {
            let mut folders = Vec::new();
            let walk = walk(root, |_, folder| folders.push(folder.to_owned()));
            (folders.len(), matches!(walk, Walk::Complete))
        };
        assert_eq!(seen(&root), (3, true));
        assert_eq!(seen(&root.join("gone")), (0, true));
        // A link to itself (ELOOP) fails for root too, as EMFILE would.
        symlink("loop", root.join("loop")).unwrap();
        assert_eq!(seen(&root.join("loop")), (0, false));
        fs::remove_dir_all(&root).unwrap();
    }
}
