//! Labels: identities, their answers, and the series that each identity feeds. It knows neither rows nor counts.

pub(crate) mod identities;
pub(crate) mod pending;
pub(crate) mod template;
pub(crate) mod values;

use self::identities::{AnswerState, Identities, NONE};
use self::pending::{FeedRef, FoundSeries, PendingSeries};
use self::values::Labels;
use crate::Answer;
use crate::plan::{FeedPlan, ViewPlan};
use crate::store::SeriesStore;
use crate::util::index::PREFETCHED;

/// The identities of one view and what they were answered.
#[derive(Debug)]
pub(crate) struct ViewLabels {
    pub(crate) identities: Identities,
    pub(crate) series: SeriesColumns,
    /// By identity: its bucket, in views that have buckets.
    pub(crate) buckets: Vec<u32>,
    pending: PendingSeries,
    /// Answers that were not understood, or had a wrong shape.
    refused: u64,
}

/// By feed, the series of each identity.
#[derive(Debug)]
pub(crate) struct SeriesColumns {
    /// CPUs of a row; of events a power of two above the highest CPU seen.
    pub(crate) cpus: usize,
    /// By feed, then by identity (and CPU, if each CPU has a series): a slot of the family's table, or [`NONE`].
    pub(crate) by_feed: Vec<Vec<u32>>,
}

/// An accepted answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Accepted<'a> {
    /// `None`: the identity has no series.
    pub(crate) labels: Option<Labels<'a>>,
    /// Whether the identity had series before.
    pub(crate) was_labelled: bool,
}

impl ViewLabels {
    pub(crate) fn new(plan: &ViewPlan) -> Self {
        Self {
            identities: Identities::new(plan.identity_size, plan.sharing()),
            series: SeriesColumns { cpus: 1, by_feed: plan.feeds.iter().map(|_| Vec::new()).collect() },
            buckets: Vec::new(),
            pending: PendingSeries::default(),
            refused: 0,
        }
    }

    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    /// Records an answer; `None` if no entry has the identity any more. Series of an earlier answer are released.
    pub(crate) fn accept<'a>(
        &mut self,
        plan: &ViewPlan,
        id: u32,
        answer: Answer<'a>,
        store: &mut SeriesStore,
    ) -> Option<Accepted<'a>> {
        if !self.identities.is_held(id) {
            return None;
        }
        let valid = validated(plan, answer);
        self.refused += u64::from(valid.is_none() && answer != Answer::Skip);
        let state = if valid.is_some() { AnswerState::Labelled } else { AnswerState::Refused };
        let was_labelled = self.identities.set_state(id, state, store.since) == AnswerState::Labelled;
        if was_labelled {
            self.resolve_pending(plan, store);
            self.series.release(plan, id, store);
        }
        if let Some((labels, bucket)) = valid {
            store.note(labels);
            if plan.has_buckets {
                self.buckets[id as usize] = bucket;
            }
        }
        Some(Accepted { labels: valid.map(|(labels, _)| labels), was_labelled })
    }

    /// Requests the series of an identity for one feed, for each of the feed's CPUs.
    pub(crate) fn request_series(&mut self, feed: FeedRef<'_>, id: u32, labels: Labels<'_>, store: &SeriesStore) {
        for cpu in 0..feed.plan.series_per_identity(self.series.cpus) {
            self.pending.add(store, feed, id, labels, cpu);
        }
    }

    /// Looks pending series up once there are enough of them.
    #[inline]
    pub(crate) fn resolve_full_batch(&mut self, plan: &ViewPlan, store: &mut SeriesStore) {
        if self.pending.len() >= PREFETCHED {
            self.resolve_pending(plan, store);
        }
    }

    /// Looks all pending series up.
    pub(crate) fn resolve_pending(&mut self, plan: &ViewPlan, store: &mut SeriesStore) {
        let series = &mut self.series;
        self.pending.resolve(store, &plan.feeds, self.identities.since(), |found| series.set(&plan.feeds, found));
    }

    /// Frees the identities without entries, and releases their series.
    pub(crate) fn drop_orphans(&mut self, plan: &ViewPlan, store: &mut SeriesStore) {
        let series = &mut self.series;
        self.identities.drop_orphans(|id| series.release(plan, id, store));
    }

    /// Grows the columns to the number of identities.
    pub(crate) fn make_room(&mut self, plan: &ViewPlan) {
        let identities = self.identities.slots();
        self.series.make_room(&plan.feeds, identities);
        if plan.has_buckets {
            self.buckets.resize(identities, 0);
        }
    }
}

impl SeriesColumns {
    /// Releases the series that an identity feeds.
    fn release(&mut self, plan: &ViewPlan, id: u32, store: &mut SeriesStore) {
        for (feed, column) in plan.feeds.iter().zip(&mut self.by_feed) {
            let count = feed.series_per_identity(self.cpus);
            for slot in &mut column[id as usize * count..][..count] {
                if *slot != NONE {
                    store.release(feed.family, *slot);
                    *slot = NONE;
                }
            }
        }
    }

    #[inline]
    fn set(&mut self, feeds: &[FeedPlan], found: FoundSeries) {
        let count = feeds[found.feed].series_per_identity(self.cpus);
        self.by_feed[found.feed][found.id as usize * count + found.cpu] = found.slot;
    }

    fn make_room(&mut self, feeds: &[FeedPlan], identities: usize) {
        for (feed, column) in feeds.iter().zip(&mut self.by_feed) {
            column.resize(identities * feed.series_per_identity(self.cpus), NONE);
        }
    }

    /// Makes room for the series of more CPUs.
    pub(crate) fn widen(&mut self, feeds: &[FeedPlan], cpus: usize) {
        if cpus <= self.cpus {
            return;
        }
        let (before, after) = (self.cpus, cpus.next_power_of_two());
        for (feed, column) in feeds.iter().zip(&mut self.by_feed) {
            if feed.by_cpu {
                let mut wide = vec![NONE; column.len() / before * after];
                for (from, to) in column.chunks_exact(before).zip(wide.chunks_exact_mut(after)) {
                    to[..before].copy_from_slice(from);
                }
                *column = wide;
            }
        }
        self.cpus = after;
    }
}

/// The labels and the bucket of an answer; `None` if it names no series or has a wrong shape.
#[inline]
fn validated<'a>(plan: &ViewPlan, answer: Answer<'a>) -> Option<(Labels<'a>, u32)> {
    let Answer::Series { labels, bucket } = answer else { return None };
    let bucket = if plan.has_buckets { bucket? } else { 0 };
    (labels.len() == plan.columns && plan.has_bucket(bucket)).then_some((labels, bucket))
}
