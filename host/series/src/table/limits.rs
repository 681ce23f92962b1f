//! What a table may hold, and what its schema and entries take of it.

use std::time::Duration;

use ebhost_metrics::{Layout, SeriesSize};

use crate::labels::template::block_bytes;
use crate::plan::ViewPlan;
use crate::plan::layout::layout_of;
use crate::schema::{LabelSource, Schema};

/// What a table may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableLimits {
    /// Series of all families together. New label sets beyond it are folded into series with `other` in their columns.
    pub series: usize,
    /// Bytes of a label value before escaping. Longer ones are cut at a character boundary.
    pub label_bytes: usize,
    /// Entries that an event view remembers: identities, times CPUs if each CPU has a series. Beyond it the least recently seen entry
    /// makes way.
    pub event_entries: usize,
    /// An event entry ends when it was not seen for so long.
    pub event_time_to_live: Duration,
    /// Bytes of entries, identities and baselines of all views together. Rows beyond it are left out.
    pub memory_bytes: usize,
    /// Bytes of all series in an answer, in its longest format and without start times. New label sets beyond it are folded, as beyond
    /// `series`.
    pub exposition_bytes: usize,
    /// CPUs that a row may have values for: those that the machine can ever have.
    pub cpus: usize,
}

impl Default for TableLimits {
    fn default() -> Self {
        Self {
            series: 10_000,
            label_bytes: 1024,
            event_entries: 65_536,
            event_time_to_live: Duration::from_secs(24 * 60 * 60),
            memory_bytes: 1 << 30,
            exposition_bytes: 1 << 30,
            cpus: 1,
        }
    }
}

/// The limits of one event view.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EventLimits {
    pub(crate) entries: usize,
    /// In seconds.
    pub(crate) time_to_live: f64,
}

/// A schema that takes more than its table may before the table has any entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "found families and views whose {cost} take {found} bytes, expected at most {expected}; try fewer of them, shorter texts, fewer \
     bounds, or a higher `limits.series`, which allows more"
)]
pub struct SchemaTooLarge {
    cost: &'static str,
    pub found: usize,
    pub expected: usize,
}

/// Bytes of a feed's plan.
const FEED_BYTES: usize = 256;

/// Bytes of one number of a feed's plan: where it lies, and its cell.
const LANE_BYTES: usize = 24;

/// Bytes of an entry and its identity beside key, identity and baselines: two index slots with a third of them free, and the columns
/// of `rows` and `labels`.
const ENTRY_BYTES: usize = 96;

/// Bytes of a row beside its entry: where it was in the last reading and is in this one.
pub(crate) const ROW_BYTES: usize = 8;

impl TableLimits {
    /// Checks a schema before a table is made of it.
    ///
    /// # Errors
    /// Its texts, feeds and the series without a label from an answer take more than `memory_bytes`, or its headings and the series that
    /// it always has may take more than `exposition_bytes` of an answer.
    pub fn check(&self, schema: &Schema) -> Result<(), SchemaTooLarge> {
        let layouts: Vec<Layout> = (0..schema.families.len()).map(|family| layout_of(schema, family)).collect();
        let costs = [
            ("texts, feeds and fixed series", schema_bytes(schema, &layouts), self.memory_bytes),
            ("headings and fixed series in an answer", reserved_bytes(schema, &layouts, self), self.exposition_bytes),
        ];
        match costs.into_iter().find(|(_, found, expected)| found > expected) {
            Some((cost, found, expected)) => Err(SchemaTooLarge { cost, found, expected }),
            None => Ok(()),
        }
    }

    pub(crate) fn events(&self) -> EventLimits {
        EventLimits { entries: self.event_entries, time_to_live: self.event_time_to_live.as_secs_f64() }
    }
}

/// Bytes that headings, series whose labels no answer decides, and those named `other` may take of an answer: a package cannot do
/// without them.
pub(crate) fn reserved_bytes(schema: &Schema, layouts: &[Layout], limits: &TableLimits) -> usize {
    let headings = schema.families.iter().map(SeriesSize::of_heading);
    let feeds = schema.views.iter().flat_map(|view| &view.feeds).map(|feed| {
        let family = &schema.families[feed.family];
        let series = if feed.labels.contains(&LabelSource::Cpu) { limits.cpus } else { 1 };
        let size = SeriesSize::new(family, &layouts[feed.family]);
        size.with_labels(block_bytes(family, feed, limits.label_bytes)).saturating_mul(series)
    });
    headings.chain(feeds).fold(0, usize::saturating_add)
}

fn schema_bytes(schema: &Schema, layouts: &[Layout]) -> usize {
    let widths: Vec<usize> = layouts.iter().map(Layout::width).collect();
    let families = schema.families.iter().map(|family| {
        let labels: usize = family.labels.iter().map(String::len).sum();
        family.name.len() + family.help.len() + family.unit.len() + labels
    });
    let feeds = schema.views.iter().flat_map(|view| &view.feeds).map(|feed| {
        let text = |label: &LabelSource| if let LabelSource::Fixed(text) = label { text.len() } else { 0 };
        let is_fixed = !feed.labels.iter().any(|label| matches!(label, LabelSource::Column(_)));
        let cells = if is_fixed { widths[feed.family] * size_of::<u64>() } else { 0 };
        FEED_BYTES + feed.labels.iter().map(text).sum::<usize>() + widths[feed.family] * LANE_BYTES + cells
    });
    families.chain(feeds).sum()
}

/// Bytes that one entry of a view takes, with an identity of its own.
pub(crate) fn entry_bytes(plan: &ViewPlan, cpus: usize) -> usize {
    let feed_bytes = plan.feeds.iter().map(|feed| {
        feed.baselines_per_entry(cpus) * size_of::<u64>() + feed.series_per_identity(cpus) * size_of::<u32>()
    });
    ENTRY_BYTES + plan.key_size + plan.identity_size + feed_bytes.sum::<usize>()
}
