//! How much of each limit a plugin has used.

use super::GuestSlot;
use ebhost_limits as limits;

impl GuestSlot {
    /// For each limit the largest share of it that was used since the component was loaded, from 0 to 1. Limits of compiling are listed
    /// only if the component was compiled, and not found in the cache.
    pub(super) fn limits_used(&self) -> Vec<(&'static str, f64)> {
        let (tally, compiled) = (&self.tally, &self.compiled);
        let share = |used: usize, limit: usize| used as f64 / limit as f64;
        let mut used = vec![
            ("component", share(compiled.bytes(), limits::COMPONENT_BYTES as usize)),
            ("describe", self.start_policy.first_start().as_secs_f64() / limits::DESCRIBE.as_secs_f64()),
            ("memory", share(tally.memory_bytes, self.limits.memory_bytes as usize)),
            ("stack", share(tally.stack_bytes, limits::GUEST_STACK_BYTES)),
            ("decode", tally.longest_call.as_secs_f64() / self.limits.decode.as_secs_f64()),
            ("entries", share(tally.most_entries, limits::BATCH_ENTRIES)),
            ("answer", share(tally.answer_bytes, limits::ANSWER_BYTES)),
            ("label", share(tally.label_bytes, limits::LABEL_BYTES)),
            ("log", f64::from(self.log.most()) / f64::from(limits::LOG_LINES_PER_SECOND)),
        ];
        if let Some(cost) = compiled.cost() {
            used.push(("compile_time", cost.cpu.as_secs_f64() / cost.cpu_limit.as_secs_f64()));
            used.push(("compile_memory", share(cost.memory_bytes, cost.memory_limit_bytes as usize)));
        }
        used.into_iter().map(|(limit, share)| (limit, share.min(1.0))).collect()
    }
}
