//! Cgroups by id: the inode number of the cgroup's folder, as `bpf_get_current_cgroup_id` returns it.
//!
//! The hierarchy is walked when an id is asked about that the last walk did not find, at most once per collection. A cgroup that was
//! renamed, or whose number was reused, is noticed when its old folder is gone.

use std::{collections::HashMap, fs, mem, os::unix::fs::MetadataExt as _, path::PathBuf};

use ebhost_cgroups as hierarchy;

use super::{Freshness, Source};
use crate::Roots;

#[derive(Debug)]
pub(crate) struct Cgroups {
    mount: PathBuf,
    /// Below the mount, by id.
    paths: HashMap<u64, String>,
    is_walked: bool,
}

impl Cgroups {
    /// The cgroup's path below the cgroup2 mount; that of the root is `/`.
    pub(crate) fn path(&mut self, id: u64) -> Option<&str> {
        if !self.paths.contains_key(&id) && !self.is_walked {
            self.walk();
        }
        self.paths.get(&id).map(String::as_str)
    }

    /// The cgroup's folder, which begins with the mount.
    pub(crate) fn folder(&mut self, id: u64) -> Option<String> {
        let mount = self.mount.display().to_string();
        let path = self.path(id)?;
        Some(mount + path.strip_suffix('/').unwrap_or(path))
    }

    fn walk(&mut self) {
        let before = mem::take(&mut self.paths);
        let walk = hierarchy::walk(&self.mount, |id, folder| {
            let below = folder.strip_prefix(&self.mount).unwrap_or(folder);
            self.paths.insert(id, format!("/{}", below.to_string_lossy()));
        });
        if let hierarchy::Walk::Incomplete(_) = walk {
            // Cgroups below a folder that could not be looked at keep their names; the next collection walks again.
            for (id, path) in before {
                self.paths.entry(id).or_insert(path);
            }
        }
        self.is_walked = true;
    }
}

impl Source for Cgroups {
    fn paths(roots: &Roots) -> Vec<PathBuf> {
        vec![roots.proc.join("self/mounts"), hierarchy::mount_by(&roots.proc, &roots.sys)]
    }

    fn open(roots: &Roots) -> Self {
        Self { mount: hierarchy::mount_by(&roots.proc, &roots.sys), paths: HashMap::new(), is_walked: false }
    }

    /// Allows the next question to walk again, and drops the cgroups that are gone.
    fn refresh(&mut self) -> Freshness {
        self.is_walked = false;
        let mount = &self.mount;
        self.paths.retain(|id, path| {
            let folder = mount.join(path.trim_start_matches('/'));
            fs::metadata(folder).is_ok_and(|metadata| metadata.ino() == *id)
        });
        Freshness::MayDiffer
    }
}
