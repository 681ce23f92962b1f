//! The entries of one view: rows of a snapshot meet the entries of the last one.
//!
//! A quiet map lists its keys in the same order each time. So entries lie in the order of the last reading, and "the
//! same keys as last time" is one comparison of memory. Where a few keys came or went, a cursor walks along the last
//! order: each row is compared with the key expected there, the next few are tried where one has gone, and only a key
//! that is found nowhere near is looked up by its hash, after which the cursor goes on from its place. When the order
//! has drifted far, or has come to rest, the entries are laid in it anew ([`Entries::renumber`]).
//!
//! It knows keys alone: no value, no label.

use foldhash::fast::RandomState;

use super::bits::Bits;
use super::family::hash;
use super::identities::NONE;
use super::index::{Index, TOGETHER};
use super::shed;
use super::short::{append, replace, same};

#[derive(Debug)]
pub(super) struct Entries {
    key_size: usize,
    /// By entry; empty for arrays, whose rows are their entries.
    keys: Vec<u8>,
    by_key: Index,
    hasher: RandomState,
    /// By entry; `NONE` until the view has set it, and for free ones.
    pub(super) identity: Vec<u32>,
    /// The row that each entry last had.
    position: Vec<u32>,
    /// The entries of the last reading's rows.
    order: Vec<u32>,
    next_order: Vec<u32>,
    alive: Bits,
    met: Bits,
    live: usize,
    free: Vec<u32>,
    drift: Drift,
    /// Rows whose entries the last reading brought, and the identities of entries that it ended.
    pub(super) born: Vec<u32>,
    pub(super) gone: Vec<u32>,
    /// Rows that are to be looked for together, and rows of this reading whose keys are new; each with its key's hash.
    aside: Vec<(u32, u32)>,
    strange: Vec<(u32, u32)>,
}

/// How far the rows' order is from the entries'.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drift {
    /// Row i is entry i, and there are no others.
    InStep,
    /// Not in step.
    Adrift,
    /// Not in step, but worth laying anew.
    Settled,
}

/// Which entry each row of a reading is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rows<'a> {
    InStep(usize),
    Mapped(&'a [u32]),
}

/// How many keys the cursor looks ahead for one before it asks the hash.
const AHEAD: usize = 4;

/// When more than one entry in so many ends, one sweep over the hash table is cheaper than finding each.
pub(super) const SWEEP: usize = 8;

impl Entries {
    pub(super) fn new(key_size: usize) -> Self {
        Self {
            key_size,
            keys: Vec::new(),
            by_key: Index::default(),
            hasher: RandomState::default(),
            identity: Vec::new(),
            position: Vec::new(),
            order: Vec::new(),
            next_order: Vec::new(),
            alive: Bits::default(),
            met: Bits::default(),
            live: 0,
            free: Vec::new(),
            drift: Drift::InStep,
            born: Vec::new(),
            gone: Vec::new(),
            aside: Vec::new(),
            strange: Vec::new(),
        }
    }

    /// Rows of an array: row i is entry i for ever.
    pub(super) fn meet_index(&mut self, len: usize) {
        self.born.clear();
        self.gone.clear();
        for entry in self.identity.len()..len {
            self.identity.push(NONE);
            self.alive.insert(entry as u32);
            self.born.push(entry as u32);
        }
        self.live = self.identity.len();
    }

    /// Rows of a map: `keys` back to back. A key that is not among them is gone only if the reading was complete.
    pub(super) fn meet_keys(&mut self, keys: &[u8], complete: bool) {
        self.born.clear();
        self.gone.clear();
        let rows = keys.len() / self.key_size;
        if self.drift == Drift::InStep && rows == self.live && keys == self.keys {
            return;
        }
        self.met.clear();
        self.next_order.clear();
        if self.live == 0 {
            self.reserve(rows);
        }
        let breaks = self.walk(keys);
        let missing = self.live - self.met.count();
        // First those that end: the new ones take their places.
        if complete && missing > 0 {
            self.end_missing(missing);
        }
        self.bear_strange(keys);
        std::mem::swap(&mut self.order, &mut self.next_order);
        self.drift = self.measure(breaks, missing == 0 || complete);
    }

    pub(super) fn rows(&self, len: usize) -> Rows<'_> {
        if self.drift == Drift::InStep { Rows::InStep(len) } else { Rows::Mapped(&self.order) }
    }

    #[inline]
    pub(super) fn of_row(&self, row: usize) -> u32 {
        if self.drift == Drift::InStep { row as u32 } else { self.order[row] }
    }

    pub(super) fn find(&self, key: &[u8]) -> Option<u32> {
        self.find_hashed(key, self.hash(key))
    }

    fn hash(&self, key: &[u8]) -> u32 {
        hash(&self.hasher, key)
    }

    fn find_hashed(&self, key: &[u8], hashed: u32) -> Option<u32> {
        self.by_key.find(hashed, |entry| same(self.key(entry), key))
    }

    /// Ends an entry.
    pub(super) fn end(&mut self, entry: u32) {
        let hashed = self.hash(self.key(entry));
        if self.by_key.remove(hashed, entry) {
            self.let_go(entry);
        }
    }

    /// Of an entry that no key leads to any more.
    fn let_go(&mut self, entry: u32) {
        self.alive.remove(entry);
        self.live -= 1;
        self.free.push(entry);
        self.gone.push(std::mem::replace(&mut self.identity[entry as usize], NONE));
    }

    #[inline]
    pub(super) fn key(&self, entry: u32) -> &[u8] {
        &self.keys[entry as usize * self.key_size..][..self.key_size]
    }

    pub(super) fn alive(&self) -> impl Iterator<Item = usize> + '_ {
        self.alive.iter()
    }

    pub(super) fn live(&self) -> usize {
        self.live
    }

    /// Entries that there is room for, free ones included.
    pub(super) fn slots(&self) -> usize {
        self.identity.len()
    }

    /// Lays the entries in the order of the last reading if that is worth it. `lay` is told the order, so that
    /// whatever is kept by entry follows: what entry `order[i]` had is entry i's now.
    pub(super) fn renumber(&mut self, lay: impl FnOnce(&[u32])) {
        if self.drift != Drift::Settled {
            return;
        }
        lay(&self.order);
        let mut keys = Vec::with_capacity(self.keys.len());
        for &entry in &self.order {
            keys.extend_from_slice(self.key(entry));
        }
        self.keys = keys;
        self.identity = self.order.iter().map(|&entry| self.identity[entry as usize]).collect();
        self.by_key.renumber(|entry| self.position[entry as usize]);
        let live = self.live as u32;
        self.order.clear();
        self.order.extend(0..live);
        self.position.clear();
        self.position.extend(0..live);
        self.free.clear();
        self.alive.clear();
        (0..live).for_each(|entry| _ = self.alive.insert(entry));
        self.drift = Drift::InStep;
    }

    /// What a burst of new keys took is given back.
    pub(super) fn shed(&mut self) {
        self.born.clear();
        for buffer in [&mut self.born, &mut self.gone, &mut self.free] {
            shed(buffer);
        }
        shed(&mut self.strange);
    }

    /// Finds each row's entry, or sets the row aside as strange; returns how often the rows left the last order.
    fn walk(&mut self, keys: &[u8]) -> usize {
        let (mut next, mut breaks) = (0, 0);
        for (row, key) in keys.chunks_exact(self.key_size).enumerate() {
            if let Some(place) = self.expected(next, key) {
                breaks += usize::from(place != next);
                next = place + 1;
                self.next_order.push(NONE);
                self.meet(row as u32, self.order[place]);
            } else {
                breaks += 1;
                self.next_order.push(NONE);
                self.aside.push((row as u32, self.hash(key)));
                if self.aside.len() == TOGETHER
                    && let Some(place) = self.look_up(keys)
                {
                    next = place + 1;
                }
            }
        }
        self.look_up(keys);
        breaks
    }

    /// The row is this entry.
    #[inline]
    fn meet(&mut self, row: u32, entry: u32) {
        self.met.insert(entry);
        self.position[entry as usize] = row;
        self.next_order[row as usize] = entry;
    }

    /// Where in the last order the key stands: at `next`, or a little ahead.
    #[inline]
    fn expected(&self, next: usize, key: &[u8]) -> Option<usize> {
        let ahead = self.order.get(next..)?.iter().take(AHEAD);
        ahead.enumerate().find(|(_, entry)| same(self.key(**entry), key)).map(|(offset, _)| next + offset)
    }

    /// Looks for the rows that were set aside by their keys' hashes. Gives the last one's place in the last order, where the
    /// cursor is to go on.
    fn look_up(&mut self, keys: &[u8]) -> Option<usize> {
        let mut place = None;
        let mut aside = std::mem::take(&mut self.aside);
        aside.iter().for_each(|(_, hashed)| self.by_key.warm(*hashed));
        for (row, hashed) in aside.drain(..) {
            let key = &keys[row as usize * self.key_size..][..self.key_size];
            place = None;
            let Some(entry) = self.find_hashed(key, hashed) else {
                self.strange.push((row, hashed));
                continue;
            };
            let last = self.position[entry as usize] as usize;
            place = (self.order.get(last) == Some(&entry) && !self.met.contains(entry)).then_some(last);
            self.meet(row, entry);
        }
        self.aside = aside;
        place
    }

    /// Bears an entry for each strange key. A key that is listed twice gets one.
    fn bear_strange(&mut self, keys: &[u8]) {
        let mut strange = std::mem::take(&mut self.strange);
        self.make_room(strange.len());
        for strange in strange.chunks(TOGETHER) {
            strange.iter().for_each(|(_, hashed)| self.by_key.warm(*hashed));
            for &(row, hashed) in strange {
                let key = &keys[row as usize * self.key_size..][..self.key_size];
                let live = self.live;
                let entry = self.find_or_bear(key, hashed);
                if self.live > live {
                    self.born.push(row);
                }
                self.meet(row, entry);
            }
        }
        strange.clear();
        self.strange = strange;
    }

    /// A new entry. Readings bear theirs themselves; events' keys come one by one.
    pub(super) fn bear(&mut self, key: &[u8]) -> u32 {
        self.find_or_bear(key, self.hash(key))
    }

    fn find_or_bear(&mut self, key: &[u8], hashed: u32) -> u32 {
        self.by_key.reserve(1);
        let place = match self.by_key.locate(hashed, |entry| same(self.key(entry), key)) {
            Ok(entry) => return entry,
            Err(place) => place,
        };
        let entry = self.free.pop().unwrap_or(self.identity.len() as u32);
        self.by_key.fill(place, hashed, entry);
        if entry as usize == self.identity.len() {
            append(&mut self.keys, key);
            self.identity.push(NONE);
            self.position.push(0);
        } else {
            replace(&mut self.keys[entry as usize * self.key_size..][..self.key_size], key);
            self.identity[entry as usize] = NONE;
        }
        self.alive.insert(entry);
        self.live += 1;
        entry
    }

    fn end_missing(&mut self, missing: usize) {
        // The last first: their places are then given out in the order of rows, which is cheap to read ever after.
        let mut ending = Vec::with_capacity(missing);
        ending.extend(self.alive.without(&self.met).map(|entry| entry as u32));
        if missing > self.live / SWEEP {
            if missing == self.live {
                self.by_key.clear();
            } else {
                self.by_key.retain(|entry| self.met.contains(entry));
            }
            ending.into_iter().rev().for_each(|entry| self.let_go(entry));
        } else {
            ending.into_iter().rev().for_each(|entry| self.end(entry));
        }
    }

    fn measure(&self, breaks: usize, only_live: bool) -> Drift {
        let one_row_each = only_live && self.order.len() == self.live;
        if !one_row_each {
            return Drift::Adrift;
        }
        let jumps = self.order.windows(2).filter(|pair| pair[0].wrapping_add(1) != pair[1]).count();
        let starts_at_0 = self.order.first().is_none_or(|&first| first == 0);
        if jumps == 0 && starts_at_0 && self.slots() == self.live {
            Drift::InStep
        } else if breaks == 0 || jumps > self.live / 4 {
            Drift::Settled
        } else {
            Drift::Adrift
        }
    }

    fn reserve(&mut self, rows: usize) {
        self.make_room(rows);
        self.next_order.reserve(rows);
    }

    /// For so many new entries, so that a burst of them does not move everything at each doubling.
    fn make_room(&mut self, born: usize) {
        self.by_key.reserve(born);
        if born > self.free.len() {
            let more = born - self.free.len();
            self.keys.reserve(more * self.key_size);
            self.identity.reserve(more);
            self.position.reserve(more);
        }
    }
}
