//! What a plugin did since the host started, over all its instances and versions.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use super::{answer::copied_bytes, contract::Rows};

/// Upper bounds of `ebhost_plugin_decode_duration_seconds`: from a call that finds little to do to the longest deadline.
pub const DECODE_BOUNDS: [f64; 10] = [0.000_01, 0.000_05, 0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5];

/// Counts that only rise, but for the memory and the time of the last success.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Entries asked about.
    pub asked: u64,
    pub calls: u64,
    pub guest_time: Duration,
    /// The call that took longest.
    pub longest_call: Duration,
    /// The most bytes that one answer had, as `limits::ANSWER_BYTES` counts them.
    pub answer_bytes: usize,
    /// The longest label, before it was cut.
    pub label_bytes: usize,
    /// The most entries that one call was asked about.
    pub most_entries: usize,
    /// The deepest that an instance's native stack was seen.
    pub stack_bytes: usize,
    /// Calls by duration, in the buckets of `DECODE_BOUNDS` and one above.
    pub durations: [u64; DECODE_BOUNDS.len() + 1],
    pub instances: u64,
    /// Failures by reason: `trap`, `deadline`, `memory`, `copied`, `answer`, `start`.
    pub failures: BTreeMap<&'static str, u64>,
    /// Entries set aside because asking about them fails.
    pub set_aside: u64,
    /// Entries whose row was not sound.
    pub unsound: u64,
    pub dropped_lines: u64,
    /// The most that any instance had.
    pub memory_bytes: usize,
    pub last_success: Option<SystemTime>,
}

impl Tally {
    pub(super) fn called(&mut self, entries: usize, time: Duration) {
        self.calls += 1;
        self.asked += entries as u64;
        self.guest_time += time;
        self.longest_call = self.longest_call.max(time);
        self.most_entries = self.most_entries.max(entries);
        let bucket = DECODE_BOUNDS.partition_point(|bound| *bound < time.as_secs_f64());
        self.durations[bucket] += 1;
    }

    /// How often it failed for this reason, this time included.
    pub(super) fn failed(&mut self, reason: &'static str) -> u64 {
        let failures = self.failures.entry(reason).or_default();
        *failures += 1;
        *failures
    }

    pub(super) fn answered(&mut self, rows: &Rows) {
        self.answer_bytes = self.answer_bytes.max(copied_bytes(rows));
        self.label_bytes = self.label_bytes.max(rows.dictionary.0.longest());
    }

    pub(super) fn saw(&mut self, memory_bytes: usize, stack_bytes: usize) {
        self.memory_bytes = self.memory_bytes.max(memory_bytes);
        self.stack_bytes = self.stack_bytes.max(stack_bytes);
    }

    /// Counts of the version before go on in this one; peaks (memory, stack, longest call, largest answer) were its own.
    pub(super) fn add(&mut self, before: &Self) {
        self.asked += before.asked;
        self.calls += before.calls;
        self.guest_time += before.guest_time;
        for (count, earlier) in self.durations.iter_mut().zip(before.durations) {
            *count += earlier;
        }
        self.instances += before.instances;
        for (reason, count) in &before.failures {
            *self.failures.entry(reason).or_default() += count;
        }
        self.set_aside += before.set_aside;
        self.unsound += before.unsound;
        self.dropped_lines += before.dropped_lines;
        self.last_success = self.last_success.max(before.last_success);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_fall_into_the_bucket_that_their_time_is_within() {
        let mut tally = Tally::default();
        for micros in [10, 500_001, 11, 500_000] {
            tally.called(3, Duration::from_micros(micros));
        }
        assert_eq!(tally.durations, [1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!((tally.calls, tally.asked), (4, 12));
        assert_eq!(tally.longest_call, Duration::from_micros(500_001), "the longest, whichever came last");
    }

    #[test]
    fn a_new_version_goes_on_counting() {
        let mut before = Tally { set_aside: 2, memory_bytes: 99, ..Tally::default() };
        before.failed("trap");
        let mut tally = Tally { memory_bytes: 7, ..Tally::default() };
        tally.add(&before);
        assert_eq!((tally.failed("trap"), tally.set_aside, tally.memory_bytes), (2, 2, 7));
    }
}
