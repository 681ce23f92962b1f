//! Baselines: for each entry of a table, the raw numbers at the time when it was last counted.
//!
//! A counter's increase is the difference between a raw number and its baseline. While an entry has no series its baselines do not
//! move, so that labels which come late lose nothing. For gauges the present value is stored instead.

use crate::plan::ViewPlan;
use crate::util::runs::zero;

/// The baselines of one table view.
#[derive(Debug)]
pub(crate) struct Baselines {
    /// By feed, then by entry: [`FeedPlan::baselines_per_entry`](crate::plan::FeedPlan::baselines_per_entry) numbers.
    pub(crate) by_feed: Vec<Vec<u64>>,
}

impl Baselines {
    pub(crate) fn new(plan: &ViewPlan) -> Self {
        Self { by_feed: plan.feeds.iter().map(|_| Vec::new()).collect() }
    }

    /// Grows the columns to the number of entries.
    pub(crate) fn make_room(&mut self, plan: &ViewPlan, cpus: usize, entries: usize) {
        for (feed, column) in plan.feeds.iter().zip(&mut self.by_feed) {
            column.resize(entries * feed.baselines_per_entry(cpus), 0);
        }
    }

    /// Sets the baselines of new entries to 0, whatever entry had their numbers before.
    pub(crate) fn clear(&mut self, plan: &ViewPlan, cpus: usize, entries: &(impl Iterator<Item = u32> + Clone)) {
        for (feed, column) in plan.feeds.iter().zip(&mut self.by_feed) {
            let stride = feed.baselines_per_entry(cpus);
            entries.clone().for_each(|entry| zero(&mut column[entry as usize * stride..][..stride]));
        }
    }

    /// Follows a renumbering: entry `order[i]` is now entry i.
    pub(crate) fn permute(&mut self, plan: &ViewPlan, cpus: usize, order: &[u32]) {
        for (feed, column) in plan.feeds.iter().zip(&mut self.by_feed) {
            let stride = feed.baselines_per_entry(cpus);
            *column = order.iter().flat_map(|&entry| &column[entry as usize * stride..][..stride]).copied().collect();
        }
    }
}
