//! One scrape of a table, as types: each phase is a type with that phase's calls, and gives the next.
//!
//! ```text
//! table.request_again(view, |identity| …)         when looked-up names have changed
//! let scrape = table.scrape(since)                Observing
//!   scrape.observe(view, &snapshot)               counts what is labelled, remembers what is not
//! let labelling = scrape.label()                  Labelling; or scrape.pause() and later table.resume(observed)
//!   for id in labelling.unlabelled(view)          in batches:
//!       labelling.identity_bytes(view, id)            the plugin's question
//!       labelling.answer(view, id, Answer::…)         its answer; without one it is offered again in the next scrape
//! let settling = labelling.settle()               Settling
//!   settling.count(view, &snapshot)               counts what was labelled since, of the same snapshot
//! settling.finish()                               ends series that nothing feeds, folds gauges
//! ```
//!
//! A scrape that is dropped halfway loses nothing: the next one counts what it did not.

use ebhost_snapshot::Snapshot;

use super::Table;
use crate::schema::Schema;
use crate::{Answer, IdentityId};

/// A snapshot that is not the one expected: its keys, values or CPUs have another shape than the view's source has, it is a view's
/// second in one scrape, or has not the rows that were observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("view {view}: the snapshot's keys, values, CPUs or rows are not of the shape that its source has")]
pub struct ShapeMismatch {
    pub view: usize,
}

/// The first phase of a scrape: snapshots are counted.
#[derive(Debug)]
#[must_use = "a scrape has to be labelled or paused"]
pub struct Observing<'t> {
    table: &'t mut Table,
}

/// A scrape that was paused after its snapshots were counted. [`Table::resume`] continues it.
#[derive(Debug)]
#[must_use = "the scrape ends only when it is resumed"]
pub struct Observed {
    scrape: u64,
}

/// The second phase of a scrape: identities without labels are answered.
#[derive(Debug)]
#[must_use = "a scrape has to be settled"]
pub struct Labelling<'t> {
    table: &'t mut Table,
    /// The view that was answered last.
    view: usize,
}

/// The last phase of a scrape: rows that were labelled in it are counted.
#[derive(Debug)]
#[must_use = "a scrape has to be finished"]
pub struct Settling<'t> {
    table: &'t mut Table,
}

impl<'t> Observing<'t> {
    pub(super) fn new(table: &'t mut Table) -> Self {
        Self { table }
    }

    /// Counts the rows whose identities have labels, and remembers the others.
    ///
    /// # Errors
    /// If the snapshot does not fit, or the view has been observed in this scrape. The table is unchanged then.
    pub fn observe(&mut self, view: usize, snapshot: &Snapshot) -> Result<(), ShapeMismatch> {
        self.table.observe(view, snapshot)
    }

    /// Continues with labelling.
    pub fn label(self) -> Labelling<'t> {
        Labelling::new(self.table)
    }

    /// Releases the table until the scrape is resumed.
    pub fn pause(self) -> Observed {
        Observed { scrape: self.table.scrape }
    }
}

impl Observed {
    /// The number of the scrape that was paused.
    pub(super) fn into_scrape(self) -> u64 {
        let Self { scrape } = self;
        scrape
    }
}

impl<'t> Labelling<'t> {
    pub(super) fn new(table: &'t mut Table) -> Self {
        Self { table, view: 0 }
    }

    pub fn schema(&self) -> &Schema {
        &self.table.schema
    }

    /// Identities that an answer is requested for. Answered ones stay listed until the scrape is finished.
    pub fn unlabelled(&self, view: usize) -> &[IdentityId] {
        self.table.views[view].labels().identities.unanswered()
    }

    /// The bytes of an identity: the plugin's question.
    pub fn identity_bytes(&self, view: usize, id: IdentityId) -> &[u8] {
        self.table.views[view].labels().identities.get(id.0)
    }

    /// Records an answer. One of a wrong shape counts as [`Answer::Unknown`]; one for an identity that is gone is ignored.
    pub fn answer(&mut self, view: usize, id: IdentityId, answer: Answer<'_>) {
        if self.view != view {
            // Views find their series one after the other, so that the limit folds the same label sets in every run.
            self.table.views[self.view].resolve_pending(&mut self.table.store);
            self.view = view;
        }
        self.table.views[view].answer(id.0, answer, &mut self.table.store);
    }

    /// Continues with counting what was labelled.
    pub fn settle(self) -> Settling<'t> {
        Settling { table: self.table }
    }
}

impl Settling<'_> {
    /// Counts the rows that were labelled since `snapshot` was observed.
    ///
    /// # Errors
    /// If it is not the snapshot that was observed in this scrape.
    pub fn count(&mut self, view: usize, snapshot: &Snapshot) -> Result<(), ShapeMismatch> {
        self.table.count_labelled(view, snapshot)
    }

    /// Ends the scrape: series that nothing feeds any more end, and gauges are folded.
    pub fn finish(self) {
        self.table.finish();
    }
}
