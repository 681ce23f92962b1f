//! Queues label sets so that their index lookups overlap.
//!
//! In a series table larger than the processor's caches, each lookup waits for memory. So rendered label blocks are queued, and a
//! batch of them is prefetched and looked up together.

use super::values::Labels;
use crate::plan::FeedPlan;
use crate::store::SeriesStore;
use crate::util::runs::RunBuffer;

/// Rendered label blocks whose series have not been looked up yet.
#[derive(Debug, Default)]
pub(crate) struct PendingSeries {
    text: RunBuffer,
    requests: Vec<Request>,
}

/// The series that a label block at `start..end` of the text names, requested for one identity.
#[derive(Debug, Clone, Copy)]
struct Request {
    feed: usize,
    id: u32,
    cpu: usize,
    hash: u32,
    start: usize,
    end: usize,
}

/// The series that was found for a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FoundSeries {
    pub(crate) feed: usize,
    pub(crate) id: u32,
    pub(crate) cpu: usize,
    pub(crate) slot: u32,
}

/// A feed and its index within the view.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FeedRef<'a> {
    pub(crate) index: usize,
    pub(crate) plan: &'a FeedPlan,
}

impl PendingSeries {
    pub(crate) fn len(&self) -> usize {
        self.requests.len()
    }

    /// Queues a request for the series of these labels.
    pub(crate) fn add(&mut self, store: &SeriesStore, feed: FeedRef<'_>, id: u32, labels: Labels<'_>, cpu: usize) {
        let start = self.text.len();
        store.render(feed.plan, labels, cpu, &mut self.text);
        let end = self.text.len();
        let hash = store.tables[feed.plan.family].hash(self.text.get(start, end));
        self.requests.push(Request { feed: feed.index, id, cpu, hash, start, end });
    }

    /// Looks every request up, adds a feeder to its series, and calls `found`. `since` tells when each identity's baselines were taken.
    pub(crate) fn resolve(
        &mut self,
        store: &mut SeriesStore,
        plans: &[FeedPlan],
        since: &[f64],
        mut found: impl FnMut(FoundSeries),
    ) {
        for request in &self.requests {
            store.tables[plans[request.feed].family].prefetch(request.hash);
        }
        for Request { feed, id, cpu, hash, start, end } in self.requests.drain(..) {
            let block = self.text.get(start, end);
            let slot = store.hold_block(&plans[feed], cpu, block, hash, since[id as usize]);
            found(FoundSeries { feed, id, cpu, slot });
        }
        self.text.clear();
    }
}
