//! The series of one family: label blocks, cells, and how much feeds them.

use foldhash::fast::RandomState;
use hashbrown::{HashTable, hash_table::Entry};
use std::hash::{BuildHasher, Hasher};

use super::blocks::Blocks;
use super::entries::SWEEP;
use super::layout::Layout;
use super::schema::Family;
use super::shed;

/// Series by slot. A series keeps its slot while it lives, so the order of printing does not change under it; a new one
/// may take the slot of one that has ended.
#[derive(Debug)]
pub(super) struct FamilyTable {
    pub(super) layout: Layout,
    /// Cells a series.
    pub(super) width: usize,
    /// `width` raw numbers a slot.
    pub(super) cells: Vec<u64>,
    /// For each slot, when its series was surely 0; in seconds since 1970.
    born: Vec<f64>,
    /// That of series which begin now.
    pub(super) since: f64,
    blocks: Blocks,
    by_block: HashTable<u32>,
    /// By slot the hash of its labels: a table that grows need not read them again.
    hashes: Vec<u32>,
    hasher: RandomState,
    /// Identities (each CPU's, where they are apart) that feed the slot's series.
    feeders: Vec<u32>,
    free: Vec<u32>,
    /// Series that lost their last feeder in this scrape; they end with it unless something feeds them again.
    idle: Vec<u32>,
}

impl FamilyTable {
    pub(super) fn new(layout: Layout) -> Self {
        let width = layout.width();
        Self {
            layout,
            width,
            cells: Vec::new(),
            born: Vec::new(),
            since: 0.0,
            blocks: Blocks::default(),
            by_block: HashTable::new(),
            hashes: Vec::new(),
            hasher: RandomState::default(),
            feeders: Vec::new(),
            free: Vec::new(),
            idle: Vec::new(),
        }
    }

    /// The series of these labels, if there is one.
    #[inline]
    pub(super) fn find(&self, block: &[u8], hash: u32) -> Option<u32> {
        let same = |&slot: &u32| self.hashes[slot as usize] == hash && self.blocks.get(slot) == block;
        self.by_block.find(spread(hash), same).copied()
    }

    /// The series of these labels, which begins if there is none, fed by nothing yet.
    pub(super) fn find_or_create(&mut self, block: &[u8], hash: u32) -> u32 {
        let (blocks, hashes) = (&self.blocks, &self.hashes);
        let same = |&slot: &u32| hashes[slot as usize] == hash && blocks.get(slot) == block;
        let place = match self.by_block.entry(spread(hash), same, |&slot| spread(hashes[slot as usize])) {
            Entry::Occupied(found) => return *found.get(),
            Entry::Vacant(place) => place,
        };
        let slot = self.free.pop().unwrap_or(self.feeders.len() as u32);
        place.insert(slot);
        self.blocks.set(slot, block);
        if slot as usize == self.feeders.len() {
            self.feeders.push(0);
            self.born.push(0.0);
            self.hashes.push(0);
            self.cells.resize(self.cells.len() + self.width, 0);
        }
        self.born[slot as usize] = self.since;
        self.hashes[slot as usize] = hash;
        slot
    }

    /// Room for so many more labels, so that a burst of them does not move the table at each doubling.
    pub(super) fn reserve(&mut self, more: usize) {
        self.by_block.reserve(more, |&slot| spread(self.hashes[slot as usize]));
    }

    /// Whether anything feeds the series.
    pub(super) fn is_fed(&self, slot: u32) -> bool {
        self.feeders[slot as usize] > 0
    }

    /// One more feeder; true: it is the first.
    pub(super) fn hold(&mut self, slot: u32) -> bool {
        let feeders = &mut self.feeders[slot as usize];
        *feeders += 1;
        *feeders == 1
    }

    /// One feeder less; true: it was the last.
    pub(super) fn release(&mut self, slot: u32) -> bool {
        let feeders = &mut self.feeders[slot as usize];
        *feeders -= 1;
        let last = *feeders == 0;
        if last {
            self.idle.push(slot);
        }
        last
    }

    /// Ends the series that nothing feeds.
    pub(super) fn end_idle(&mut self) {
        let mut idle = std::mem::take(&mut self.idle);
        // A slot is listed twice when it was fed and left again; fed, it stays.
        idle.sort_unstable();
        idle.dedup();
        idle.retain(|&slot| !self.is_fed(slot));
        if idle.len() > self.by_block.len() / SWEEP {
            let feeders = &self.feeders;
            self.by_block.retain(|slot| feeders[*slot as usize] > 0);
        } else {
            for &slot in &idle {
                let hash = spread(self.hashes[slot as usize]);
                if let Ok(found) = self.by_block.find_entry(hash, |other| *other == slot) {
                    found.remove();
                }
            }
        }
        for slot in idle.drain(..).rev() {
            let first = slot as usize * self.width;
            self.cells[first..first + self.width].fill(0);
            self.blocks.clear(slot);
            self.free.push(slot);
        }
        shed(&mut idle);
        self.idle = idle;
    }

    /// The hash to look for labels with.
    pub(super) fn hash(&self, block: &[u8]) -> u32 {
        hash(&self.hasher, block) as u32
    }
}

/// A short hash, with its bits where a table looks for them.
#[inline]
pub(super) fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The hash of a run of bytes.
#[inline]
pub(super) fn hash(hasher: &RandomState, bytes: &[u8]) -> u64 {
    let mut state = hasher.build_hasher();
    state.write(bytes);
    state.finish()
}

/// A family and its series, for the exposition.
#[derive(Debug, Clone, Copy)]
pub struct FamilySeries<'a> {
    family: &'a Family,
    table: &'a FamilyTable,
}

impl<'a> FamilySeries<'a> {
    pub(super) fn new(family: &'a Family, table: &'a FamilyTable) -> Self {
        Self { family, table }
    }

    pub fn family(&self) -> &'a Family {
        self.family
    }

    /// What the cells of each series mean.
    pub fn layout(&self) -> &'a Layout {
        &self.table.layout
    }

    /// When each series of `iter`, in its order, was surely 0: seconds since 1970; 0: nobody said.
    pub fn born(&self) -> impl Iterator<Item = f64> + use<'a> {
        let table = self.table;
        table.feeders.iter().zip(&table.born).filter(|(feeders, _)| **feeders > 0).map(|(_, born)| *born)
    }

    /// Each series that something feeds: its label block, escaped, without braces, and its raw cells.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u64])> + use<'a> {
        let table = self.table;
        let fed = table.feeders.iter().zip(table.cells.chunks_exact(table.width)).enumerate();
        fed.filter(|(_, (feeders, _))| **feeders > 0).map(|(slot, (_, cells))| (table.blocks.get(slot as u32), cells))
    }
}
