//! All families' series, within the package's limit.

use super::TableLimits;
use super::family::FamilyTable;
use super::labels::{OTHER, cut, escape};
use super::plan::FeedPlan;
use super::short::Runs;
use super::values::Labels;
use ebhost_metrics::Layout;

#[derive(Debug, Default)]
pub(super) struct Families {
    pub(super) tables: Vec<FamilyTable>,
    limits: TableLimits,
    /// Series that something feeds.
    pub(super) fed: usize,
    pub(super) folded: u64,
    pub(super) trimmed: u64,
    pub(super) replaced: u64,
    /// The label block being rendered, and that of a series that is folded.
    block: Runs,
    other: Runs,
}

impl Families {
    pub(super) fn new(layouts: Vec<Layout>, limits: TableLimits) -> Self {
        let tables = layouts.into_iter().map(FamilyTable::new).collect();
        Self { tables, limits, ..Self::default() }
    }

    /// One more feeder for the series of these labels, which begins if need be.
    pub(super) fn hold(&mut self, feed: &FeedPlan, labels: Labels<'_>, cpu: usize) -> u32 {
        let mut block = std::mem::take(&mut self.block);
        block.clear();
        self.render(feed, labels, cpu, &mut block);
        let table = &self.tables[feed.family];
        let text = block.get(0, block.len());
        let slot = self.hold_block(feed, cpu, text, table.hash(text));
        self.block = block;
        slot
    }

    /// Appends the label block.
    pub(super) fn render(&self, feed: &FeedPlan, labels: Labels<'_>, cpu: usize, out: &mut Runs) {
        let limit = self.limits.label_bytes;
        match labels.plain(limit) {
            Some(plain) => feed.template.render(out, |column, out| plain.push(column, out), cpu),
            None => feed.template.render(out, |column, out| escape(cut(labels.get(column), limit), out), cpu),
        }
    }

    /// One more feeder for the series of a block with that hash. A new label set for which there is no room left is folded into
    /// the one with `other` in all its columns.
    pub(super) fn hold_block(&mut self, feed: &FeedPlan, cpu: usize, block: &[u8], hash: u32) -> u32 {
        let has_room = self.fed < self.limits.series || !feed.template.has_columns();
        let table = &mut self.tables[feed.family];
        let slot = if has_room {
            table.find_or_create(block, hash)
        } else if let Some(slot) = table.find(block, hash).filter(|slot| table.is_fed(*slot)) {
            slot
        } else {
            self.folded += 1;
            self.other.clear();
            feed.template.render(&mut self.other, |_, out| out.push(OTHER.as_bytes()), cpu);
            let other = self.other.get(0, self.other.len());
            table.find_or_create(other, table.hash(other))
        };
        self.fed += usize::from(table.hold(slot));
        slot
    }

    /// Room for a burst of new label sets.
    pub(super) fn reserve(&mut self, feed: &FeedPlan, more: usize) {
        let room = self.limits.series.saturating_sub(self.fed);
        self.tables[feed.family].reserve(more.min(room));
    }

    pub(super) fn release(&mut self, family: usize, slot: u32) {
        self.fed -= usize::from(self.tables[family].release(slot));
    }

    /// Counts what of the labels is not as it was.
    pub(super) fn note(&mut self, labels: Labels<'_>) {
        if labels.plain(self.limits.label_bytes).is_some() {
            return;
        }
        self.trimmed += labels.iter().filter(|label| label.len() > self.limits.label_bytes).count() as u64;
        // Nearly all are ASCII, which is seen sooner than that a character is not among them.
        let is_replaced = |label: &&str| !label.is_ascii() && label.contains(char::REPLACEMENT_CHARACTER);
        self.replaced += labels.iter().filter(is_replaced).count() as u64;
    }
}
