//! A package's entries, identities and series.

mod inherit;
pub(crate) mod limits;
mod scrape;
mod stats;

use std::sync::Arc;

use ebhost_metrics::{Family, FamilySeries, Layout, SeriesSize, ServedBuckets};
use ebhost_snapshot::Snapshot;

pub use self::limits::{SchemaTooLarge, TableLimits};
pub use self::scrape::{Labelling, Observed, Observing, Settling, ShapeMismatch};
pub use self::stats::Stats;
use self::stats::Tallies;
use crate::counting::gauges;
use crate::plan::layout::layout_of;
use crate::plan::{Decrease, ViewPlan};
use crate::schema::Schema;
use crate::store::SeriesStore;
use crate::store::family::FamilyTable;
use crate::views::View;
use crate::views::events::EventView;
use crate::views::exemplars::{EventExemplars, ExemplarFields};
use crate::views::table::TableView;

/// The series of one package, and all state that keeps them right.
///
/// **What counts.** An entry is a key of a view. The increase of its numbers since it was last counted is added to the series that its
/// identity was given:
///
/// - A new entry counts from 0: all that it has is increase.
/// - A number below its baseline was reset: all of it is increase. Each number is judged by itself.
/// - While an identity has no answer, or one without series, the baselines of its entries do not move. Labels that come late lose
///   nothing, whether after a plugin's failure or after [`Skip`](crate::Answer::Skip). An entry that was labelled, then skipped, then
///   labelled again adds its growth since it was last counted.
/// - An entry that is listed twice in one snapshot is one entry: its second row has nothing to add.
/// - An entry is gone when a *complete* snapshot lacks it. What it added stays while anything feeds the series. A series ends in the
///   scrape in which it lost its last feeder and got no other.
/// - When an identity is given other labels, its entries' later increases go there; what they added stays.
/// - When the identity bytes in a value change under a key, the key's numbers continue from their baselines for the new identity: the
///   bytes are written before the first count, so the numbers were 0 then, or fell when the key was reused.
/// - Gauges are folded from the present values of the entries that are there, as last read.
/// - An event is an increase. Its entry ends after a time to live, or makes way for others; its series begins at 0 when it comes back.
/// - A table that replaces another continues its counters ([`Table::inherit`]).
///
/// The start time of a series is that of the oldest baseline which feeds it: the last time that all its counters were 0.
///
/// **What is bounded.** Series by `limits.series`, and what they take of an answer by `limits.exposition_bytes`; entries, identities and baselines by `limits.memory_bytes` and the maps' own sizes;
/// those of events by `limits.event_entries` as well.
#[derive(Debug)]
pub struct Table {
    schema: Arc<Schema>,
    limits: TableLimits,
    store: SeriesStore,
    views: Vec<View>,
    /// By view: the rows that were observed in this scrape.
    observed_rows: Vec<Option<usize>>,
    /// Bytes that the entries of all views take.
    memory_bytes: usize,
    /// Rows of views that were not looked at in this scrape, because there is no memory for any of them.
    rows_skipped: usize,
    /// The number of the last scrape that began.
    scrape: u64,
    /// Scrapes for which inherited series stay although nothing feeds them.
    inherited_scrapes: u32,
    /// Tallies of the tables that this one replaced.
    previous_tallies: Tallies,
}

impl Table {
    /// The same table for programs that may set their numbers lower.
    #[must_use]
    pub fn with_decrease(mut self, decrease: Decrease) -> Self {
        for view in &mut self.views {
            if let View::Table(view) = view {
                view.set_decrease(decrease);
            }
        }
        self
    }

    /// An empty table. The schema should have passed [`TableLimits::check`].
    pub fn new(schema: Arc<Schema>, limits: TableLimits) -> Self {
        let layouts: Vec<Layout> = (0..schema.families.len()).map(|family| layout_of(&schema, family)).collect();
        let view = |view| {
            let plan = ViewPlan::new(&schema, view, &layouts, limits.label_bytes);
            if plan.is_events() {
                View::Events(EventView::new(plan, limits.events()))
            } else {
                View::Table(TableView::new(plan))
            }
        };
        let views: Vec<_> = schema.views.iter().map(view).collect();
        let reserved_bytes = limits::reserved_bytes(&schema, &layouts, &limits);
        let table = |(family, layout): (&Family, Layout)| {
            let size = SeriesSize::new(family, &layout);
            FamilyTable::new(layout, size)
        };
        let tables = schema.families.iter().zip(layouts).map(table).collect();
        Self {
            observed_rows: vec![None; views.len()],
            views,
            store: SeriesStore::new(tables, limits, reserved_bytes),
            memory_bytes: 0,
            rows_skipped: 0,
            scrape: 0,
            inherited_scrapes: 0,
            previous_tallies: Tallies::default(),
            limits,
            schema,
        }
    }

    /// Exposes histograms with other bounds than they declare, by family: what [`served::choose`](crate::served::choose) gave for this
    /// table's schema. Cells stay as they are, so no count changes. To be called after [`inherit`](Self::inherit), which brings the
    /// choice of the table before.
    pub fn serve(&mut self, mut chosen: Vec<Option<ServedBuckets>>) {
        chosen.resize(self.store.tables.len(), None);
        for (table, served) in self.store.tables.iter_mut().zip(chosen) {
            table.serve(served);
        }
    }

    /// Keeps exemplars of the observations of these views from now on, at most so many for each family.
    pub fn record_exemplars(&mut self, fields: &[ExemplarFields], most: usize) {
        for (index, view) in self.views.iter_mut().enumerate() {
            if let View::Events(view) = view {
                let fields = fields.iter().find(|fields| fields.view == index);
                view.exemplars = fields.map(|fields| EventExemplars::new(*fields, most));
            }
        }
    }

    /// Notes when the sources were read for the scrape that begins, in seconds since 1970. Exemplars are of that time.
    pub fn note_reading(&mut self, unix_seconds: f64) {
        self.store.read_at_ms = (unix_seconds * 1000.0) as u64;
    }

    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Begins a scrape. A counter that is new in it was 0 at `since`, in seconds since 1970: when its source was first read, or read
    /// last. See [`Observing`] for what follows.
    pub fn scrape(&mut self, since: f64) -> Observing<'_> {
        self.begin(since);
        Observing::new(self)
    }

    /// Continues a scrape that was [paused](Observing::pause); `None` if it was not the last scrape of this table.
    pub fn resume(&mut self, observed: Observed) -> Option<Labelling<'_>> {
        (observed.into_scrape() == self.scrape).then(|| Labelling::new(self))
    }

    /// Requests a new answer for each identity of a view that `changed` accepts. Until it comes, its labels stay.
    pub fn request_again(&mut self, view: usize, changed: impl FnMut(&[u8]) -> bool) {
        self.views[view].labels_mut().identities.request_again(changed);
    }

    /// The identities of a view.
    pub fn identities(&self, view: usize) -> impl Iterator<Item = &[u8]> {
        self.views[view].labels().identities.iter()
    }

    /// The rows of a table view's last reading whose identities `is_wanted` accepts. To be called while that snapshot is the last one.
    pub fn rows_with(&self, view: usize, is_wanted: impl FnMut(&[u8]) -> bool) -> Vec<usize> {
        match &self.views[view] {
            View::Table(table) => table.rows_with(self.observed_rows[view].unwrap_or_default(), is_wanted),
            View::Events(_) => Vec::new(),
        }
    }

    /// Every family with its series. Families without series are included; whether to print those is the encoder's decision.
    pub fn families(&self) -> impl Iterator<Item = FamilySeries<'_>> {
        self.schema.families.iter().zip(&self.store.tables).map(|(family, table)| table.series(family))
    }

    /// The most bytes that the series take in an answer, in its longest format and without start times.
    pub fn exposition_bytes(&self) -> usize {
        self.store.exposition_bytes()
    }

    pub fn stats(&self) -> Stats {
        let sum = |size: fn(&View) -> usize| self.views.iter().map(size).sum();
        let mut stats = Stats {
            series: self.store.fed(),
            series_limit: self.limits.series,
            entries: sum(View::entries),
            identities: sum(|view| view.labels().identities.len()),
            unlabelled: sum(|view| view.labels().identities.requested()),
            rows_left_out: sum(View::rows_left_out) + self.rows_skipped,
            memory_bytes: self.memory_bytes,
            memory_limit_bytes: self.limits.memory_bytes,
            exposition_bytes: self.store.exposition_bytes(),
            exposition_limit_bytes: self.limits.exposition_bytes,
            ..Stats::default()
        };
        self.tallies().write_to(&mut stats);
        stats
    }

    fn tallies(&self) -> Tallies {
        self.previous_tallies.with(self.store.tallies, &self.views)
    }

    fn measure_memory(&mut self) {
        self.memory_bytes = self.views.iter().map(view_bytes).sum();
    }

    fn begin(&mut self, since: f64) {
        self.scrape += 1;
        self.store.since = since;
        self.observed_rows.fill(None);
        self.rows_skipped = 0;
    }

    fn observe(&mut self, view: usize, snapshot: &Snapshot) -> Result<(), ShapeMismatch> {
        if self.observed_rows[view].is_some() || !self.views[view].fits(snapshot) {
            return Err(ShapeMismatch { view });
        }
        self.observed_rows[view] = Some(snapshot.len);
        // Rows without an entry take memory, too: an index of each. Hundreds of views of one large map have many of them.
        let left_out: usize = self.views.iter().map(View::rows_left_out).sum();
        let view = &mut self.views[view];
        let rows_of_others = (left_out - view.rows_left_out()) * limits::ROW_BYTES;
        let others = self.memory_bytes.saturating_sub(view_bytes(view)).saturating_add(rows_of_others);
        if self.limits.memory_bytes.saturating_sub(others) < snapshot.len * limits::ROW_BYTES {
            self.rows_skipped += snapshot.len;
            return Ok(());
        }
        let entry = limits::entry_bytes(view.plan(), view.labels().series.cpus.max(snapshot.cpus));
        let room = self.limits.memory_bytes.saturating_sub(others + view.answer_bytes()) / entry;
        view.observe(snapshot, &mut self.store, room);
        self.memory_bytes = others - rows_of_others + view_bytes(view);
        Ok(())
    }

    fn count_labelled(&mut self, view: usize, snapshot: &Snapshot) -> Result<(), ShapeMismatch> {
        if self.observed_rows[view] != Some(snapshot.len) || !self.views[view].fits(snapshot) {
            return Err(ShapeMismatch { view });
        }
        self.views[view].count_labelled(snapshot, &mut self.store);
        Ok(())
    }

    fn finish(&mut self) {
        for view in &mut self.views {
            view.resolve_all(&mut self.store);
        }
        self.release_inherited();
        for family in &mut self.store.tables {
            family.end_idle();
        }
        self.store.measure_exposition();
        gauges::reset(self.views.iter().flat_map(|view| &view.plan().feeds), &mut self.store);
        for view in &mut self.views {
            view.fold_gauges(&mut self.store);
            view.finish();
        }
        self.measure_memory();
    }
}

fn view_bytes(view: &View) -> usize {
    view.entry_slots() * limits::entry_bytes(view.plan(), view.labels().series.cpus) + view.answer_bytes()
}
