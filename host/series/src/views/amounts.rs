//! The numbers that events brought, kept for each entry of an event view until its series takes them.

use crate::plan::{ValueRule, ViewPlan};

/// Numbers of events that no series has been given yet, by entry.
#[derive(Debug, Default)]
pub(super) struct Amounts {
    /// By feed, then by entry: one number for each lane. For gauges: the last event's value.
    pub(super) by_feed: Vec<Vec<u64>>,
    /// By entry: the events in the amounts.
    pub(super) events: Vec<u64>,
    /// By entry: when the amounts were 0, in seconds since 1970.
    pub(super) since: Vec<f64>,
}

impl Amounts {
    pub(super) fn new(plan: &ViewPlan) -> Self {
        Self { by_feed: plan.feeds.iter().map(|_| Vec::new()).collect(), ..Self::default() }
    }

    /// Makes room for a new entry, and sets its amounts to 0.
    pub(super) fn clear(&mut self, plan: &ViewPlan, entry: u32) {
        let entry = entry as usize;
        if entry >= self.events.len() {
            self.events.resize(entry + 1, 0);
            self.since.resize(entry + 1, 0.0);
        }
        self.events[entry] = 0;
        for (feed, amounts) in plan.feeds.iter().zip(&mut self.by_feed) {
            let lanes = feed.rule.lanes();
            if amounts.len() < (entry + 1) * lanes {
                amounts.resize((entry + 1) * lanes, 0);
            }
            amounts[entry * lanes..][..lanes].fill(0);
        }
    }

    /// Adds an event.
    pub(super) fn add(&mut self, plan: &ViewPlan, entry: u32, value: &[u8], since: f64) {
        let entry = entry as usize;
        if self.events[entry] == 0 {
            self.since[entry] = since;
        }
        self.events[entry] += 1;
        for (feed, amounts) in plan.feeds.iter().zip(&mut self.by_feed) {
            let lanes = feed.rule.lanes();
            let amounts = &mut amounts[entry * lanes..][..lanes];
            let mut add = |lane: usize, more: u64| amounts[lane] = amounts[lane].wrapping_add(more);
            match &feed.rule {
                ValueRule::EventAmount(reading) => add(0, reading.map_or(1, |reading| reading.of(value))),
                ValueRule::EventObservation { reading, thresholds, sum } => {
                    let raw = reading.of(value);
                    add(thresholds.bucket(raw), 1);
                    add(*sum, raw);
                }
                ValueRule::Gauge { reading: Some(reading), .. } => amounts[0] = reading.of(value),
                ValueRule::Gauge { reading: None, .. }
                | ValueRule::Cumulative(_)
                | ValueRule::CumulativeBucket { .. } => {}
            }
        }
    }
}
