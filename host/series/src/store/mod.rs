//! The series of all families of a package, within its limit.

pub(crate) mod family;

use self::family::{FamilyTable, HashedBlock};
use crate::TableLimits;
use crate::labels::template::{OTHER, cut, push_escaped};
use crate::labels::values::Labels;
use crate::plan::FeedPlan;
use crate::util::runs::RunBuffer;

/// Events of all views that change labels, since the start.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LabelTallies {
    /// Label sets folded into `other`.
    pub(crate) folded: u64,
    /// Those of them that were folded because they would have made an answer too long.
    pub(crate) folded_for_exposition: u64,
    /// Label values cut at the limit.
    pub(crate) trimmed: u64,
    /// Label values with U+FFFD in place of bytes that are not UTF-8.
    pub(crate) replaced: u64,
}

/// A table of series for each family, and what they share.
#[derive(Debug, Default)]
pub(crate) struct SeriesStore {
    /// By family.
    pub(crate) tables: Vec<FamilyTable>,
    pub(crate) limits: TableLimits,
    /// When the sources were last read before this scrape, in seconds since 1970: counters that are new now were 0 then.
    pub(crate) since: f64,
    /// When the sources were read for this scrape, in milliseconds since 1970, for exemplars.
    pub(crate) read_at_ms: u64,
    /// Series that an identity feeds.
    fed: usize,
    /// The most bytes that the series of all families take in an answer.
    exposition_bytes: usize,
    /// The most bytes of headings, of series whose labels no answer decides, and of those named `other`. They are always created, so room
    /// is kept for them.
    reserved_bytes: usize,
    pub(crate) tallies: LabelTallies,
    /// Scratch space: the label block being rendered, and that of the series which a label set is folded into.
    block: RunBuffer,
    other: RunBuffer,
}

impl SeriesStore {
    /// `reserved_bytes`: of an answer, for what is always created.
    pub(crate) fn new(tables: Vec<FamilyTable>, limits: TableLimits, reserved_bytes: usize) -> Self {
        Self { tables, limits, reserved_bytes, ..Self::default() }
    }

    /// Sets other limits; `reserved_bytes` as in [`new`](Self::new). Series beyond them stay as long as something feeds them.
    pub(crate) fn set_limits(&mut self, limits: TableLimits, reserved_bytes: usize) {
        self.limits = limits;
        self.reserved_bytes = reserved_bytes;
    }

    /// The most bytes that the package adds to an answer.
    pub(crate) fn exposition_bytes(&self) -> usize {
        self.exposition_bytes
    }

    /// Whether one more series whose labels an answer decides still fits into an answer.
    #[inline]
    fn fits_exposition(&self, bytes: usize) -> bool {
        self.exposition_bytes.saturating_add(self.reserved_bytes).saturating_add(bytes) <= self.limits.exposition_bytes
    }

    /// Adds up anew what the series take in an answer, after some have ended.
    pub(crate) fn measure_exposition(&mut self) {
        self.exposition_bytes = self.tables.iter().map(FamilyTable::exposition_bytes).sum();
    }

    /// Series that an identity feeds, of all families.
    pub(crate) fn fed(&self) -> usize {
        self.fed
    }

    /// Adds a feeder to the series of these labels, which is created if need be. `since` is when the feeder's baselines were taken.
    pub(crate) fn hold(&mut self, feed: &FeedPlan, labels: Labels<'_>, cpu: usize, since: f64) -> u32 {
        let mut block = std::mem::take(&mut self.block);
        block.clear();
        self.render(feed, labels, cpu, &mut block);
        let table = &self.tables[feed.family];
        let text = block.get(0, block.len());
        let slot = self.hold_block(feed, cpu, text, table.hash(text), since);
        self.block = block;
        slot
    }

    /// Appends the label block of a series.
    pub(crate) fn render(&self, feed: &FeedPlan, labels: Labels<'_>, cpu: usize, out: &mut RunBuffer) {
        let limit = self.limits.label_bytes;
        match labels.plain(limit) {
            Some(plain) => feed.template.render(out, |column, out| plain.push(column, out), cpu),
            None => feed.template.render(out, |column, out| push_escaped(cut(labels.get(column), limit), out), cpu),
        }
    }

    /// Like [`hold`](Self::hold), for a rendered block and its hash. Beyond the limits of series and of an answer's bytes, a new label set
    /// is folded into the series with `other` in every column.
    pub(crate) fn hold_block(&mut self, feed: &FeedPlan, cpu: usize, block: &[u8], hash: u32, since: f64) -> u32 {
        let table = &self.tables[feed.family];
        let has_room = !feed.template.has_columns()
            || (self.fed < self.limits.series
                && (self.fits_exposition(table.bytes_of(block)) || table.find(block, hash).is_some()));
        let table = &mut self.tables[feed.family];
        let bytes_before = table.exposition_bytes();
        let slot = if has_room {
            table.find_or_create(block, hash)
        } else if let Some(slot) = table.find(block, hash).filter(|slot| table.is_fed(*slot)) {
            slot
        } else {
            self.tallies.folded += 1;
            self.tallies.folded_for_exposition += u64::from(self.fed < self.limits.series);
            self.other.clear();
            feed.template.render(&mut self.other, |_, out| out.push(OTHER.as_bytes()), cpu);
            let other = self.other.get(0, self.other.len());
            table.fold(HashedBlock { text: block, hash }, HashedBlock { text: other, hash: table.hash(other) })
        };
        self.exposition_bytes += table.exposition_bytes() - bytes_before;
        self.fed += usize::from(table.hold(slot, since));
        slot
    }

    /// Reserves room for a burst of new label sets.
    pub(crate) fn reserve(&mut self, feed: &FeedPlan, more: usize) {
        let room = self.limits.series.saturating_sub(self.fed);
        self.tables[feed.family].reserve(more.min(room));
    }

    /// Removes a feeder from a series.
    pub(crate) fn release(&mut self, family: usize, slot: u32) {
        self.fed -= usize::from(self.tables[family].release(slot));
    }

    /// Counts label values that are cut or contain replacement characters.
    pub(crate) fn note(&mut self, labels: Labels<'_>) {
        if labels.plain(self.limits.label_bytes).is_some() {
            return;
        }
        self.tallies.trimmed += labels.iter().filter(|label| label.len() > self.limits.label_bytes).count() as u64;
        // Nearly all are ASCII, which is faster to establish than the absence of one character.
        let is_replaced = |label: &&str| !label.is_ascii() && label.contains(char::REPLACEMENT_CHARACTER);
        self.tallies.replaced += labels.iter().filter(is_replaced).count() as u64;
    }

    /// Takes over the series of `previous` for each family that `origin` names the previous index of.
    pub(crate) fn inherit(&mut self, mut previous: Self, origin: impl Fn(usize) -> Option<usize>) {
        for (family, table) in self.tables.iter_mut().enumerate() {
            if let Some(before) = origin(family) {
                let emptied = table.emptied();
                *table = std::mem::replace(&mut previous.tables[before], emptied);
                table.mark_inherited();
            }
        }
        self.measure_exposition();
    }

    /// Ends inherited series that no identity feeds.
    pub(crate) fn release_inherited(&mut self) {
        self.tables.iter_mut().for_each(FamilyTable::release_inherited);
    }
}
