//! The `cgroup_id_map` of a package: a map that holds the cgroups whose path matches a pattern, so that programs can filter by it.
//!
//! A thread of its own walks the hierarchy every [`CGROUP_WALK`], or less often where a walk takes long; each matching cgroup gets the
//! value 1. In a hash its key is its id, and it is deleted when its folder is gone; cgroup storage ends with its cgroup. A new cgroup is
//! missing until the next walk. Where no hierarchy of version 2 is mounted the map stays empty: programs see no other cgroups.

use std::{
    collections::HashMap,
    fs, io,
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::sys::KernelMap;
use ebhost_cgroups::{self as cgroups, Visited};
use ebhost_confine::{Restart, Thread, WRITING};
use ebhost_limits::{CGROUP_WALK, CGROUP_WALK_REST};
use ebhost_package::{CgroupIdMap, CgroupIdMapKind};
use tracing::warn;

/// The value of a matching cgroup.
const MATCHES: u64 = 1;

/// Keeps the map filled until it is dropped.
#[derive(Debug)]
pub(super) struct CgroupMap {
    shared: Arc<Shared>,
    walker: Option<Thread>,
}

#[derive(Debug, Default)]
struct Shared {
    is_over: AtomicBool,
    cgroups: AtomicU64,
    failures: AtomicU64,
}

struct Walker {
    map: Arc<KernelMap>,
    kind: CgroupIdMapKind,
    regexps: Vec<regex::Regex>,
    root: Option<PathBuf>,
    /// Every cgroup of the last walk by its id.
    known: HashMap<u64, Known>,
    shared: Arc<Shared>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// It matches, and is in the map.
    Matches,
    /// It does not match.
    Other,
    /// It matches, and could not be put into the map; the next walk tries again.
    Refused,
}

impl CgroupMap {
    /// Walks once, so that programs find the map filled, and goes on in a thread.
    pub(super) fn fill(map: Arc<KernelMap>, config: &CgroupIdMap) -> io::Result<Self> {
        let key = match config.kind {
            CgroupIdMapKind::Hash => 8,
            CgroupIdMapKind::CgrpStorage => 4,
        };
        let (found_key, found_value) = (map.shape().key_size, map.shape().value_size);
        if (found_key, found_value) != (key, 8) {
            let found = format!("found keys of {found_key} bytes and values of {found_value}");
            return Err(io::Error::other(format!("{found}, expected {key} and 8 for a cgroup_id_map of this type")));
        }
        let shared = Arc::new(Shared::default());
        let mut walker = Walker {
            map,
            kind: config.kind,
            regexps: config.regexps.clone(),
            root: cgroups::mount(),
            known: HashMap::new(),
            shared: shared.clone(),
        };
        if walker.root.is_none() {
            warn!(map = config.name, "cgroup_id_map stays empty: no cgroup hierarchy of version 2 is mounted");
        }
        let mut took = walker.walk();
        let walks = move || {
            while !walker.shared.is_over.load(Ordering::Relaxed) {
                thread::park_timeout(CGROUP_WALK.max(took * CGROUP_WALK_REST));
                took = walker.walk();
            }
        };
        let walker = ebhost_confine::spawn("cgroup ids", WRITING, Restart, walks)?;
        Ok(Self { shared, walker: Some(walker) })
    }

    /// The cgroups that match, and how often the map could not be changed.
    pub(super) fn tally(&self) -> (u64, u64) {
        (self.shared.cgroups.load(Ordering::Relaxed), self.shared.failures.load(Ordering::Relaxed))
    }
}

impl Drop for CgroupMap {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        if let Some(walker) = self.walker.take() {
            walker.join();
        }
    }
}

impl Walker {
    /// Brings the map up to date, and returns how long that took.
    fn walk(&mut self) -> Duration {
        let started = Instant::now();
        let Some(root) = self.root.clone() else { return Duration::ZERO };
        let mut known = HashMap::new();
        let walk = cgroups::walk(&root, |Visited { id, folder, .. }| {
            let state = match self.known.get(&id) {
                Some(known @ (Known::Matches | Known::Other)) => *known,
                Some(Known::Refused) | None => self.insert_if_matching(folder, id),
            };
            known.insert(id, state);
        });
        if let cgroups::Walk::Incomplete(error) = walk {
            // Cgroups below a folder that could not be looked at may be alive: none of them leaves the map.
            for (id, previous) in &self.known {
                known.entry(*id).or_insert(*previous);
            }
            self.count_failure(&Err(error));
        }
        let previous = std::mem::replace(&mut self.known, known);
        for (id, known) in previous {
            if known == Known::Matches && self.kind == CgroupIdMapKind::Hash && !self.known.contains_key(&id) {
                let deleted = self.map.delete(&id.to_le_bytes());
                self.count_failure(&deleted);
            }
        }
        let matching = self.known.values().filter(|known| **known == Known::Matches).count();
        self.shared.cgroups.store(matching as u64, Ordering::Relaxed);
        started.elapsed()
    }

    fn insert_if_matching(&self, folder: &Path, id: u64) -> Known {
        let path = folder.to_string_lossy();
        if !self.regexps.iter().any(|regexp| regexp.is_match(&path)) {
            return Known::Other;
        }
        let value = MATCHES.to_le_bytes();
        let written = match self.kind {
            CgroupIdMapKind::Hash => self.map.update(&id.to_le_bytes(), &value),
            CgroupIdMapKind::CgrpStorage => {
                fs::File::open(folder).and_then(|folder| self.map.update(&folder.as_raw_fd().to_le_bytes(), &value))
            }
        };
        self.count_failure(&written);
        if written.is_ok() { Known::Matches } else { Known::Refused }
    }

    fn count_failure(&self, result: &io::Result<()>) {
        if result.is_err() {
            self.shared.failures.fetch_add(1, Ordering::Relaxed);
        }
    }
}
