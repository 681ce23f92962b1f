//! A package's entries, identities and series.

use std::sync::Arc;

use super::families::Families;
use super::gauges;
use super::layout::layout_of;
use super::plan::Plan;
use super::schema::Schema;
use super::view::ViewTable;
use super::{Answer, IdentityId, Stats, TableLimits};
use ebhost_metrics::{FamilySeries, Layout};
use ebhost_snapshot::Snapshot;

/// The series of one package, and all that is remembered to keep them right.
///
/// **What counts.** An entry is a key of a view. It is counted by the increase of its numbers since it was last
/// counted, into the series that its identity was given:
///
/// - A new entry counts from 0: all that it has is increase.
/// - A number that fell has begun again at 0: all of it is increase. Each number is judged by itself.
/// - While an identity has no answer, or one without series, the base of its entries does not move. Labels that come
///   late lose nothing, be it after a plugin's failure or after `Skip`; an entry that was labelled, then skipped, then
///   labelled again brings what it grew since it was last counted.
/// - An entry that is listed twice in one snapshot is one entry: its second row finds nothing to add.
/// - An entry is gone when a *complete* snapshot lacks it. What it gave stays as long as anything feeds the series; the
///   series ends in the scrape in which its last feeder is gone and no other has come.
/// - When an identity is given other labels, its entries' later increases go there; what they gave stays where it is.
/// - When the identity bytes in a value change under a key, the key's numbers go on from where they were, for the new
///   identity: the bytes are written before the first count, so that they are 0 then, or fell when it was used anew.
/// - Present values (gauges) are those of the entries that are there, as last read.
///
/// **What is bounded.** Series by `limits.series`, entries and identities by the maps' own sizes, those of events by
/// `limits.event_entries`.
#[derive(Debug)]
pub struct Table {
    schema: Arc<Schema>,
    limits: TableLimits,
    families: Families,
    views: Vec<ViewTable>,
}

/// A snapshot that is not one of this view's source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("view {view}: the snapshot's keys, values or CPUs are not of the shape that its source has")]
pub struct Misfit {
    pub view: usize,
}

impl Table {
    pub fn new(schema: Arc<Schema>, limits: TableLimits) -> Self {
        let layouts: Vec<Layout> = (0..schema.families.len()).map(|family| layout_of(&schema, family)).collect();
        let plan = |view| Plan::new(&schema, view, &layouts, limits.label_bytes);
        let views = schema.views.iter().map(|view| ViewTable::new(plan(view), limits.event_entries)).collect();
        Self { families: Families::new(layouts, limits), views, limits, schema }
    }

    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Begins a scrape.
    pub fn begin(&mut self) {
        for view in &mut self.views {
            view.identities.trim_unseen();
        }
    }

    /// Series that begin from now on are new since then, in seconds since 1970: the source's first read, or the last one.
    pub fn new_since(&mut self, seconds: f64) {
        self.families.tables.iter_mut().for_each(|family| family.since = seconds);
    }

    /// Asks anew about the identities that `changed` picks; until an answer comes their labels stand. To be called
    /// before `observe`, so that what gets its first labels is counted in the same scrape.
    pub fn ask_again(&mut self, view: usize, changed: impl FnMut(&[u8]) -> bool) {
        self.views[view].identities.ask_again(changed);
    }

    /// Asks anew about everything, because the component was exchanged for one with an equal schema. Nothing is reset.
    pub fn ask_all_again(&mut self) {
        for view in &mut self.views {
            view.identities.ask_again(|_| true);
        }
    }

    /// Counts the rows whose identities have labels, and remembers the others. A snapshot that does not fit is not
    /// looked at.
    pub fn observe(&mut self, view: usize, snapshot: &Snapshot) -> Result<(), Misfit> {
        self.check(view, snapshot)?;
        self.views[view].place(&mut self.families);
        self.views[view].observe(snapshot, &mut self.families);
        Ok(())
    }

    /// Identities that an answer is wanted for; answered ones stay listed until `begin`.
    pub fn unseen(&self, view: usize) -> &[IdentityId] {
        self.views[view].identities.unseen()
    }

    /// The bytes to ask about.
    pub fn identity_bytes(&self, view: usize, id: IdentityId) -> &[u8] {
        self.views[view].identities.get(id.0)
    }

    /// Takes an answer, which shows after `settle` or `finish`. One of a wrong shape counts as `Unknown`; one for an identity
    /// that has gone is ignored.
    pub fn answer(&mut self, view: usize, id: IdentityId, answer: Answer<'_>) {
        self.views[view].answer(id.0, answer, &mut self.families);
    }

    /// Counts the rows whose labels have come since `observe` saw the same snapshot.
    pub fn settle(&mut self, view: usize, snapshot: &Snapshot) -> Result<(), Misfit> {
        self.check(view, snapshot)?;
        self.views[view].settle(snapshot, &mut self.families);
        Ok(())
    }

    /// Ends a scrape: series that nothing feeds any more end, gauges are folded.
    pub fn finish(&mut self) {
        for view in &mut self.views {
            view.place(&mut self.families);
            view.give_answered(&mut self.families);
        }
        for family in &mut self.families.tables {
            family.end_idle();
        }
        gauges::empty(&self.views, &mut self.families);
        for view in &mut self.views {
            gauges::fold(view, &mut self.families);
            view.finish();
        }
    }

    /// Every family with its series. A family without series is among them; to print it or not is the exposition's.
    pub fn families(&self) -> impl Iterator<Item = FamilySeries<'_>> {
        self.schema.families.iter().zip(&self.families.tables).map(|(family, table)| table.series(family))
    }

    pub fn stats(&self) -> Stats {
        let sum = |of: fn(&ViewTable) -> usize| self.views.iter().map(of).sum();
        Stats {
            series: self.families.fed,
            series_limit: self.limits.series,
            entries: sum(|view| view.entries.live()),
            identities: sum(|view| view.identities.len()),
            unseen: sum(|view| view.identities.wanted()),
            folded: self.families.folded,
            refused: self.views.iter().map(|view| view.refused).sum(),
            trimmed: self.families.trimmed,
            replaced: self.families.replaced,
            lost_events: self.views.iter().map(|view| view.lost_events).sum(),
        }
    }

    fn check(&self, view: usize, snapshot: &Snapshot) -> Result<(), Misfit> {
        if self.views[view].fits(snapshot) { Ok(()) } else { Err(Misfit { view }) }
    }
}
