//! The series of one family: label blocks, cells, and how many identities feed each.

use ebhost_metrics::{
    Exemplars, Family, FamilySeries, LabelBlocks, Layout, SeriesRevisions, SeriesSize, ServedBuckets,
};
use ebhost_snapshot::BitSet;
use foldhash::fast::RandomState;

use crate::rows::entries::SWEEP;
use crate::util::index::HashIndex;
use crate::util::runs::zero;
use crate::util::{hash, shed};

/// Series by slot. A series keeps its slot while it lives, so that the order of printing is stable; the slot of one that ended is
/// reused.
#[derive(Debug)]
pub(crate) struct FamilyTable {
    pub(crate) layout: Layout,
    /// The buckets that an operator chose to expose.
    served: Option<ServedBuckets>,
    size: SeriesSize,
    /// The most bytes that all series take in an answer.
    exposition_bytes: usize,
    /// Cells a series.
    pub(crate) width: usize,
    /// By slot: `width` raw numbers.
    pub(crate) cells: Vec<u64>,
    /// By slot: when the series was 0, in seconds since 1970: the time of the oldest baseline that feeds it; 0 if unknown.
    start_seconds: Vec<f64>,
    blocks: LabelBlocks,
    revisions: SeriesRevisions,
    pub(crate) exemplars: Exemplars,
    by_block: HashIndex,
    hasher: RandomState,
    /// By slot: the identities that feed the series (counted once for each CPU that has a series), and 1 for an inherited series that
    /// none feeds yet.
    feeders: Vec<u32>,
    free: Vec<u32>,
    /// Series that lost their last feeder in this scrape. They end with it unless they get another.
    idle: Vec<u32>,
    /// Series of the table that this one replaced which no identity feeds yet, and their number.
    inherited: BitSet,
    inherited_len: usize,
    /// Series that label sets are folded into and that were created in this scrape.
    new_folds: Vec<u32>,
    folds: Vec<Fold>,
}

/// A series whose label set was folded into another one.
#[derive(Debug, Clone, Copy)]
struct Fold {
    from: u32,
    into: u32,
}

/// A label block and its hash.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HashedBlock<'a> {
    pub(crate) text: &'a [u8],
    pub(crate) hash: u32,
}

impl FamilyTable {
    pub(crate) fn new(layout: Layout, size: SeriesSize) -> Self {
        let width = layout.width();
        Self {
            layout,
            served: None,
            size,
            exposition_bytes: 0,
            width,
            cells: Vec::new(),
            start_seconds: Vec::new(),
            blocks: LabelBlocks::default(),
            revisions: SeriesRevisions::default(),
            exemplars: Exemplars::default(),
            by_block: HashIndex::default(),
            hasher: RandomState::default(),
            feeders: Vec::new(),
            free: Vec::new(),
            idle: Vec::new(),
            inherited: BitSet::default(),
            inherited_len: 0,
            new_folds: Vec::new(),
            folds: Vec::new(),
        }
    }

    /// The family with its series, for the encoders.
    pub(crate) fn series<'a>(&'a self, family: &'a Family) -> FamilySeries<'a> {
        FamilySeries {
            family,
            layout: &self.layout,
            feeders: &self.feeders,
            cells: &self.cells,
            start_seconds: &self.start_seconds,
            blocks: &self.blocks,
            revisions: Some(self.revisions.view()),
            served: self.served.as_ref(),
            exemplars: (!self.exemplars.is_empty()).then_some(&self.exemplars),
        }
    }

    /// Exposes these buckets.
    pub(crate) fn serve(&mut self, served: Option<ServedBuckets>) {
        if self.served != served {
            self.served = served;
            // The text that an encoder kept has other bounds.
            (0..self.feeders.len() as u32).for_each(|slot| self.revisions.touch(slot));
        }
    }

    /// An empty table of the same family.
    pub(crate) fn emptied(&self) -> Self {
        Self::new(self.layout.clone(), self.size)
    }

    /// The most bytes that all series take in an answer.
    pub(crate) fn exposition_bytes(&self) -> usize {
        self.exposition_bytes
    }

    /// The most bytes that a series with this label block takes in an answer.
    #[inline]
    pub(crate) fn bytes_of(&self, block: &[u8]) -> usize {
        self.size.with_labels(block.len())
    }

    /// See [`HashIndex::prefetch`].
    #[inline]
    pub(crate) fn prefetch(&self, hash: u32) {
        self.by_block.prefetch(hash);
    }

    /// The series of a label block, if there is one.
    #[inline]
    pub(crate) fn find(&self, block: &[u8], hash: u32) -> Option<u32> {
        self.by_block.find(hash, |slot| self.blocks.get(slot) == block)
    }

    /// The series of a label block, which is created without feeders if need be.
    pub(crate) fn find_or_create(&mut self, block: &[u8], hash: u32) -> u32 {
        self.by_block.reserve(1);
        let insert_slot = match self.by_block.locate(hash, |slot| self.blocks.get(slot) == block) {
            Ok(slot) => return slot,
            Err(insert_slot) => insert_slot,
        };
        let slot = self.free.pop().unwrap_or(self.feeders.len() as u32);
        self.by_block.fill(insert_slot, hash, slot);
        self.blocks.set(slot, block);
        self.revisions.touch(slot);
        self.exposition_bytes += self.bytes_of(block);
        if slot as usize == self.feeders.len() {
            self.feeders.push(0);
            self.start_seconds.push(f64::INFINITY);
            self.cells.resize(self.cells.len() + self.width, 0);
        }
        self.start_seconds[slot as usize] = f64::INFINITY;
        slot
    }

    /// The series that `block` is folded into beyond the limit, which has the block `other`.
    ///
    /// The series of `block` may just have lost its last feeder, as happens when the limit was lowered. If it then ends with this scrape,
    /// and `other` is new in it, `other` takes over what it counted, so that nothing is lost. A series that was there before would seem
    /// to grow by counts that were shown already.
    pub(crate) fn fold(&mut self, block: HashedBlock<'_>, other: HashedBlock<'_>) -> u32 {
        let existing = self.find(other.text, other.hash);
        let into = existing.unwrap_or_else(|| self.find_or_create(other.text, other.hash));
        if existing.is_none() {
            self.new_folds.push(into);
        }
        if let Some(from) = self.find(block.text, block.hash)
            && from != into
            && self.new_folds.contains(&into)
        {
            self.folds.push(Fold { from, into });
        }
        into
    }

    /// Moves what ended series counted into the new series that their label sets were folded into.
    fn move_folded(&mut self) {
        for Fold { from, into } in std::mem::take(&mut self.folds) {
            if self.feeders[from as usize] > 0 {
                continue;
            }
            for cell in 0..self.width {
                let counted = std::mem::take(&mut self.cells[from as usize * self.width + cell]);
                let sum = &mut self.cells[into as usize * self.width + cell];
                *sum = sum.wrapping_add(counted);
            }
            let started = self.start_seconds[from as usize];
            let start = &mut self.start_seconds[into as usize];
            *start = start.min(started);
        }
        self.new_folds.clear();
    }

    /// Reserves room for a burst of new label blocks, so that it does not move the index at each doubling.
    pub(crate) fn reserve(&mut self, more: usize) {
        self.by_block.reserve(more);
    }

    /// Whether an identity feeds the series.
    pub(crate) fn is_fed(&self, slot: u32) -> bool {
        self.feeders[slot as usize] > 0 && !self.inherited.contains(slot)
    }

    /// Adds a feeder whose baselines were taken at `since`; returns whether it is the only one.
    pub(crate) fn hold(&mut self, slot: u32, since: f64) -> bool {
        let start = &mut self.start_seconds[slot as usize];
        *start = start.min(since);
        if self.inherited_len > 0 && self.inherited.contains(slot) {
            self.inherited.remove(slot); // the feeder takes the place of the hold
            self.inherited_len -= 1;
            return true;
        }
        let feeders = &mut self.feeders[slot as usize];
        *feeders += 1;
        let first = *feeders == 1;
        if first {
            self.revisions.touch(slot);
        }
        first
    }

    /// Removes a feeder; returns whether it was the last.
    pub(crate) fn release(&mut self, slot: u32) -> bool {
        let feeders = &mut self.feeders[slot as usize];
        *feeders -= 1;
        let last = *feeders == 0;
        if last {
            self.revisions.touch(slot);
            self.idle.push(slot);
        }
        last
    }

    /// Ends the series that have no feeder.
    pub(crate) fn end_idle(&mut self) {
        self.move_folded();
        let mut idle = std::mem::take(&mut self.idle);
        // A slot that was fed and released again is listed twice.
        idle.sort_unstable();
        idle.dedup();
        idle.retain(|&slot| self.feeders[slot as usize] == 0);
        if idle.len() > self.by_block.len() / SWEEP {
            let mut ended = BitSet::default();
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
            self.exposition_bytes -= self.bytes_of(self.blocks.get(slot));
            self.blocks.clear(slot);
            self.revisions.touch(slot);
            self.exemplars.remove_series(slot);
            self.free.push(slot);
        }
        shed(&mut idle);
        self.idle = idle;
    }

    /// The hash of a label block.
    pub(crate) fn hash(&self, block: &[u8]) -> u32 {
        hash(&self.hasher, block)
    }

    /// Detaches every series from the identities that fed it in the replaced table. It stays until another identity feeds it, or until
    /// [`release_inherited`](Self::release_inherited).
    pub(crate) fn mark_inherited(&mut self) {
        for (slot, feeders) in self.feeders.iter_mut().enumerate().filter(|(_, feeders)| **feeders > 0) {
            *feeders = 1;
            self.inherited_len += usize::from(self.inherited.insert(slot as u32));
        }
    }

    /// Ends the inherited series that no identity feeds.
    pub(crate) fn release_inherited(&mut self) {
        for slot in self.inherited.iter() {
            self.feeders[slot] = 0;
            self.revisions.touch(slot as u32);
            self.idle.push(slot as u32);
        }
        self.inherited.clear();
        self.inherited_len = 0;
    }
}
