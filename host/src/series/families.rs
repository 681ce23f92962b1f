//! All families' series, within the package's limit.

use super::TableLimits;
use super::family::FamilyTable;
use super::labels::{OTHER, cut};
use super::layout::Layout;
use super::plan::FeedPlan;

#[derive(Debug)]
pub(super) struct Families {
    pub(super) tables: Vec<FamilyTable>,
    limits: TableLimits,
    /// Series that something feeds.
    pub(super) fed: usize,
    pub(super) folded: u64,
    pub(super) trimmed: u64,
    pub(super) replaced: u64,
    /// The label block being rendered.
    block: Vec<u8>,
}

impl Families {
    pub(super) fn new(layouts: Vec<Layout>, limits: TableLimits) -> Self {
        let tables = layouts.into_iter().map(FamilyTable::new).collect();
        Self { tables, limits, fed: 0, folded: 0, trimmed: 0, replaced: 0, block: Vec::new() }
    }

    /// One more feeder for the series of these labels, which begins if need be. A new label set for which there is no
    /// room left is folded into the one with `other` in all its columns.
    pub(super) fn hold<L: AsRef<str>>(&mut self, feed: &FeedPlan, labels: &[L], cpu: usize) -> u32 {
        let table = &mut self.tables[feed.family];
        let limit = self.limits.label_bytes;
        feed.template.render(&mut self.block, |column| cut(labels[column].as_ref(), limit), cpu);
        let has_room = self.fed < self.limits.series || !feed.template.has_columns();
        if !has_room && table.find(&self.block).is_none_or(|slot| !table.is_fed(slot)) {
            self.folded += 1;
            feed.template.render(&mut self.block, |_| OTHER, cpu);
        }
        let slot = table.find_or_create(&self.block);
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
    pub(super) fn note(&mut self, labels: &[&str]) {
        self.trimmed += labels.iter().filter(|label| label.len() > self.limits.label_bytes).count() as u64;
        self.replaced += labels.iter().filter(|label| label.contains(char::REPLACEMENT_CHARACTER)).count() as u64;
    }
}
