//! Gauges: the present values of all entries, folded again at the end of each scrape.
//!
//! Values are stored when their rows are read, so an entry that an incomplete reading left out keeps its last value.

use ebhost_metrics::{CellKind, Fold, Layout};

use crate::plan::{FeedPlan, ValueRule};
use crate::store::SeriesStore;
use crate::store::family::FamilyTable;

/// Resets the cells of every gauge that a feed has, before its values are folded.
pub(crate) fn reset<'a>(feeds: impl Iterator<Item = &'a FeedPlan>, store: &mut SeriesStore) {
    for feed in feeds {
        if let ValueRule::Gauge { fold, .. } = feed.rule {
            let table = &mut store.tables[feed.family];
            if let Layout::Single(kind) = table.layout {
                table.cells.fill(kind.neutral(fold));
            }
        }
    }
}

/// How the values of one feed are folded into its gauge.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GaugeFold {
    fold: Fold,
    /// The kind of the stored values; `None`: each entry counts as 1.
    from: Option<CellKind>,
    to: CellKind,
}

impl GaugeFold {
    /// `None` if the feed's family is no gauge.
    pub(crate) fn new(feed: &FeedPlan, table: &FamilyTable) -> Option<Self> {
        match (&feed.rule, &table.layout) {
            (ValueRule::Gauge { reading, fold }, Layout::Single(kind)) => {
                Some(Self { fold: *fold, from: reading.map(|reading| reading.form.cell_kind()), to: *kind })
            }
            _ => None,
        }
    }

    /// Folds a stored value into a cell.
    #[inline]
    pub(crate) fn add(self, cell: &mut u64, stored: u64) {
        let value = self.from.map_or_else(|| self.to.convert(1, CellKind::U64), |from| self.to.convert(stored, from));
        *cell = self.to.fold(self.fold, *cell, value);
    }
}
