//! The cgroup hierarchy of version 2 as a file system: where it is mounted, and the walk through its folders.
//!
//! A cgroup's id is the inode number of its folder, which is what `bpf_get_current_cgroup_id` gives. It reads no file of a
//! cgroup and keeps nothing: what a cgroup is called, and which ones are meant, is for those who have it walked.

use std::{
    fs,
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

/// Has `see` take each cgroup from `root` down, by its id and folder; one that goes meanwhile may be missing.
pub fn walk(root: &Path, mut see: impl FnMut(u64, &Path)) {
    visit(root, 0, &mut see);
}

fn visit(folder: &Path, depth: usize, see: &mut impl FnMut(u64, &Path)) {
    let Ok(metadata) = fs::metadata(folder) else { return };
    see(metadata.ino(), folder);
    if depth == CGROUP_DEPTH {
        return;
    }
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        visit(&entry.path(), depth + 1, see);
    }
}
