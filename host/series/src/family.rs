//! The series of one family: label blocks, cells, and how much feeds them.

use foldhash::fast::RandomState;
use std::hash::{BuildHasher, Hasher};

use super::bits::Bits;
use super::entries::SWEEP;
use super::index::Index;
use super::shed;
use super::short::zero;
use ebhost_metrics::{Family, FamilySeries, LabelBlocks, Layout};

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
    blocks: LabelBlocks,
    by_block: Index,
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
            blocks: LabelBlocks::default(),
            by_block: Index::default(),
            hasher: RandomState::default(),
            feeders: Vec::new(),
            free: Vec::new(),
            idle: Vec::new(),
        }
    }

    /// The family with its series, for the encoders.
    pub(super) fn series<'a>(&'a self, family: &'a Family) -> FamilySeries<'a> {
        FamilySeries {
            family,
            layout: &self.layout,
            feeders: &self.feeders,
            cells: &self.cells,
            start_seconds: &self.born,
            blocks: &self.blocks,
        }
    }

    /// See [`Index::warm`].
    #[inline]
    pub(super) fn warm(&self, hash: u32) {
        self.by_block.warm(hash);
    }

    /// The series of these labels, if there is one.
    #[inline]
    pub(super) fn find(&self, block: &[u8], hash: u32) -> Option<u32> {
        self.by_block.find(hash, |slot| self.blocks.get(slot) == block)
    }

    /// The series of these labels, which begins if there is none, fed by nothing yet.
    pub(super) fn find_or_create(&mut self, block: &[u8], hash: u32) -> u32 {
        self.by_block.reserve(1);
        let place = match self.by_block.locate(hash, |slot| self.blocks.get(slot) == block) {
            Ok(slot) => return slot,
            Err(place) => place,
        };
        let slot = self.free.pop().unwrap_or(self.feeders.len() as u32);
        self.by_block.fill(place, hash, slot);
        self.blocks.set(slot, block);
        if slot as usize == self.feeders.len() {
            self.feeders.push(0);
            self.born.push(0.0);
            self.cells.resize(self.cells.len() + self.width, 0);
        }
        self.born[slot as usize] = self.since;
        slot
    }

    /// Room for so many more labels, so that a burst of them does not move the table at each doubling.
    pub(super) fn reserve(&mut self, more: usize) {
        self.by_block.reserve(more);
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
            let mut ended = Bits::default();
            idle.iter().for_each(|slot| _ = ended.insert(*slot));
            self.by_block.retain(|slot| !ended.contains(slot));
        } else {
            for &slot in &idle {
                self.by_block.remove(self.hash(self.blocks.get(slot)), slot);
            }
        }
        for slot in idle.drain(..).rev() {
            let first = slot as usize * self.width;
            zero(&mut self.cells[first..first + self.width]);
            self.blocks.clear(slot);
            self.free.push(slot);
        }
        shed(&mut idle);
        self.idle = idle;
    }

    /// The hash to look for labels with.
    pub(super) fn hash(&self, block: &[u8]) -> u32 {
        hash(&self.hasher, block)
    }
}

/// The hash of a run of bytes.
#[inline]
pub(super) fn hash(hasher: &RandomState, bytes: &[u8]) -> u32 {
    let mut state = hasher.build_hasher();
    state.write(bytes);
    state.finish() as u32
}
