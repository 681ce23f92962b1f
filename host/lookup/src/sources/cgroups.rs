//! Cgroups by id: the inode number of the cgroup's folder, as `bpf_get_current_cgroup_id` returns it.
//!
//! The hierarchy is followed from the time when a package that may ask is loaded, so that cgroups that come and go between two collections have
//! names, and no collection walks through all cgroups. An id is never given to a second cgroup, so a name stays right after its cgroup is gone.

use std::{collections::HashSet, path::PathBuf, time::Duration};

use ebhost_cgroups::{Changed, FolderEvents, Found as Cgroup, Hierarchy, Mounts};
use ebhost_limits as limits;

use super::{Freshness, Source};
use crate::{Found, Roots};

#[derive(Debug)]
pub(crate) struct Cgroups {
    mount: Option<PathBuf>,
    /// Reports from the kernel, which wait for the hierarchy to be followed. Opened early, while the process may.
    events: Option<FolderEvents>,
    state: Following,
    /// For how long this collection may still wait for names.
    patience: Duration,
    /// Cgroups whose removal was noticed in this collection: their last counts are taken in it.
    leaving: HashSet<u64>,
    warning: Option<String>,
}

fn mounts(roots: &Roots) -> Mounts {
    Mounts::read(&roots.proc, &roots.sys, roots.cgroup.as_deref())
}

#[derive(Debug)]
enum Following {
    /// Nobody has asked.
    NotYet,
    Impossible,
    Hierarchy(Hierarchy),
}

impl Cgroups {
    /// The cgroup's path below the cgroup2 mount; that of the root is `/`.
    pub(crate) fn path(&mut self, id: u64) -> Found {
        self.start();
        let Following::Hierarchy(hierarchy) = &self.state else { return Found::Unknown };
        match hierarchy.find(id, &mut self.patience) {
            Cgroup::Present(path) => Found::Name(path),
            Cgroup::Removed(path) => Found::Gone(path),
            Cgroup::Unknown => Found::Unknown,
            Cgroup::NotYet => Found::NotYet,
        }
    }

    /// The cgroup's folder, which begins with the mount.
    pub(crate) fn folder(&mut self, id: u64) -> Found {
        let path = self.path(id);
        let mount = self.mount.as_ref().map(|mount| mount.display().to_string()).unwrap_or_default();
        let folder = |path: String| mount + path.strip_suffix('/').unwrap_or(&path);
        match path {
            Found::Name(path) => Found::Name(folder(path)),
            Found::Gone(path) => Found::Gone(folder(path)),
            unknown => unknown,
        }
    }

    /// The cgroup's path; empty once the cgroup is gone and its last counts were taken.
    pub(crate) fn live_path(&mut self, id: u64) -> Found {
        match self.path(id) {
            Found::Gone(path) => Found::Gone(if self.leaving.contains(&id) { path } else { String::new() }),
            found => found,
        }
    }

    /// How many cgroups are known, each number with the value of the label `state`; `None`: they are not followed.
    pub(crate) fn counts(&self) -> Option<[(&'static str, u64); 3]> {
        let Following::Hierarchy(hierarchy) = &self.state else { return None };
        let counts = hierarchy.counts();
        Some([("present", counts.present), ("removed", counts.removed), ("left_out", counts.left_out)])
    }
}

impl Source for Cgroups {
    fn paths(roots: &Roots) -> Vec<PathBuf> {
        let mount = mounts(roots).version_2;
        [roots.proc.join("self/mountinfo")].into_iter().chain(mount).collect()
    }

    fn open(roots: &Roots) -> Self {
        let mounts = mounts(roots);
        Self {
            warning: mounts.warning(),
            events: mounts.version_2.as_deref().and_then(|mount| FolderEvents::open(mount).ok()),
            mount: mounts.version_2,
            state: Following::NotYet,
            patience: limits::CGROUP_NAMES_PATIENCE,
            leaving: HashSet::new(),
        }
    }

    /// Begins to follow the hierarchy.
    fn start(&mut self) {
        if !matches!(self.state, Following::NotYet) {
            return;
        }
        self.state = Following::Impossible;
        let Some(mount) = &self.mount else { return };
        match Hierarchy::follow(mount, self.events.take()) {
            Ok(hierarchy) => self.state = Following::Hierarchy(hierarchy),
            Err(error) => {
                self.warning = Some(format!("cgroups have no names: {} cannot be followed: {error}", mount.display()));
            }
        }
    }

    fn refresh(&mut self) -> Freshness {
        let Following::Hierarchy(hierarchy) = &self.state else {
            // Nobody asks, so the reports are about cgroups without counts.
            self.events.iter().for_each(FolderEvents::discard);
            return Freshness::Unchanged;
        };
        self.patience = limits::CGROUP_NAMES_PATIENCE;
        hierarchy.update(limits::CGROUP_REPORTS_PER_SCRAPE);
        let mut left: Vec<_> = self.leaving.drain().collect();
        match hierarchy.take_changed() {
            Changed::All => Freshness::MayDiffer,
            Changed::Ids(mut ids) => {
                self.leaving.extend(&ids);
                ids.append(&mut left);
                if ids.is_empty() { Freshness::Unchanged } else { Freshness::Numbers(ids) }
            }
        }
    }

    /// While nobody asks, no name is missing.
    fn warning(&mut self) -> Option<String> {
        if matches!(self.state, Following::NotYet) { None } else { self.warning.take() }
    }
}
