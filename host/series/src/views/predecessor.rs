//! Baselines of a replaced table, found again by (source, key, number).
//!
//! When a component is exchanged for one with another schema, its maps stay and so do the cells of families that did not change. An
//! entry must then go on from the baseline that it was last counted at: counted from 0, it would add to its series again what it
//! added before.

use std::sync::Arc;

use ebhost_snapshot::{Keys, Snapshot};

use super::table::Parts;
use crate::counting::Values;
use crate::counting::baselines::Baselines;
use crate::plan::reading::Reading;
use crate::plan::{FeedPlan, ViewPlan};
use crate::rows::entries::EntryTable;

/// The entries and baselines of one view of a replaced table.
#[derive(Debug)]
pub(crate) struct PreviousView {
    entries: EntryTable,
    cpus: usize,
    baselines: Baselines,
    /// By entry.
    since: Vec<f64>,
    feeds: Vec<PreviousFeed>,
}

#[derive(Debug)]
struct PreviousFeed {
    by_cpu: bool,
    readings: Vec<Reading>,
}

/// All previous views of the source of one new view.
#[derive(Debug)]
pub(crate) struct Predecessor {
    /// The most recent first.
    views: Vec<Arc<PreviousView>>,
    /// By feed of the new view: whether its family existed before.
    family_existed: Vec<bool>,
}

impl PreviousView {
    /// The view itself, and those that it replaced and that are still needed.
    pub(crate) fn from_parts(parts: Parts) -> Vec<Arc<Self>> {
        let feed = |feed: &FeedPlan| PreviousFeed { by_cpu: feed.by_cpu, readings: feed.rule.baseline_readings() };
        let own = Self {
            entries: parts.rows.entries,
            cpus: parts.cpus,
            baselines: parts.baselines,
            since: parts.since,
            feeds: parts.plan.feeds.iter().map(feed).collect(),
        };
        let older = parts.predecessor.map(|predecessor| predecessor.views).unwrap_or_default();
        std::iter::once(Arc::new(own)).chain(older).collect()
    }

    fn entry_of(&self, snapshot: &Snapshot, row: usize) -> Option<usize> {
        match &snapshot.keys {
            Keys::Index => (row < self.entries.slots()).then_some(row),
            Keys::Bytes { size, bytes } if *size == self.entries.key_size() => {
                self.entries.find(&bytes[row * size..][..*size]).map(|entry| entry as usize)
            }
            Keys::Bytes { .. } | Keys::Events { .. } => None,
        }
    }

    /// The baseline of one number of an entry, if a feed with as many series had it.
    fn baseline(&self, entry: usize, wanted: Wanted) -> Option<u64> {
        for (feed, column) in self.feeds.iter().zip(&self.baselines.by_feed) {
            if feed.by_cpu == wanted.by_cpu
                && (!feed.by_cpu || self.cpus == wanted.parts)
                && let Some(lane) = feed.readings.iter().position(|reading| *reading == wanted.reading)
            {
                return column.get((entry * wanted.parts + wanted.part) * feed.readings.len() + lane).copied();
            }
        }
        None
    }
}

/// A number of a part of a row.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    reading: Reading,
    by_cpu: bool,
    part: usize,
    /// Parts of a row: its CPUs if each has a series, otherwise 1.
    parts: usize,
}

impl Predecessor {
    pub(crate) fn new(views: Vec<Arc<PreviousView>>, family_existed: Vec<bool>) -> Self {
        Self { views, family_existed }
    }

    /// When the entry of a row was first seen, if it is not new.
    pub(crate) fn since(&self, snapshot: &Snapshot, row: usize) -> Option<f64> {
        let known =
            |view: &Arc<PreviousView>| view.entry_of(snapshot, row).and_then(|entry| view.since.get(entry).copied());
        self.views.iter().find_map(known)
    }

    /// Sets the baselines of a row's new entry to those at which it was last counted. A number that was not counted before has its
    /// present value as the baseline if its family existed, so that the family's counters begin at 0; in a new family it counts
    /// from 0, as new entries do.
    pub(crate) fn copy_baselines(
        &self,
        plan: &ViewPlan,
        snapshot: &Snapshot,
        row: usize,
        entry: u32,
        baselines: &mut Baselines,
    ) {
        let known: Vec<_> = self.views.iter().filter_map(|view| Some((view, view.entry_of(snapshot, row)?))).collect();
        if known.is_empty() {
            return;
        }
        for (index, feed) in plan.feeds.iter().enumerate().filter(|(index, _)| self.family_existed[*index]) {
            let readings = feed.rule.baseline_readings();
            let values = Values::new(snapshot, feed.by_cpu);
            let parts = values.series_per_row;
            for part in 0..parts {
                let first = (entry as usize * parts + part) * readings.len();
                for (lane, &reading) in readings.iter().enumerate() {
                    let wanted = Wanted { reading, by_cpu: feed.by_cpu, part, parts };
                    let counted = known.iter().find_map(|(view, entry)| view.baseline(*entry, wanted));
                    baselines.by_feed[index][first + lane] =
                        counted.unwrap_or_else(|| values.sum(reading, values.part(row, part)));
                }
            }
        }
    }
}
