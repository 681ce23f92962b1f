//! Views: one reading of one source each. A [`TableView`] counts the increase of its entries' numbers, an [`EventView`] adds events
//! up.

mod amounts;
pub(crate) mod events;
pub(crate) mod exemplars;
pub(crate) mod predecessor;
pub(crate) mod recency;
pub(crate) mod table;

use ebhost_snapshot::{Keys, Snapshot};

use self::events::EventView;
use self::table::TableView;
use crate::Answer;
use crate::labels::ViewLabels;
use crate::plan::ViewPlan;
use crate::store::SeriesStore;

/// A view of either kind.
#[derive(Debug)]
pub(crate) enum View {
    Table(TableView),
    Events(EventView),
}

impl View {
    pub(crate) fn plan(&self) -> &ViewPlan {
        match self {
            Self::Table(view) => &view.plan,
            Self::Events(view) => &view.plan,
        }
    }

    pub(crate) fn labels(&self) -> &ViewLabels {
        match self {
            Self::Table(view) => &view.labels,
            Self::Events(view) => &view.labels,
        }
    }

    pub(crate) fn labels_mut(&mut self) -> &mut ViewLabels {
        match self {
            Self::Table(view) => &mut view.labels,
            Self::Events(view) => &mut view.labels,
        }
    }

    /// The number of entries.
    pub(crate) fn entries(&self) -> usize {
        match self {
            Self::Table(view) => view.rows.entries.live(),
            Self::Events(view) => view.entries.live(),
        }
    }

    /// Entry numbers that memory is allocated for.
    pub(crate) fn entry_slots(&self) -> usize {
        match self {
            Self::Table(view) => view.rows.entries.slots(),
            Self::Events(view) => view.entries.slots(),
        }
    }

    /// Bytes of answers that are kept beside entries and identities.
    pub(crate) fn answer_bytes(&self) -> usize {
        match self {
            Self::Table(_) => 0,
            Self::Events(view) => view.answer_bytes(),
        }
    }

    /// Rows of the last reading that there was no memory for.
    pub(crate) fn rows_left_out(&self) -> usize {
        match self {
            Self::Table(view) => view.rows.left_out(),
            Self::Events(_) => 0,
        }
    }

    /// Whether the snapshot has the shape that the schema and earlier snapshots promise.
    pub(crate) fn fits(&self, snapshot: &Snapshot) -> bool {
        let has_all_values = snapshot.values.len() >= snapshot.len * snapshot.row_stride();
        let fits_view = match self {
            Self::Table(view) => view.fits(snapshot),
            Self::Events(_) => matches!(snapshot.keys, Keys::Events { .. }),
        };
        snapshot.cpus > 0 && has_all_values && fits_view
    }

    /// Counts the rows whose identities have labels. A table remembers at most `room` entries, an event view too.
    pub(crate) fn observe(&mut self, snapshot: &Snapshot, store: &mut SeriesStore, room: usize) {
        match self {
            Self::Table(view) => view.observe(snapshot, store, room),
            Self::Events(view) => view.observe(snapshot, store, room),
        }
    }

    /// Records the answer to an identity.
    pub(crate) fn answer(&mut self, id: u32, answer: Answer<'_>, store: &mut SeriesStore) {
        match self {
            Self::Table(view) => view.answer(id, answer, store),
            Self::Events(view) => view.answer(id, answer, store),
        }
    }

    /// Counts the rows of the observed snapshot that were labelled since.
    pub(crate) fn count_labelled(&mut self, snapshot: &Snapshot, store: &mut SeriesStore) {
        match self {
            Self::Table(view) => view.count_labelled(snapshot, store),
            Self::Events(view) => view.count_labelled(store),
        }
    }

    /// Looks up the series that answers requested.
    pub(crate) fn resolve_pending(&mut self, store: &mut SeriesStore) {
        match self {
            Self::Table(view) => view.labels.resolve_pending(&view.plan, store),
            Self::Events(view) => view.labels.resolve_pending(&view.plan, store),
        }
    }

    /// Looks up the series that answers requested, and gives them what events brought, in views whose rows were not counted again.
    pub(crate) fn resolve_all(&mut self, store: &mut SeriesStore) {
        match self {
            Self::Table(view) => view.labels.resolve_pending(&view.plan, store),
            Self::Events(view) => view.count_labelled(store),
        }
    }

    /// Folds present values into their gauges.
    pub(crate) fn fold_gauges(&self, store: &mut SeriesStore) {
        match self {
            Self::Table(view) => view.fold_gauges(store),
            Self::Events(view) => view.fold_gauges(store),
        }
    }

    /// Ends a scrape.
    pub(crate) fn finish(&mut self) {
        if let Self::Table(view) = self {
            view.finish();
        }
        self.labels_mut().identities.trim_unanswered();
    }

    /// Whether entries of a replaced table may still have to be found again, or labels still have to come.
    pub(crate) fn is_settling(&self) -> bool {
        let has_predecessor = matches!(self, Self::Table(view) if view.has_predecessor());
        has_predecessor || self.labels().identities.unlabelled() > 0
    }
}
