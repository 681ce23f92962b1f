//! What a table may hold, and what its schema and entries take of it.

use std::time::Duration;

use ebhost_metrics::Layout;

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
}

impl Default for TableLimits {
    fn default() -> Self {
        Self {
            series: 10_000,
            label_bytes: 1024,
            event_entries: 65_536,
            event_time_to_live: Duration::from_secs(24 * 60 * 60),
            memory_bytes: 1 << 30,
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

/// A schema that would take more memory than its table may, before it has any entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "found families and views whose texts, feeds and fixed series take {found} bytes, expected at most {expected}; try fewer of \
     them, shorter texts, or a higher `limits.series`, which allows more"
)]
pub struct SchemaTooLarge {
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

impl TableLimits {
    /// Checks a schema before a table is made of it.
    ///
    /// # Errors
    /// If its texts, feeds and the series without a label from an answer take more than `memory_bytes`.
    pub fn check(&self, schema: &Schema) -> Result<(), SchemaTooLarge> {
        let found = schema_bytes(schema);
        if found > self.memory_bytes { Err(SchemaTooLarge { found, expected: self.memory_bytes }) } else { Ok(()) }
    }

    pub(crate) fn events(&self) -> EventLimits {
        EventLimits { entries: self.event_entries, time_to_live: self.event_time_to_live.as_secs_f64() }
    }
}

fn schema_bytes(schema: &Schema) -> usize {
    let widths: Vec<usize> = (0..schema.families.len())
        .map(|family| layout_of(schema, family))
        .map(|layout: Layout| layout.width())
        .collect();
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
