//! Counters of a plugin since the host started, over all its instances and versions.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use crate::{contract::rows::Rows, decode::copied_bytes};

/// Upper bounds of `ebhost_plugin_decode_duration_seconds`, from a call with little to do to the largest `limits.decode`.
pub const DECODE_BOUNDS: [f64; 10] = [0.000_01, 0.000_05, 0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5];

/// Counters and peaks of a plugin.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Entries that calls were about.
    pub asked: u64,
    /// Calls of `decode`.
    pub calls: u64,
    /// Time of all calls.
    pub guest_time: Duration,
    /// Time of the longest call.
    pub longest_call: Duration,
    /// Bytes of the largest answer, as [`limits::ANSWER_BYTES`](ebhost_limits::ANSWER_BYTES) counts them.
    pub answer_bytes: usize,
    /// Bytes of the longest label value, before it was cut.
    pub label_bytes: usize,
    /// Entries of the largest batch.
    pub most_entries: usize,
    /// Bytes of the largest native stack seen.
    pub stack_bytes: usize,
    /// Calls by duration, in the buckets of [`DECODE_BOUNDS`] and one above.
    pub durations: [u64; DECODE_BOUNDS.len() + 1],
    /// Instances started.
    pub instances: u64,
    /// Failures by reason: `trap`, `deadline`, `stack`, `memory`, `copied`, `answer`, `start`.
    pub failures: BTreeMap<&'static str, u64>,
    /// Entries set aside because calls about them fail.
    pub set_aside: u64,
    /// Entries whose row was invalid.
    pub unsound: u64,
    /// Spans that it made.
    pub spans: u64,
    /// Spans dropped because there were too many for their events.
    pub spans_beyond_limit: u64,
    /// Log lines dropped by the rate limit.
    pub dropped_lines: u64,
    /// Bytes of linear memory of the largest instance.
    pub memory_bytes: usize,
    /// When a batch was last answered.
    pub last_success: Option<SystemTime>,
}

impl Tally {
    /// Counts a call.
    pub(super) fn count_call(&mut self, entries: usize, time: Duration) {
        self.calls += 1;
        self.asked += entries as u64;
        self.guest_time += time;
        self.longest_call = self.longest_call.max(time);
        self.most_entries = self.most_entries.max(entries);
        let bucket = DECODE_BOUNDS.partition_point(|bound| *bound < time.as_secs_f64());
        self.durations[bucket] += 1;
    }

    /// Counts a failure. Returns how many there were for this reason, this one included.
    pub(super) fn count_failure(&mut self, reason: &'static str) -> u64 {
        let failures = self.failures.entry(reason).or_default();
        *failures += 1;
        *failures
    }

    /// Notes the size of an answer.
    pub(super) fn note_answer(&mut self, rows: &Rows) {
        self.answer_bytes = self.answer_bytes.max(copied_bytes(rows));
        self.label_bytes = self.label_bytes.max(rows.dictionary.longest());
    }

    /// Notes the memory and stack of an instance.
    pub(super) fn note_usage(&mut self, memory_bytes: usize, stack_bytes: usize) {
        self.memory_bytes = self.memory_bytes.max(memory_bytes);
        self.stack_bytes = self.stack_bytes.max(stack_bytes);
    }

    /// Adds the counters of the version before this one. Peaks (memory, stack, longest call, largest answer) stay this version's own.
    pub(super) fn inherit(&mut self, before: &Self) {
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
        self.spans += before.spans;
        self.spans_beyond_limit += before.spans_beyond_limit;
        self.dropped_lines += before.dropped_lines;
        self.last_success = self.last_success.max(before.last_success);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_counted_in_the_bucket_of_its_duration() {
        let mut tally = Tally::default();
        for micros in [10, 500_001, 11, 500_000] {
            tally.count_call(3, Duration::from_micros(micros));
        }
        assert_eq!(tally.durations, [1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!((tally.calls, tally.asked), (4, 12));
        assert_eq!(tally.longest_call, Duration::from_micros(500_001), "the longest, not the last");
    }

    #[test]
    fn counters_go_on_with_a_new_version_of_the_component() {
        let mut before = Tally { set_aside: 2, memory_bytes: 99, ..Tally::default() };
        before.count_failure("trap");
        let mut tally = Tally { memory_bytes: 7, ..Tally::default() };
        tally.inherit(&before);
        assert_eq!((tally.count_failure("trap"), tally.set_aside, tally.memory_bytes), (2, 2, 7));
    }

    /// A counter that is forgotten here falls when the component is exchanged.
    #[test]
    fn no_counter_falls_when_the_component_is_exchanged() {
        let earlier = SystemTime::UNIX_EPOCH + Duration::from_secs(7);
        let before = Tally {
            instances: 3,
            set_aside: 4,
            unsound: 5,
            spans: 6,
            spans_beyond_limit: 7,
            dropped_lines: 8,
            last_success: Some(earlier),
            ..Tally::default()
        };
        let mut tally = Tally {
            instances: 10,
            set_aside: 10,
            unsound: 10,
            spans: 10,
            spans_beyond_limit: 10,
            dropped_lines: 10,
            ..Tally::default()
        };
        tally.inherit(&before);
        let counters = [
            tally.instances,
            tally.set_aside,
            tally.unsound,
            tally.spans,
            tally.spans_beyond_limit,
            tally.dropped_lines,
        ];
        assert_eq!((counters, tally.last_success), ([13, 14, 15, 16, 17, 18], Some(earlier)));
    }
}
