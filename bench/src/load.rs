//! Changes of a map between scrapes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use ebhost_tests::{Counting, KernelMap, Memory, key};

/// A hash map, and the ids that are in it.
pub(crate) struct Filled {
    pub(crate) map: KernelMap,
    counting: Counting,
    ids: Vec<u64>,
    next: u64,
}

impl Filled {
    pub(crate) fn new(map: KernelMap, entries: usize) -> Self {
        let counting = Counting::of(&map);
        let mut filled = Self { map, counting, ids: (0..entries as u64).collect(), next: entries as u64 };
        filled.insert(&filled.ids);
        filled.next = entries as u64;
        filled
    }

    /// Increments the count of every entry by 1, in place.
    pub(crate) fn count(&self) {
        let first = self.ids.iter().min().copied().unwrap_or_default();
        self.counting.add(first, u32::try_from(self.next - first).expect("the range of ids fits into 32 bits"));
    }

    /// Increments the counts of this number of entries. Their places in the map, and in an answer, are spread over all of it.
    pub(crate) fn count_some(&self, entries: usize) {
        let first = self.ids.iter().min().copied().unwrap_or_default();
        self.counting.add(first, u32::try_from(entries).expect("the range of ids fits into 32 bits"));
    }

    /// Deletes this number of entries, spread over all of them, and inserts as many new ones.
    pub(crate) fn replace(&mut self, entries: usize) {
        let step = (self.ids.len() / entries.max(1)).max(1);
        let indices: Vec<usize> = (0..entries).map(|at| at * step % self.ids.len()).collect();
        let deleted: Vec<u8> = indices.iter().flat_map(|index| key(self.ids[*index])).collect();
        self.map.delete_all(&deleted);
        for index in &indices {
            self.ids[*index] = self.next;
            self.next += 1;
        }
        let inserted: Vec<u64> = indices.iter().map(|index| self.ids[*index]).collect();
        self.insert(&inserted);
    }

    fn insert(&self, ids: &[u64]) {
        for ids in ids.chunks(4096) {
            let keys: Vec<u8> = ids.iter().copied().flat_map(key).collect();
            let values: Vec<u8> =
                ids.iter().flat_map(|id| vec![id + 1_000_000; self.map.cpus()]).flat_map(u64::to_le_bytes).collect();
            self.map.update_all(&keys, &values);
        }
    }

    /// Starts a thread that deletes one entry and inserts another, this number of times a second.
    pub(crate) fn churned(self, a_second: u32) -> Churning {
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let thread = thread::spawn(move || {
            let mut filled = self;
            let (began, mut done) = (Instant::now(), 0u32);
            while !told.load(Ordering::Relaxed) {
                let place = (filled.next.wrapping_mul(0x9e37_79b9_7f4a_7c15) % filled.ids.len() as u64) as usize;
                filled.map.delete(&key(filled.ids[place]));
                filled.ids[place] = filled.next;
                filled.next += 1;
                let value: Vec<u8> =
                    vec![filled.next; filled.map.cpus()].into_iter().flat_map(u64::to_le_bytes).collect();
                assert!(filled.map.update(&key(filled.ids[place]), &value), "there is room for what was deleted");
                done += 1;
                let due = began + Duration::from_secs(1) * done / a_second;
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            filled
        });
        Churning { stop, thread }
    }
}

/// A map that a thread changes.
pub(crate) struct Churning {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Filled>,
}

impl Churning {
    pub(crate) fn stop(self) -> Filled {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the writer does not panic")
    }
}

/// Adds 1 to each word of an array.
pub(crate) fn count_array(memory: &Memory) {
    for word in memory.words() {
        word.fetch_add(1, Ordering::Relaxed);
    }
}
