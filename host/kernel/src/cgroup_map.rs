//! A map that is kept filled with cgroups, so that programs can tell those that are meant from all others.
//!
//! A thread of its own walks the hierarchy again and again; each cgroup whose path matches gets the value 1. In a hash it is
//! known by its id, and leaves when its folder does; storage of a cgroup ends with it. Between two walks a new cgroup is not
//! known yet.

use std::{
    collections::HashMap,
    fs, io,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use super::syscall;
use ebhost_cgroups as cgroups;
use ebhost_confine as privileges;
use ebhost_limits::CGROUP_WALK;
use ebhost_package::{CgroupIdMap, CgroupIdMapKind};

const MATCHES: u64 = 1;

/// Keeps the map filled until it is dropped.
#[derive(Debug)]
pub(super) struct CgroupMap {
    shared: Arc<Shared>,
    walker: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    is_over: AtomicBool,
    cgroups: AtomicU64,
    failures: AtomicU64,
}

struct Walker {
    map: OwnedFd,
    kind: CgroupIdMapKind,
    regexps: Vec<regex::Regex>,
    root: PathBuf,
    /// Every cgroup of the last walk, by id, and whether it is in the map.
    known: HashMap<u64, Known>,
    shared: Arc<Shared>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Matches,
    Other,
    /// It matches, and the map did not take it: the next walk tries again.
    Refused,
}

impl CgroupMap {
    /// Walks once, so that programs find the map filled, and goes on in a thread. `sizes`: of key and value.
    pub(super) fn fill(map: OwnedFd, sizes: (u32, u32), config: &CgroupIdMap) -> io::Result<Self> {
        let key = match config.kind {
            CgroupIdMapKind::Hash => 8,
            CgroupIdMapKind::CgrpStorage => 4,
        };
        if sizes != (key, 8) {
            let (found_key, found_value) = sizes;
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
        walker.walk();
        let walker = thread::Builder::new().name("cgroup ids".to_owned()).spawn(move || {
            privileges::keep_in_this_thread(privileges::READING);
            while !walker.shared.is_over.load(Ordering::Relaxed) {
                thread::park_timeout(CGROUP_WALK);
                walker.walk();
            }
        })?;
        Ok(Self { shared, walker: Some(walker) })
    }

    /// Cgroups that match, and how often the map did not take one.
    pub(super) fn tally(&self) -> (u64, u64) {
        (self.shared.cgroups.load(Ordering::Relaxed), self.shared.failures.load(Ordering::Relaxed))
    }
}

impl Drop for CgroupMap {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        if let Some(walker) = self.walker.take() {
            walker.thread().unpark();
            // A walker that panicked has nothing left to say.
            let _ = walker.join();
        }
    }
}

impl Walker {
    fn walk(&mut self) {
        let mut known = HashMap::new();
        cgroups::walk(&self.root, |id, folder| {
            let of_this = match self.known.get(&id) {
                Some(known @ (Known::Matches | Known::Other)) => *known,
                Some(Known::Refused) | None => self.admit(folder, id),
            };
            known.insert(id, of_this);
        });
        let before = std::mem::replace(&mut self.known, known);
        for (id, known) in before {
            if known == Known::Matches && self.kind == CgroupIdMapKind::Hash && !self.known.contains_key(&id) {
                let deleted = syscall::map_delete(self.map.as_fd(), 8, &id.to_le_bytes());
                self.count(&deleted);
            }
        }
        let matching = self.known.values().filter(|known| **known == Known::Matches).count();
        self.shared.cgroups.store(matching as u64, Ordering::Relaxed);
    }

    fn admit(&self, folder: &Path, id: u64) -> Known {
        let path = folder.to_string_lossy();
        if !self.regexps.iter().any(|regexp| regexp.is_match(&path)) {
            return Known::Other;
        }
        let value = MATCHES.to_le_bytes();
        let written = match self.kind {
            CgroupIdMapKind::Hash => syscall::map_update(self.map.as_fd(), (8, 8), &id.to_le_bytes(), &value),
            CgroupIdMapKind::CgrpStorage => fs::File::open(folder).and_then(|folder| {
                syscall::map_update(self.map.as_fd(), (4, 8), &folder.as_raw_fd().to_le_bytes(), &value)
            }),
        };
        self.count(&written);
        if written.is_ok() { Known::Matches } else { Known::Refused }
    }

    fn count(&self, done: &io::Result<()>) {
        if done.is_err() {
            self.shared.failures.fetch_add(1, Ordering::Relaxed);
        }
    }
}
