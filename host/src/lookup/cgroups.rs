//! Cgroups by id: the inode number of the cgroup's folder, which is what `bpf_get_current_cgroup_id` gives.
//!
//! The hierarchy is walked when an id is asked about that the last walk did not find, at most once a scrape; a renamed or
//! reused cgroup shows at the next walk, which a removed folder brings about.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{Roots, number};

/// Deeper hierarchies are not walked: nobody nests so deep, and a loop of mounts would never end.
const DEPTH: usize = 64;

#[derive(Debug)]
pub(super) struct Cgroups {
    root: PathBuf,
    paths: HashMap<u64, String>,
    is_walked: bool,
}

impl Cgroups {
    pub(super) fn new(roots: &Roots) -> Self {
        Self { root: cgroup2_mount(roots), paths: HashMap::new(), is_walked: false }
    }

    /// The cgroup's path under the cgroup2 mount; the root is `/`.
    pub(super) fn path(&mut self, bytes: &[u8]) -> Option<String> {
        let id = number(bytes)?;
        if !self.paths.contains_key(&id) && !self.is_walked {
            self.paths.clear();
            walk(&self.root, "", 0, &mut self.paths);
            self.is_walked = true;
        }
        self.paths.get(&id).cloned()
    }

    /// The cgroup's folder, which begins with the mount.
    pub(super) fn folder(&mut self, bytes: &[u8]) -> Option<String> {
        let path = self.path(bytes)?;
        Some(format!("{}{}", self.root.display(), path.strip_suffix('/').unwrap_or(&path)))
    }

    /// Lets the next question walk again, and forgets the cgroups that are gone.
    pub(super) fn refresh(&mut self) {
        self.is_walked = false;
        let root = &self.root;
        self.paths.retain(|id, path| {
            let folder = root.join(path.trim_start_matches('/'));
            fs::metadata(folder).is_ok_and(|metadata| metadata.ino() == *id)
        });
    }
}

fn cgroup2_mount(roots: &Roots) -> PathBuf {
    let mounts = fs::read_to_string(roots.proc.join("self/mounts")).unwrap_or_default();
    let mount = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (folder, kind) = (fields.next()?, fields.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(folder))
    });
    mount.unwrap_or_else(|| roots.sys.join("fs/cgroup"))
}

fn walk(folder: &Path, path: &str, depth: usize, paths: &mut HashMap<u64, String>) {
    let Ok(metadata) = fs::metadata(folder) else { return };
    let shown = if path.is_empty() { "/" } else { path };
    paths.insert(metadata.ino(), shown.to_owned());
    let Ok(entries) = fs::read_dir(folder) else { return };
    if depth == DEPTH {
        return;
    }
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let name = entry.file_name();
            walk(&entry.path(), &format!("{path}/{}", name.to_string_lossy()), depth + 1, paths);
        }
    }
}
