//! The entries of one view, by number and by key.

use ebhost_snapshot::BitSet;
use foldhash::fast::RandomState;

use crate::labels::identities::NONE;
use crate::util::index::HashIndex;
use crate::util::runs::{append, replace, same};
use crate::util::{hash, shed};

/// Entries with a key of `key_size` bytes each. A removed entry's number goes to a free list and is reused.
#[derive(Debug)]
pub(crate) struct EntryTable {
    key_size: usize,
    /// By entry; empty for arrays, where row i is entry i.
    keys: Vec<u8>,
    by_key: HashIndex,
    hasher: RandomState,
    /// By entry: its identity; [`NONE`] until the view has set it, and for free numbers.
    pub(crate) identity: Vec<u32>,
    alive: BitSet,
    live: usize,
    free: Vec<u32>,
    /// The identities of entries that were removed since this list was last drained.
    pub(crate) removed: Vec<u32>,
}

impl EntryTable {
    pub(crate) fn new(key_size: usize) -> Self {
        Self {
            key_size,
            keys: Vec::new(),
            by_key: HashIndex::default(),
            hasher: RandomState::default(),
            identity: Vec::new(),
            alive: BitSet::default(),
            live: 0,
            free: Vec::new(),
            removed: Vec::new(),
        }
    }

    pub(crate) fn key_size(&self) -> usize {
        self.key_size
    }

    /// All keys by entry, if no number is free.
    pub(crate) fn keys(&self) -> &[u8] {
        &self.keys
    }

    #[inline]
    pub(crate) fn key(&self, entry: u32) -> &[u8] {
        &self.keys[entry as usize * self.key_size..][..self.key_size]
    }

    pub(crate) fn hash(&self, key: &[u8]) -> u32 {
        hash(&self.hasher, key)
    }

    /// Prefetches what [`find_hashed`](Self::find_hashed) reads first.
    #[inline]
    pub(crate) fn prefetch(&self, hashed: u32) {
        self.by_key.prefetch(hashed);
    }

    pub(crate) fn find(&self, key: &[u8]) -> Option<u32> {
        self.find_hashed(key, self.hash(key))
    }

    #[inline]
    pub(crate) fn find_hashed(&self, key: &[u8], hashed: u32) -> Option<u32> {
        self.by_key.find(hashed, |entry| same(self.key(entry), key))
    }

    /// Inserts an entry for a key that may have one.
    pub(crate) fn find_or_insert(&mut self, key: &[u8]) -> u32 {
        self.find_or_insert_hashed(key, self.hash(key))
    }

    #[inline]
    pub(crate) fn find_or_insert_hashed(&mut self, key: &[u8], hashed: u32) -> u32 {
        self.by_key.reserve(1);
        let slot = match self.by_key.locate(hashed, |entry| same(self.key(entry), key)) {
            Ok(entry) => return entry,
            Err(slot) => slot,
        };
        let entry = self.free.pop().unwrap_or(self.identity.len() as u32);
        self.by_key.fill(slot, hashed, entry);
        if entry as usize == self.identity.len() {
            append(&mut self.keys, key);
            self.identity.push(NONE);
        } else {
            replace(&mut self.keys[entry as usize * self.key_size..][..self.key_size], key);
            self.identity[entry as usize] = NONE;
        }
        self.alive.insert(entry);
        self.live += 1;
        entry
    }

    /// Adds the next entry of an array, which has no stored key.
    pub(crate) fn push_array_entry(&mut self) {
        self.alive.insert(self.identity.len() as u32);
        self.identity.push(NONE);
        self.live += 1;
    }

    /// Removes an entry.
    pub(crate) fn remove(&mut self, entry: u32) {
        let hashed = self.hash(self.key(entry));
        if self.by_key.remove(hashed, entry) {
            self.release(entry);
        }
    }

    /// Removes every entry that is not in `kept`; `missing` is their number.
    pub(crate) fn remove_all_but(&mut self, kept: &BitSet, missing: usize) {
        // The last is released first, so that the free list hands numbers out in the order of rows, which is cheap to read.
        let mut ending = Vec::with_capacity(missing);
        ending.extend(self.alive.without(kept).map(|entry| entry as u32));
        if missing > self.live / SWEEP {
            if missing == self.live {
                self.by_key.clear();
            } else {
                self.by_key.retain(|entry| kept.contains(entry));
            }
            ending.into_iter().rev().for_each(|entry| self.release(entry));
        } else {
            ending.into_iter().rev().for_each(|entry| self.remove(entry));
        }
    }

    pub(crate) fn alive(&self) -> impl Iterator<Item = usize> + '_ {
        self.alive.iter()
    }

    /// The number of entries.
    pub(crate) fn live(&self) -> usize {
        self.live
    }

    /// Entry numbers in use, free ones included.
    pub(crate) fn slots(&self) -> usize {
        self.identity.len()
    }

    /// Renumbers the entries: `order[i]` becomes entry i, and `new_number` tells each old number's new one. `order` lists every
    /// entry once.
    pub(crate) fn renumber(&mut self, order: &[u32], new_number: impl Fn(u32) -> u32) {
        let mut keys = Vec::with_capacity(self.keys.len());
        for &entry in order {
            keys.extend_from_slice(self.key(entry));
        }
        self.keys = keys;
        self.identity = order.iter().map(|&entry| self.identity[entry as usize]).collect();
        self.by_key.renumber(new_number);
        self.free.clear();
        self.alive.clear();
        (0..self.live as u32).for_each(|entry| _ = self.alive.insert(entry));
    }

    /// Reserves room for new entries, so that a burst of them does not move every buffer at each doubling.
    pub(crate) fn reserve(&mut self, inserted: usize) {
        self.by_key.reserve(inserted);
        if inserted > self.free.len() {
            let more = inserted - self.free.len();
            self.keys.reserve(more * self.key_size);
            self.identity.reserve(more);
        }
    }

    /// Returns the memory that a burst of new keys took.
    pub(crate) fn shed(&mut self) {
        shed(&mut self.removed);
        shed(&mut self.free);
    }

    /// Puts the number of an entry that is no longer in the index on the free list.
    fn release(&mut self, entry: u32) {
        self.alive.remove(entry);
        self.live -= 1;
        self.free.push(entry);
        self.removed.push(std::mem::replace(&mut self.identity[entry as usize], NONE));
    }
}

/// When more than one entry in this many ends, one pass over the hash index is cheaper than removing each.
pub(crate) const SWEEP: usize = 8;
