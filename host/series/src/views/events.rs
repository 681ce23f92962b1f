//! Event views: rows without a key, each of which is an increase.
//!
//! The host makes entries of them, one for each identity (and CPU, if each CPU has a series), and keeps for each what its events
//! brought until it has a series. So no event is lost for lack of an answer, and a late label finds everything since the start.
//!
//! No reading says that such an entry is gone. It ends when it was not seen for a time to live, and beyond the limit the least
//! recently seen entry makes way. Its series ends with it; seen again, it begins again at 0.

use ebhost_snapshot::{Keys, Snapshot};

use super::amounts::Amounts;
use super::exemplars::EventExemplars;
use super::recency::Recency;
use super::table::gather_identity;
use crate::Answer;
use crate::counting::gauges::GaugeFold;
use crate::labels::ViewLabels;
use crate::labels::identities::{AnswerState, NONE};
use crate::labels::pending::FeedRef;
use crate::labels::template::cut;
use crate::labels::values::Labels;
use crate::plan::ViewPlan;
use crate::rows::entries::EntryTable;
use crate::store::SeriesStore;
use crate::table::limits::EventLimits;

/// One view of a ring buffer or a perf event array.
#[derive(Debug)]
pub(crate) struct EventView {
    pub(crate) plan: ViewPlan,
    /// Their keys are identities, each followed by the CPU if each CPU has a series.
    pub(crate) entries: EntryTable,
    pub(crate) labels: ViewLabels,
    /// By identity, if each CPU has a series: the answer, for CPUs that have not written an event yet.
    answers: Vec<Box<[Box<str>]>>,
    amounts: Amounts,
    /// `None`: its observations have none.
    pub(crate) exemplars: Option<EventExemplars>,
    recency: Recency,
    limits: EventLimits,
    tallies: EventTallies,
    /// Whether an answer came since amounts were last given to series.
    has_answers: bool,
    scratch: Vec<u8>,
}

/// Events and entries that were given up, since the start.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct EventTallies {
    /// Events that were not counted.
    pub(crate) lost: u64,
    /// Entries that made way for others.
    pub(crate) evicted: u64,
    /// Entries that were not seen for the time to live.
    pub(crate) expired: u64,
}

impl EventView {
    pub(crate) fn new(plan: ViewPlan, limits: EventLimits) -> Self {
        let cpu_bytes = if plan.by_cpu() { CPU_BYTES } else { 0 };
        Self {
            entries: EntryTable::new(plan.identity_size + cpu_bytes),
            labels: ViewLabels::new(&plan),
            answers: Vec::new(),
            amounts: Amounts::new(&plan),
            exemplars: None,
            recency: Recency::default(),
            limits,
            tallies: EventTallies::default(),
            has_answers: false,
            scratch: Vec::new(),
            plan,
        }
    }

    pub(crate) fn tallies(&self) -> EventTallies {
        self.tallies
    }

    /// Bytes of the answers that are kept for CPUs without an event so far.
    pub(crate) fn answer_bytes(&self) -> usize {
        self.answers.iter().flatten().map(|label| label.len() + size_of::<Box<str>>()).sum()
    }

    /// Adds events to their entries' amounts, and gives the amounts of those with labels to their series.
    pub(crate) fn observe(&mut self, snapshot: &Snapshot, store: &mut SeriesStore, room: usize) {
        let Keys::Events { cpus } = &snapshot.keys else { return };
        self.labels.resolve_pending(&self.plan, store);
        self.expire(store);
        let limit = self.limits.entries.min(room);
        if self.entries.live() >= limit {
            self.remove_refused(store);
        }
        let by_cpu = self.plan.by_cpu();
        for row in 0..snapshot.len {
            let cpu = cpus.get(row).copied().unwrap_or_default();
            gather_identity(&self.plan, snapshot, row, &mut self.scratch);
            if by_cpu {
                self.scratch.extend_from_slice(&cpu.to_le_bytes());
                self.labels.series.widen(&self.plan.feeds, cpu as usize + 1);
            }
            if let Some(entry) = self.find_or_insert(limit, store) {
                self.recency.touch(entry, store.since);
                self.amounts.add(&self.plan, entry, snapshot.row(row), store.since);
                if let Some(exemplars) = &mut self.exemplars {
                    exemplars.note(&self.plan, entry, snapshot.row(row), store.read_at_ms);
                }
                self.give(entry, store);
            } else {
                self.tallies.lost += 1;
            }
        }
        self.entries.shed();
        self.labels.identities.shed();
    }

    pub(crate) fn answer(&mut self, id: u32, answer: Answer<'_>, store: &mut SeriesStore) {
        let Some(accepted) = self.labels.accept(&self.plan, id, answer, store) else { return };
        self.has_answers = true;
        let Some(labels) = accepted.labels else { return };
        for (index, plan) in self.plan.feeds.iter().enumerate() {
            if plan.by_cpu {
                // A CPU's series begins with its first event.
                let limit = store.limits.label_bytes;
                self.answers[id as usize] = labels.iter().map(|label| cut(label, limit).into()).collect();
            } else {
                self.labels.request_series(FeedRef { index, plan }, id, labels, store);
                self.labels.resolve_full_batch(&self.plan, store);
            }
        }
    }

    /// Gives the amounts of entries that were labelled since this was last done to their series.
    pub(crate) fn count_labelled(&mut self, store: &mut SeriesStore) {
        self.labels.resolve_pending(&self.plan, store);
        if !std::mem::take(&mut self.has_answers) {
            return;
        }
        let entries: Vec<usize> = self.entries.alive().collect();
        for entry in entries {
            self.give(entry as u32, store);
        }
    }

    pub(crate) fn fold_gauges(&self, store: &mut SeriesStore) {
        for (index, feed) in self.plan.feeds.iter().enumerate() {
            let table = &mut store.tables[feed.family];
            let Some(gauge) = GaugeFold::new(feed, table) else { continue };
            for entry in self.entries.alive() {
                let slot = self.labels.series.by_feed[index][self.series_index(feed.by_cpu, entry as u32)];
                if slot != NONE {
                    gauge.add(&mut table.cells[slot as usize], self.amounts.by_feed[index][entry]);
                }
            }
        }
    }

    /// Takes over the entries of a replaced view with the same identities. `origin` gives the previous feed that each feed continues.
    pub(crate) fn inherit(&mut self, previous: &Self, origin: &[Option<usize>]) {
        for entry in previous.recency.iter() {
            let key = previous.entries.key(entry);
            if self.entries.live() >= self.limits.entries || self.entries.find(key).is_some() {
                continue;
            }
            let since = previous.amounts.since[entry as usize];
            self.scratch.clear();
            self.scratch.extend_from_slice(key);
            let new = self.insert(since);
            self.labels.series.widen(&self.plan.feeds, self.cpu_of(new) + 1);
            self.recency.touch(new, previous.recency.seen(entry));
            self.amounts.events[new as usize] = previous.amounts.events[entry as usize];
            self.amounts.since[new as usize] = since;
            for (index, before) in origin.iter().enumerate() {
                let Some(before) = *before else { continue };
                let lanes = self.plan.feeds[index].rule.lanes();
                let from = &previous.amounts.by_feed[before][entry as usize * lanes..][..lanes];
                self.amounts.by_feed[index][new as usize * lanes..][..lanes].copy_from_slice(from);
            }
        }
    }

    /// The entry whose key is in `scratch`; `None` if there is no room for any.
    fn find_or_insert(&mut self, limit: usize, store: &mut SeriesStore) -> Option<u32> {
        if let Some(entry) = self.entries.find(&self.scratch) {
            return Some(entry);
        }
        if self.entries.live() >= limit {
            let oldest = self.recency.oldest().filter(|_| limit > 0)?;
            self.remove(oldest, store);
            self.tallies.evicted += 1;
        }
        Some(self.insert(store.since))
    }

    /// Inserts the entry whose key is in `scratch`.
    fn insert(&mut self, since: f64) -> u32 {
        let entry = self.entries.find_or_insert(&self.scratch);
        let identity = &self.scratch[..self.plan.identity_size];
        self.entries.identity[entry as usize] = self.labels.identities.hold(identity, since);
        self.labels.make_room(&self.plan);
        if self.plan.by_cpu() {
            self.answers.resize(self.labels.identities.slots(), Box::default());
        }
        self.amounts.clear(&self.plan, entry);
        entry
    }

    /// Moves the amounts of an entry to its series, if its identity has labels.
    fn give(&mut self, entry: u32, store: &mut SeriesStore) {
        let id = self.entries.identity[entry as usize];
        if self.labels.identities.state(id) != AnswerState::Labelled {
            return;
        }
        let (cpu, since) = (self.cpu_of(entry), self.amounts.since[entry as usize]);
        for (index, feed) in self.plan.feeds.iter().enumerate() {
            let at = self.series_index(feed.by_cpu, entry);
            let slot = &mut self.labels.series.by_feed[index][at];
            if *slot == NONE {
                let labels: Vec<&str> = self.answers[id as usize].iter().map(AsRef::as_ref).collect();
                *slot = store.hold(feed, Labels::Named(&labels), cpu, since);
            }
            if feed.rule.is_gauge() {
                continue;
            }
            let table = &mut store.tables[feed.family];
            let lanes = feed.rule.lanes();
            let amounts = &mut self.amounts.by_feed[index][entry as usize * lanes..][..lanes];
            for (cell, amount) in table.cells[*slot as usize * table.width..].iter_mut().zip(amounts) {
                *cell = cell.wrapping_add(std::mem::take(amount));
            }
        }
        self.amounts.events[entry as usize] = 0;
        self.amounts.since[entry as usize] = store.since;
        self.give_exemplars(entry, store);
    }

    /// Moves the exemplars of an entry, whose series exist, to them.
    fn give_exemplars(&mut self, entry: u32, store: &mut SeriesStore) {
        let Some(exemplars) = &mut self.exemplars else { return };
        let (waiting, most) = (exemplars.take(entry), exemplars.most);
        for waiting in waiting {
            let feed = &self.plan.feeds[waiting.feed];
            let slot = self.labels.series.by_feed[waiting.feed][self.series_index(feed.by_cpu, entry)];
            store.tables[feed.family].exemplars.set(slot, waiting.bucket, waiting.exemplar, most);
        }
    }

    /// The index of an entry's series in a feed's column.
    fn series_index(&self, by_cpu: bool, entry: u32) -> usize {
        let id = self.entries.identity[entry as usize] as usize;
        if by_cpu { id * self.labels.series.cpus + self.cpu_of(entry) } else { id }
    }

    /// The CPU of an entry; 0 if CPUs are summed.
    fn cpu_of(&self, entry: u32) -> usize {
        let cpu = self.entries.key(entry).get(self.plan.identity_size..).and_then(|rest| rest.first_chunk());
        cpu.map_or(0, |&cpu| u32::from_le_bytes(cpu) as usize)
    }

    /// Removes entries that were not seen for the time to live.
    fn expire(&mut self, store: &mut SeriesStore) {
        while let Some(oldest) = self.recency.oldest()
            && store.since - self.recency.seen(oldest) > self.limits.time_to_live
        {
            self.remove(oldest, store);
            self.tallies.expired += 1;
        }
    }

    /// Removes entries without series, which make way first.
    fn remove_refused(&mut self, store: &mut SeriesStore) {
        let is_refused =
            |&entry: &usize| self.labels.identities.state(self.entries.identity[entry]) == AnswerState::Refused;
        let refused: Vec<usize> = self.entries.alive().filter(is_refused).collect();
        for entry in refused {
            self.amounts.events[entry] = 0; // they would not have been counted
            self.remove(entry as u32, store);
        }
    }

    /// Removes an entry, and the series that it alone feeds. Its uncounted events are lost.
    fn remove(&mut self, entry: u32, store: &mut SeriesStore) {
        self.tallies.lost += std::mem::take(&mut self.amounts.events[entry as usize]);
        self.exemplars.iter_mut().for_each(|exemplars| _ = exemplars.take(entry));
        for (index, feed) in self.plan.feeds.iter().enumerate().filter(|(_, feed)| feed.by_cpu) {
            let at = self.series_index(feed.by_cpu, entry);
            let slot = std::mem::replace(&mut self.labels.series.by_feed[index][at], NONE);
            if slot != NONE {
                store.release(feed.family, slot);
            }
        }
        self.recency.remove(entry);
        self.entries.remove(entry);
        for id in self.entries.removed.drain(..) {
            self.labels.identities.release(id);
        }
        self.labels.drop_orphans(&self.plan, store);
    }
}

/// Bytes of the CPU number in an entry's key.
const CPU_BYTES: usize = 4;
