//! How much of each limit a plugin has used.

use std::time::Instant;

use super::{GuestSlot, recent::Peaks};
use ebhost_limits as limits;

/// Names of limits, each with the share of it that was used, from 0 to 1.
type Shares = Vec<(&'static str, f64)>;

impl GuestSlot {
    /// For each limit the largest share of it that was used since the component was loaded. Limits of compiling are listed only if the
    /// component was compiled, and not found in the cache.
    pub(super) fn limits_used(&self) -> Shares {
        let (tally, compiled) = (&self.tally, &self.compiled);
        let mut used = vec![
            ("component", share(compiled.bytes(), limits::COMPONENT_BYTES as usize)),
            ("instances", share(compiled.instantiated().instances, limits::INSTANCES)),
            ("metadata", share(compiled.metadata_bytes(), limits::METADATA_BYTES)),
            ("compiled", compiled.compiled_share()),
            ("describe", self.start_policy.first_start().as_secs_f64() / limits::DESCRIBE.as_secs_f64()),
        ];
        used.extend(self.shares(Peaks {
            call: tally.longest_call,
            entries: tally.most_entries,
            answer_bytes: tally.answer_bytes,
            label_bytes: tally.label_bytes,
            memory_bytes: tally.memory_bytes,
            stack_bytes: tally.stack_bytes,
            log_lines: self.log.most(),
        }));
        if let Some(cost) = compiled.cost() {
            used.push(("compile_time", cost.cpu.as_secs_f64() / cost.cpu_limit.as_secs_f64()));
            used.push(("compile_memory", share(cost.memory_bytes, cost.memory_limit_bytes as usize)));
        }
        at_most_one(used)
    }

    /// The same for the limits of calls, of the last [`limits::RECENT`].
    pub(super) fn limits_used_recently(&self, now: Instant) -> Shares {
        let mut peaks = self.recent.at(now);
        // It has its memory although it is not called.
        peaks.memory_bytes = peaks.memory_bytes.max(self.memory_bytes());
        at_most_one(self.shares(peaks).to_vec())
    }

    fn shares(&self, peaks: Peaks) -> [(&'static str, f64); 7] {
        [
            ("memory", share(peaks.memory_bytes, self.limits.memory_bytes as usize)),
            ("stack", share(peaks.stack_bytes, limits::GUEST_STACK_BYTES)),
            ("decode", peaks.call.as_secs_f64() / self.limits.decode.as_secs_f64()),
            ("entries", share(peaks.entries, limits::BATCH_ENTRIES)),
            ("answer", share(peaks.answer_bytes, limits::ANSWER_BYTES)),
            ("label", share(peaks.label_bytes, limits::LABEL_BYTES)),
            ("log", f64::from(peaks.log_lines) / f64::from(limits::LOG_LINES_PER_SECOND)),
        ]
    }
}

fn share(used: usize, limit: usize) -> f64 {
    used as f64 / limit as f64
}

fn at_most_one(shares: Shares) -> Shares {
    shares.into_iter().map(|(limit, share)| (limit, share.min(1.0))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_a_limit_is_a_half_and_more_than_all_of_it_is_one() {
        assert_eq!([share(0, 8), share(4, 8), share(8, 8)], [0.0, 0.5, 1.0]);
        assert_eq!(at_most_one(vec![("memory", 0.5), ("decode", 1.5)]), [("memory", 0.5), ("decode", 1.0)]);
    }
}
