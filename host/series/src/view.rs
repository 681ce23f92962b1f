//! One view's entries and identities, and the series that they feed.

use super::counting::{Ledger, count};
use super::entries::Entries;
use super::families::Families;
use super::identities::{Identities, NONE, Standing};
use super::index::TOGETHER;
use super::placing::Placing;
use super::plan::{FeedPlan, Plan};
use super::values::Labels;
use super::{Answer, shed};
use ebhost_snapshot::{Keys, Snapshot};

#[derive(Debug)]
pub(super) struct ViewTable {
    pub(super) plan: Plan,
    pub(super) identities: Identities,
    pub(super) entries: Entries,
    /// By feed: each entry's raw numbers, with CPUs apart each CPU's; of events what they have brought and no series
    /// has been given yet.
    pub(super) last: Vec<Vec<u64>>,
    /// By feed: each identity's series, with CPUs apart each CPU's.
    pub(super) targets: Vec<Vec<u32>>,
    /// By identity.
    buckets: Vec<u32>,
    /// By identity, where events keep CPUs apart: the answer, for series of CPUs that have written nothing so far.
    pub(super) labels: Vec<Box<[Box<str>]>>,
    /// CPUs a row; of events one more than the highest seen.
    pub(super) cpus: usize,
    /// Rows of this scrape that could not be counted for want of an answer.
    pub(super) waiting: Vec<u32>,
    /// What answers have named and no series has been found for yet.
    placing: Placing,
    /// Whether an entry may have been counted and be without series now.
    pub(super) has_lapsed: bool,
    /// Whether an answer has come since the last settling.
    pub(super) has_answers: bool,
    pub(super) scratch: Vec<u8>,
    pub(super) event_limit: usize,
    pub(super) lost_events: u64,
    pub(super) refused: u64,
}

impl ViewTable {
    pub(super) fn new(plan: Plan, event_limit: usize) -> Self {
        let cpu_bytes = if plan.is_events() && plan.by_cpu() { 4 } else { 0 };
        let key_size = if plan.is_events() { plan.identity_size + cpu_bytes } else { plan.key_size };
        Self {
            identities: Identities::new(plan.identity_size, plan.sharing()),
            entries: Entries::new(key_size),
            last: plan.feeds.iter().map(|_| Vec::new()).collect(),
            targets: plan.feeds.iter().map(|_| Vec::new()).collect(),
            buckets: Vec::new(),
            labels: Vec::new(),
            cpus: 1,
            waiting: Vec::new(),
            placing: Placing::default(),
            has_lapsed: false,
            has_answers: false,
            scratch: Vec::new(),
            event_limit,
            lost_events: 0,
            refused: 0,
            plan,
        }
    }

    /// Whether the snapshot has the shape that the schema and the snapshots before it promise.
    pub(super) fn fits(&self, snapshot: &Snapshot) -> bool {
        let keys_fit = match &snapshot.keys {
            Keys::Index => self.plan.key_size == 4,
            Keys::Bytes { size, bytes } => *size == self.plan.key_size && bytes.len() >= snapshot.len * size,
            Keys::Events { .. } => self.plan.is_events(),
        };
        let cpus_fit =
            snapshot.cpus > 0 && (self.entries.live() == 0 || self.plan.is_events() || snapshot.cpus == self.cpus);
        keys_fit && cpus_fit && snapshot.values.len() >= snapshot.len * snapshot.row_stride()
    }

    pub(super) fn observe(&mut self, snapshot: &Snapshot, families: &mut Families) {
        match &snapshot.keys {
            Keys::Events { cpus } => self.observe_events(snapshot, cpus, families),
            Keys::Index => {
                self.entries.meet_index(snapshot.len);
                self.observe_rows(snapshot, families);
            }
            Keys::Bytes { size, bytes } => {
                self.entries.meet_keys(&bytes[..snapshot.len * size], snapshot.complete);
                self.observe_rows(snapshot, families);
            }
        }
        // Before labelling, which is when a burst of new series has most memory in use.
        self.entries.shed();
        self.identities.shed();
    }

    /// Counts what has been labelled since the snapshot was observed.
    pub(super) fn settle(&mut self, snapshot: &Snapshot, families: &mut Families) {
        self.place(families);
        self.give_answered(families);
        if std::mem::take(&mut self.has_answers) {
            self.each_feed(families, |feed, entries, waiting, ledger| {
                let rows = waiting.iter().map(|&row| (row as usize, entries.of_row(row as usize) as usize));
                count(feed, snapshot, rows, ledger);
            });
        }
    }

    /// Takes in what the plugin said of an identity.
    pub(super) fn answer(&mut self, id: u32, answer: Answer<'_>, families: &mut Families) {
        if !self.identities.is_held(id) {
            return;
        }
        let labels = self.understood(answer);
        self.refused += u64::from(labels.is_none() && answer != Answer::Skip);
        let standing = if labels.is_some() { Standing::Labelled } else { Standing::Refused };
        let before = self.identities.answered(id, standing);
        self.has_answers = true;
        if before == Standing::Labelled {
            self.place(families);
            self.has_lapsed |= labels.is_none();
            release_series(&self.plan, &mut self.targets, self.cpus, id, families);
        }
        if let Some((labels, bucket)) = labels {
            families.note(labels);
            if self.plan.has_buckets {
                self.buckets[id as usize] = bucket;
            }
            self.hold_series(id, labels, families);
        }
    }

    /// The end of a scrape.
    pub(super) fn finish(&mut self) {
        self.waiting.clear();
        shed(&mut self.waiting);
        let (plan, last, cpus) = (&self.plan, &mut self.last, self.cpus);
        self.entries.renumber(|order| {
            for (feed, last) in plan.feeds.iter().zip(last) {
                let stride = feed.take.lanes() * feed.apart(cpus);
                *last = order.iter().flat_map(|&entry| &last[entry as usize * stride..][..stride]).copied().collect();
            }
        });
    }

    /// CPUs of a feed that have a series each.
    pub(super) fn apart(&self, feed: usize) -> usize {
        self.plan.feeds[feed].apart(self.cpus)
    }

    /// Forgets identities without entries.
    pub(super) fn drop_orphans(&mut self, families: &mut Families) {
        for id in self.entries.gone.drain(..) {
            self.identities.release(id);
        }
        let (plan, targets, cpus) = (&self.plan, &mut self.targets, self.cpus);
        self.identities.drop_orphans(|id| release_series(plan, targets, cpus, id, families));
    }

    /// Room for what is kept by entry and by identity.
    pub(super) fn make_room(&mut self) {
        let (entries, identities) = (self.entries.slots(), self.identities.slots());
        for feed in 0..self.plan.feeds.len() {
            let apart = self.apart(feed);
            let kept = if self.plan.is_events() { 1 } else { apart };
            self.last[feed].resize(entries * kept * self.plan.feeds[feed].take.lanes(), 0);
            self.targets[feed].resize(identities * apart, NONE);
        }
        if self.plan.has_buckets {
            self.buckets.resize(identities, 0);
        }
        if self.plan.is_events() && self.plan.by_cpu() {
            self.labels.resize(identities, Box::default());
        }
    }

    /// Each feed with all that counting for it takes.
    pub(super) fn each_feed(
        &mut self,
        families: &mut Families,
        mut each: impl FnMut(&FeedPlan, &Entries, &[u32], &mut Ledger<'_>),
    ) {
        for (index, feed) in self.plan.feeds.iter().enumerate() {
            let table = &mut families.tables[feed.family];
            let mut ledger = Ledger {
                identity: &self.entries.identity,
                targets: &self.targets[index],
                buckets: &self.buckets,
                last: &mut self.last[index],
                cells: &mut table.cells,
                width: table.width,
            };
            each(feed, &self.entries, &self.waiting, &mut ledger);
        }
    }

    /// What an answer gives: labels and bucket, or nothing.
    fn understood<'a>(&self, answer: Answer<'a>) -> Option<(Labels<'a>, u32)> {
        let Answer::Series { labels, bucket } = answer else { return None };
        let bucket = if self.plan.has_buckets { bucket? } else { 0 };
        (labels.len() == self.plan.columns && self.plan.takes_bucket(bucket)).then_some((labels, bucket))
    }

    fn hold_series(&mut self, id: u32, labels: Labels<'_>, families: &mut Families) {
        for (index, feed) in self.plan.feeds.iter().enumerate() {
            if feed.by_cpu && self.plan.is_events() {
                self.labels[id as usize] = labels.iter().map(Into::into).collect();
                continue; // a CPU's series begins with its first event
            }
            for cpu in 0..feed.apart(self.cpus) {
                self.placing.add(families, (index, feed), id, labels, cpu);
            }
        }
        if self.placing.len() >= TOGETHER {
            self.place(families);
        }
    }

    /// Finds the series of what answers have named.
    pub(super) fn place(&mut self, families: &mut Families) {
        let (plan, targets, cpus) = (&self.plan, &mut self.targets, self.cpus);
        self.placing.place(families, &plan.feeds, |feed, id, cpu, slot| {
            targets[feed][id as usize * plan.feeds[feed].apart(cpus) + cpu] = slot;
        });
    }
}

/// An identity feeds its series no more.
fn release_series(plan: &Plan, targets: &mut [Vec<u32>], cpus: usize, id: u32, families: &mut Families) {
    for (feed, targets) in plan.feeds.iter().zip(targets) {
        let apart = feed.apart(cpus);
        for target in &mut targets[id as usize * apart..][..apart] {
            if *target != NONE {
                families.release(feed.family, *target);
                *target = NONE;
            }
        }
    }
}
