//! Cgroups by id: the inode number of the cgroup's folder, which is what `bpf_get_current_cgroup_id` gives.
//!
//! The hierarchy is walked when an id is asked about that the last walk did not find, at most once a scrape; a renamed or
//! reused cgroup shows at the next walk, which a removed folder brings about.

use std::{collections::HashMap, fs, os::unix::fs::MetadataExt as _, path::PathBuf};

use super::{Roots, number};
use ebhost_cgroups as cgroups;

#[derive(Debug)]
pub(super) struct Cgroups {
    root: PathBuf,
    paths: HashMap<u64, String>,
    is_walked: bool,
}

impl Cgroups {
    pub(super) fn new(roots: &Roots) -> Self {
        Self { root: cgroups::mount_by(&roots.proc, &roots.sys), paths: HashMap::new(), is_walked: false }
    }

    /// The cgroup's path under the cgroup2 mount; the root is `/`.
    pub(super) fn path(&mut self, bytes: &[u8]) -> Option<String> {
        let id = number(bytes)?;
        if !self.paths.contains_key(&id) && !self.is_walked {
            self.paths.clear();
            cgroups::walk(&self.root, |id, folder| {
                let below = folder.strip_prefix(&self.root).unwrap_or(folder);
                self.paths.insert(id, format!("/{}", below.to_string_lossy()));
            });
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
