//! Table views: rows with keys, whose numbers only grow (or are present values).
//!
//! An identity is computed when its entry is inserted, and checked again only if the view takes identity bytes from the value.

mod identify;

use ebhost_snapshot::{Keys, ReadNumber, Snapshot};

pub(super) use identify::gather_identity;

use super::predecessor::Predecessor;
use crate::Answer;
use crate::counting::baselines::Baselines;
use crate::counting::gauges::GaugeFold;
use crate::counting::{FeedColumns, count, count_in_order, reset_fallen};
use crate::labels::ViewLabels;
use crate::labels::identities::{NONE, Sharing};
use crate::labels::pending::FeedRef;
use crate::plan::{Decrease, FeedPlan, ViewPlan};
use crate::rows::matcher::{RowMatcher, Rows};
use crate::store::SeriesStore;
use crate::util::shed;

/// New entries of one scrape from which on it pays to reserve room for their identities and series beforehand.
const BURST: usize = 4096;

/// One view of a map or a perf source: entries, their identities and their baselines.
#[derive(Debug)]
pub(crate) struct TableView {
    pub(crate) plan: ViewPlan,
    pub(crate) rows: RowMatcher,
    pub(crate) labels: ViewLabels,
    baselines: Baselines,
    /// The read whose numbers all baselines are; none: some are earlier ones.
    counted: Option<ReadNumber>,
    /// Rows of this scrape that could not be counted for lack of an answer.
    unlabelled_rows: Vec<u32>,
    /// Whether entries without series may have been counted before.
    has_lapsed: bool,
    /// Whether an answer came since the rows were counted.
    has_answers: bool,
    /// The baselines of the view that this one replaced, until its entries are found again.
    predecessor: Option<Predecessor>,
    scratch: Vec<u8>,
}

impl TableView {
    /// Sets the meaning of numbers below their baselines, for all feeds.
    pub(crate) fn set_decrease(&mut self, decrease: Decrease) {
        self.plan.feeds.iter_mut().for_each(|feed| feed.decrease = decrease);
    }

    pub(crate) fn new(plan: ViewPlan) -> Self {
        Self {
            rows: RowMatcher::new(plan.key_size),
            labels: ViewLabels::new(&plan),
            baselines: Baselines::new(&plan),
            counted: None,
            unlabelled_rows: Vec::new(),
            has_lapsed: false,
            has_answers: false,
            predecessor: None,
            scratch: Vec::new(),
            plan,
        }
    }

    pub(crate) fn fits(&self, snapshot: &Snapshot) -> bool {
        let keys_fit = match &snapshot.keys {
            Keys::Index => self.plan.key_size == 4,
            Keys::Bytes { size, bytes } => *size == self.plan.key_size && bytes.len() >= snapshot.len * size,
            Keys::Events { .. } => false,
        };
        keys_fit && (self.rows.entries.live() == 0 || snapshot.cpus == self.labels.series.cpus)
    }

    /// Matches rows with entries and counts those that have labels. Where all baselines are those of an earlier read, only rows that changed since are
    /// looked at.
    pub(crate) fn observe(&mut self, snapshot: &Snapshot, store: &mut SeriesStore, room: usize) {
        self.labels.resolve_pending(&self.plan, store);
        match &snapshot.keys {
            Keys::Bytes { size, bytes } => {
                self.rows.match_keys(&bytes[..snapshot.len * size], snapshot.key_order, snapshot.complete, room);
            }
            Keys::Index | Keys::Events { .. } => self.rows.match_array(snapshot.len, room),
        }
        self.labels.series.cpus = snapshot.cpus;
        if self.plan.sharing() == Sharing::OneEach {
            self.drop_orphans(store); // no entry takes one over, so new identities can have their numbers
        }
        self.reserve_for_burst(store);
        self.identify_inserted(snapshot, store.since);
        if self.plan.identity_in_value {
            self.identify_changed(snapshot, store.since);
        }
        self.make_room();
        self.initialize_baselines(snapshot);
        self.drop_orphans(store);
        self.find_unlabelled_rows(snapshot.len);
        self.count_rows(snapshot, store);
        // Before labelling, when a burst of new series has most memory in use.
        self.rows.shed();
        self.labels.identities.shed();
    }

    /// Counts the rows that were labelled since the snapshot was observed.
    pub(crate) fn count_labelled(&mut self, snapshot: &Snapshot, store: &mut SeriesStore) {
        self.labels.resolve_pending(&self.plan, store);
        if std::mem::take(&mut self.has_answers) {
            self.each_feed(store, |feed, rows, unlabelled, columns| {
                let rows = unlabelled.iter().filter_map(|&row| {
                    let entry = rows.entry_of(row as usize)?;
                    Some((row as usize, entry as usize))
                });
                count(feed, snapshot, rows, columns);
            });
        }
    }

    pub(crate) fn answer(&mut self, id: u32, answer: Answer<'_>, store: &mut SeriesStore) {
        let Some(accepted) = self.labels.accept(&self.plan, id, answer, store) else { return };
        self.has_answers = true;
        let Some(labels) = accepted.labels else {
            self.has_lapsed |= accepted.was_labelled;
            return;
        };
        for (index, plan) in self.plan.feeds.iter().enumerate() {
            self.labels.request_series(FeedRef { index, plan }, id, labels, store);
            // After each feed: hundreds of feeds of long labels would queue gigabytes.
            self.labels.resolve_full_batch(&self.plan, store);
        }
    }

    pub(crate) fn fold_gauges(&self, store: &mut SeriesStore) {
        for (index, feed) in self.plan.feeds.iter().enumerate() {
            let table = &mut store.tables[feed.family];
            let Some(gauge) = GaugeFold::new(feed, table) else { continue };
            let parts = feed.series_per_identity(self.labels.series.cpus);
            for entry in self.rows.entries.alive() {
                let first = self.rows.entries.identity[entry] as usize * parts;
                for part in 0..parts {
                    let slot = self.labels.series.by_feed[index][first + part];
                    if slot != NONE {
                        gauge.add(&mut table.cells[slot as usize], self.baselines.by_feed[index][entry * parts + part]);
                    }
                }
            }
        }
    }

    /// Those of the `len` rows of the last reading whose identities `is_wanted` accepts.
    pub(crate) fn rows_with(&self, len: usize, is_wanted: impl FnMut(&[u8]) -> bool) -> Vec<usize> {
        let wanted = self.labels.identities.with(is_wanted);
        if wanted.is_empty() {
            return Vec::new();
        }
        let is_wanted = |row: &usize| {
            let entry = self.rows.entry_of(*row);
            entry.is_some_and(|entry| wanted.contains(&self.rows.entries.identity[entry as usize]))
        };
        (0..len).filter(is_wanted).collect()
    }

    /// Ends a scrape.
    pub(crate) fn finish(&mut self) {
        self.unlabelled_rows.clear();
        shed(&mut self.unlabelled_rows);
        self.has_lapsed &= self.has_predecessor() || !self.labels.identities.are_all_labelled();
        let (plan, cpus, baselines) = (&self.plan, self.labels.series.cpus, &mut self.baselines);
        self.rows.renumber(|order| baselines.permute(plan, cpus, order));
    }

    /// Starts new entries from the baselines of the view that this one replaced.
    pub(crate) fn inherit(&mut self, predecessor: Predecessor) {
        self.predecessor = Some(predecessor);
        self.has_lapsed = true;
    }

    pub(crate) fn has_predecessor(&self) -> bool {
        self.predecessor.is_some()
    }

    /// Takes the view apart for the one that replaces it.
    pub(crate) fn into_parts(self) -> Parts {
        let since = self.labels.identities.since();
        let since_of = |&id: &u32| since.get(id as usize).copied().unwrap_or_default();
        Parts {
            since: self.rows.entries.identity.iter().map(since_of).collect(),
            plan: self.plan,
            rows: self.rows,
            cpus: self.labels.series.cpus,
            baselines: self.baselines,
            predecessor: self.predecessor,
        }
    }

    /// Reserves room for many new entries at once, so that every buffer grows once.
    fn reserve_for_burst(&mut self, store: &mut SeriesStore) {
        let inserted = self.rows.inserted.len();
        if inserted > BURST && self.plan.identity_size >= self.plan.key_size {
            self.labels.identities.reserve(inserted);
            for feed in &self.plan.feeds {
                store.reserve(feed, inserted);
            }
        }
    }

    fn make_room(&mut self) {
        self.labels.make_room(&self.plan);
        self.baselines.make_room(&self.plan, self.labels.series.cpus, self.rows.entries.slots());
    }

    /// New entries count from 0, or from where the replaced view counted them last.
    fn initialize_baselines(&mut self, snapshot: &Snapshot) {
        let (cpus, rows) = (self.labels.series.cpus, &self.rows);
        let inserted = rows.inserted.iter().filter_map(|&row| rows.entry_of(row as usize));
        self.baselines.clear(&self.plan, cpus, &inserted);
        let Some(predecessor) = &self.predecessor else { return };
        for &row in &rows.inserted {
            if let Some(entry) = rows.entry_of(row as usize) {
                predecessor.copy_baselines(&self.plan, snapshot, row as usize, entry, &mut self.baselines);
            }
        }
        if snapshot.complete && rows.left_out() == 0 {
            self.predecessor = None;
        }
    }

    fn drop_orphans(&mut self, store: &mut SeriesStore) {
        for id in self.rows.entries.removed.drain(..) {
            self.labels.identities.release(id);
        }
        self.labels.drop_orphans(&self.plan, store);
    }

    fn find_unlabelled_rows(&mut self, len: usize) {
        self.unlabelled_rows.clear();
        if self.labels.identities.unlabelled() == 0 {
            return;
        }
        for row in 0..len {
            let Some(entry) = self.rows.entry_of(row) else { continue };
            if self.labels.identities.is_unlabelled(self.rows.entries.identity[entry as usize]) {
                self.unlabelled_rows.push(row as u32);
            }
        }
    }

    fn count_rows(&mut self, snapshot: &Snapshot, store: &mut SeriesStore) {
        let has_lapsed = self.has_lapsed;
        let counted = self.counted.take().filter(|_| !has_lapsed && self.rows.inserted.is_empty());
        let mut has_skipped = false;
        self.each_feed(store, |feed, rows, _, columns| {
            match rows.rows(snapshot.len) {
                Rows::Identity(len) => {
                    let rows = (0..len).map(|row| (row, row));
                    if has_lapsed {
                        reset_fallen(feed, snapshot, rows, columns);
                    }
                    match counted.and_then(|counted| snapshot.changes.since(counted)) {
                        Some(changed) => {
                            let changed = changed.take_while(|row| *row < len);
                            count(feed, snapshot, changed.map(|row| (row, row)), columns);
                        }
                        None => count_in_order(feed, snapshot, len, columns),
                    }
                }
                Rows::Permuted(order) => {
                    let rows = order.iter().enumerate().filter(|(_, entry)| **entry != NONE);
                    let rows = rows.map(|(row, &entry)| (row, entry as usize));
                    if has_lapsed {
                        reset_fallen(feed, snapshot, rows.clone(), columns);
                    }
                    count(feed, snapshot, rows, columns);
                }
            }
            has_skipped |= columns.has_skipped;
        });
        self.counted = snapshot.read.filter(|_| snapshot.complete && !has_skipped);
    }

    /// Calls `each` for every feed with the rows, the unlabelled ones among them, and the columns that counting uses.
    fn each_feed(
        &mut self,
        store: &mut SeriesStore,
        mut each: impl FnMut(&FeedPlan, &RowMatcher, &[u32], &mut FeedColumns<'_>),
    ) {
        for (index, feed) in self.plan.feeds.iter().enumerate() {
            let table = &mut store.tables[feed.family];
            let mut columns = FeedColumns {
                identity: &self.rows.entries.identity,
                series: &self.labels.series.by_feed[index],
                buckets: &self.labels.buckets,
                baselines: &mut self.baselines.by_feed[index],
                cells: &mut table.cells,
                width: table.width,
                has_skipped: false,
            };
            each(feed, &self.rows, &self.unlabelled_rows, &mut columns);
        }
    }
}

/// A table view taken apart.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) plan: ViewPlan,
    pub(crate) rows: RowMatcher,
    pub(crate) cpus: usize,
    pub(crate) baselines: Baselines,
    /// By entry: when its baselines were taken first.
    pub(crate) since: Vec<f64>,
    pub(crate) predecessor: Option<Predecessor>,
}
