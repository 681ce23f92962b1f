//! Threads that delete and insert entries while the map is read.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use ebhost_tests::{KernelMap, key};

use crate::check::{STABLE, value};

/// The writers. Stopped on drop.
pub(crate) struct Writers {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Writers {
    pub(crate) fn none() -> Self {
        Self { stop: Arc::default(), written: Arc::default(), threads: Vec::new() }
    }

    /// Adds a writer with ids of its own. It keeps `alive` entries, deleting the oldest for each one that it inserts:
    /// this number of times a second, or as fast as possible.
    pub(crate) fn and(mut self, map: KernelMap, alive: u64, a_second: Option<u32>) -> Self {
        let (stop, written) = (self.stop.clone(), self.written.clone());
        let first = STABLE + 1_000_000_000 * (self.threads.len() as u64 + 1);
        self.threads.push(thread::spawn(move || {
            let began = Instant::now();
            let values = |id: u64| value(id).to_le_bytes().repeat(map.cpus());
            for done in 0u64.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let id = first + done;
                if done >= alive {
                    map.delete(&key(id - alive));
                }
                assert!(map.update(&key(id), &values(id)), "there is room");
                written.fetch_add(1, Ordering::Relaxed);
                if let Some(a_second) = a_second {
                    let due = began + Duration::from_secs_f64(done as f64 / f64::from(a_second));
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                }
            }
        }));
        self
    }

    /// The number of entries that were inserted so far.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            if !thread::panicking() {
                ended.expect("a writer does not panic");
            }
        }
    }
}

/// Inserts the entries that never change.
pub(crate) fn fill(map: &KernelMap) {
    let keys: Vec<u8> = (0..STABLE).flat_map(key).collect();
    let values: Vec<u8> = (0..STABLE).flat_map(|id| value(id).to_le_bytes().repeat(map.cpus())).collect();
    map.update_all(&keys, &values);
}
