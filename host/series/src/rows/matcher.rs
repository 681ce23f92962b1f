//! Matching: which entry each row of a reading is.
//!
//! A map that did not change lists its keys in the same order each time. Entries are therefore numbered in the order of the last
//! reading, and "the same keys as last time" is one comparison of memory, or none where the reader knows it ([`KeyOrder`]). Where a
//! few keys came or went, a cursor walks along the last order: each row is compared with the key expected next, then with the few after
//! it, and only a key that is found nowhere near is looked up by its hash, after which the cursor continues from there. When the order
//! has changed much, or has stabilized, the entries are renumbered in it ([`RowMatcher::renumber`]).

use ebhost_snapshot::{BitSet, KeyOrder};

use super::entries::EntryTable;
use crate::labels::identities::NONE;
use crate::util::index::PREFETCHED;
use crate::util::runs::same;
use crate::util::shed;

/// The entries of a table view, and which of them each row of the last reading is.
#[derive(Debug)]
pub(crate) struct RowMatcher {
    pub(crate) entries: EntryTable,
    /// By entry: the row that it last had.
    position: Vec<u32>,
    /// By row of the last reading: its entry; [`NONE`] for rows that there was no room for.
    order: Vec<u32>,
    next_order: Vec<u32>,
    matched: BitSet,
    row_order: RowOrder,
    /// The keys that the entries have, in their order, if the reader has a name for that.
    key_order: Option<KeyOrder>,
    /// Rows of the last reading whose entries are new.
    pub(crate) inserted: Vec<u32>,
    /// Rows of the last reading that have no entry, because there was no room for one.
    left_out: usize,
    /// Rows to be looked up by hash together.
    lookups: Vec<HashedRow>,
    /// Rows of this reading whose keys are not in the index.
    unmatched: Vec<HashedRow>,
}

/// A row and the hash of its key.
#[derive(Debug, Clone, Copy)]
struct HashedRow {
    row: u32,
    hash: u32,
}

/// How the order of the rows relates to that of the entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RowOrder {
    /// Row i is entry i, and there are no other entries.
    Identity,
    /// Another order, which may still change.
    Permuted,
    /// Another order that is worth renumbering the entries for.
    StablePermutation,
}

/// The entry of each row of a reading.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rows<'a> {
    /// Row i is entry i, for so many rows.
    Identity(usize),
    /// By row: its entry, or [`NONE`].
    Permuted(&'a [u32]),
}

/// Keys that the cursor compares ahead before it asks the hash index.
const AHEAD: usize = 4;

impl RowMatcher {
    pub(crate) fn new(key_size: usize) -> Self {
        Self {
            entries: EntryTable::new(key_size),
            position: Vec::new(),
            order: Vec::new(),
            next_order: Vec::new(),
            matched: BitSet::default(),
            row_order: RowOrder::Identity,
            key_order: None,
            inserted: Vec::new(),
            left_out: 0,
            lookups: Vec::new(),
            unmatched: Vec::new(),
        }
    }

    /// Matches the rows of an array: row i is entry i for ever. Rows from `room` on have no entry.
    pub(crate) fn match_array(&mut self, len: usize, room: usize) {
        self.inserted.clear();
        self.entries.removed.clear();
        for row in self.entries.slots()..len.min(room) {
            self.entries.push_array_entry();
            self.inserted.push(row as u32);
        }
        self.left_out = len.saturating_sub(self.entries.slots());
    }

    /// Matches the rows of a map with `keys` back to back, which are not looked at if `key_order` says that they are those of the entries. An entry
    /// whose key is missing is removed only after a `complete` reading. New entries are inserted while there are fewer than `room`.
    pub(crate) fn match_keys(&mut self, keys: &[u8], key_order: Option<KeyOrder>, complete: bool, room: usize) {
        self.inserted.clear();
        self.entries.removed.clear();
        self.left_out = 0;
        let rows = keys.len() / self.entries.key_size();
        if self.row_order == RowOrder::Identity && rows == self.entries.live() {
            let is_known = key_order.is_some() && key_order == self.key_order;
            if is_known || keys == self.entries.keys() {
                debug_assert!(keys == self.entries.keys(), "readings of the same keys in the same order");
                self.key_order = key_order;
                return;
            }
        }
        self.key_order = None;
        self.matched.clear();
        self.next_order.clear();
        if self.entries.live() == 0 {
            self.reserve(rows.min(room));
            self.next_order.reserve(rows);
        }
        let breaks = self.walk(keys);
        let missing = self.entries.live() - self.matched.count();
        // Entries are removed before others are inserted, which take their numbers.
        if complete && missing > 0 {
            self.entries.remove_all_but(&self.matched, missing);
        }
        self.insert_unmatched(keys, room);
        std::mem::swap(&mut self.order, &mut self.next_order);
        self.row_order = self.measure(breaks, missing == 0 || complete);
    }

    /// The entries of the last reading, which had `len` rows.
    pub(crate) fn rows(&self, len: usize) -> Rows<'_> {
        if self.row_order == RowOrder::Identity {
            Rows::Identity(len.min(self.entries.slots()))
        } else {
            Rows::Permuted(&self.order)
        }
    }

    /// The entry of a row of the last reading; none: there was no room for it.
    #[inline]
    pub(crate) fn entry_of(&self, row: usize) -> Option<u32> {
        let entry = match self.row_order {
            RowOrder::Identity if row < self.entries.slots() => row as u32,
            RowOrder::Identity => NONE,
            RowOrder::Permuted | RowOrder::StablePermutation => self.order[row],
        };
        (entry != NONE).then_some(entry)
    }

    /// Rows of the last reading that there was no room for.
    pub(crate) fn left_out(&self) -> usize {
        self.left_out
    }

    /// Renumbers the entries in the order of the last reading if that pays. `permute` is given the order, so that columns kept by
    /// entry can follow: the data of entry `order[i]` is now entry i's.
    pub(crate) fn renumber(&mut self, permute: impl FnOnce(&[u32])) {
        if self.row_order != RowOrder::StablePermutation {
            return;
        }
        permute(&self.order);
        let position = &self.position;
        self.entries.renumber(&self.order, |entry| position[entry as usize]);
        let live = self.entries.live() as u32;
        self.order.clear();
        self.order.extend(0..live);
        self.position.clear();
        self.position.extend(0..live);
        self.row_order = RowOrder::Identity;
    }

    /// Returns the memory that a burst of new keys took.
    pub(crate) fn shed(&mut self) {
        self.inserted.clear();
        shed(&mut self.inserted);
        shed(&mut self.unmatched);
        self.entries.shed();
    }

    /// Finds the entry of each row, or lists the row as unmatched. Returns how often the rows left the last order.
    fn walk(&mut self, keys: &[u8]) -> usize {
        let (mut next, mut breaks) = (0, 0);
        for (row, key) in keys.chunks_exact(self.entries.key_size()).enumerate() {
            self.next_order.push(NONE);
            if let Some(place) = self.expected(next, key) {
                breaks += usize::from(place != next);
                next = place + 1;
                self.match_row(row as u32, self.order[place]);
            } else {
                breaks += 1;
                self.lookups.push(HashedRow { row: row as u32, hash: self.entries.hash(key) });
                if self.lookups.len() == PREFETCHED
                    && let Some(place) = self.look_up(keys)
                {
                    next = place + 1;
                }
            }
        }
        self.look_up(keys);
        breaks
    }

    #[inline]
    fn match_row(&mut self, row: u32, entry: u32) {
        self.matched.insert(entry);
        self.position[entry as usize] = row;
        self.next_order[row as usize] = entry;
    }

    /// The key's place in the last order, if that is `next` or shortly after it.
    #[inline]
    fn expected(&self, next: usize, key: &[u8]) -> Option<usize> {
        let ahead = self.order.get(next..)?.iter().take(AHEAD);
        let is_match = |&(_, &entry): &(usize, &u32)| entry != NONE && same(self.entries.key(entry), key);
        ahead.enumerate().find(is_match).map(|(offset, _)| next + offset)
    }

    /// Looks the listed rows up by their hashes. Returns the last one's place in the last order, where the cursor continues.
    fn look_up(&mut self, keys: &[u8]) -> Option<usize> {
        let mut place = None;
        let mut lookups = std::mem::take(&mut self.lookups);
        lookups.iter().for_each(|lookup| self.entries.prefetch(lookup.hash));
        for lookup in lookups.drain(..) {
            place = None;
            let Some(entry) = self.entries.find_hashed(self.key_of(keys, lookup.row), lookup.hash) else {
                self.unmatched.push(lookup);
                continue;
            };
            let last = self.position[entry as usize] as usize;
            place = (self.order.get(last) == Some(&entry) && !self.matched.contains(entry)).then_some(last);
            self.match_row(lookup.row, entry);
        }
        self.lookups = lookups;
        place
    }

    /// Inserts an entry for every row whose key is not in the index, while there is room. A key that is listed twice gets one.
    fn insert_unmatched(&mut self, keys: &[u8], room: usize) {
        let mut unmatched = std::mem::take(&mut self.unmatched);
        self.reserve(unmatched.len().min(room.saturating_sub(self.entries.live())));
        for rows in unmatched.chunks(PREFETCHED) {
            rows.iter().for_each(|row| self.entries.prefetch(row.hash));
            for &HashedRow { row, hash } in rows {
                let key = self.key_of(keys, row);
                let live = self.entries.live();
                if live >= room {
                    match self.entries.find_hashed(key, hash) {
                        Some(entry) => self.match_row(row, entry),
                        None => self.left_out += 1,
                    }
                    continue;
                }
                let entry = self.entries.find_or_insert_hashed(key, hash);
                if self.entries.live() > live {
                    self.inserted.push(row);
                    if entry as usize == self.position.len() {
                        self.position.push(0);
                    }
                }
                self.match_row(row, entry);
            }
        }
        unmatched.clear();
        self.unmatched = unmatched;
    }

    #[inline]
    fn key_of<'k>(&self, keys: &'k [u8], row: u32) -> &'k [u8] {
        let size = self.entries.key_size();
        &keys[row as usize * size..][..size]
    }

    fn measure(&self, breaks: usize, only_live: bool) -> RowOrder {
        let one_row_each = only_live && self.left_out == 0 && self.order.len() == self.entries.live();
        if !one_row_each {
            return RowOrder::Permuted;
        }
        let jumps = self.order.windows(2).filter(|pair| pair[0].wrapping_add(1) != pair[1]).count();
        let starts_at_0 = self.order.first().is_none_or(|&first| first == 0);
        if jumps == 0 && starts_at_0 && self.entries.slots() == self.entries.live() {
            RowOrder::Identity
        } else if breaks == 0 || jumps > self.entries.live() / 4 {
            RowOrder::StablePermutation
        } else {
            RowOrder::Permuted
        }
    }

    fn reserve(&mut self, inserted: usize) {
        self.entries.reserve(inserted);
        self.position.reserve((self.entries.live() + inserted).saturating_sub(self.entries.slots()));
    }
}
