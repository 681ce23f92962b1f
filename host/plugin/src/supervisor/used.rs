//! How near its limits a plugin is.

use super::Plugin;
use ebhost_limits as limits;

impl Plugin {
    /// For each limit the largest part of it that was used since the component was loaded, from 0 to 1; for compiling, only if it
    /// was compiled and not found in the cache.
    pub fn limits_used(&self) -> Vec<(&'static str, f64)> {
        let tally = &self.tally;
        let part = |used: usize, limit: usize| used as f64 / limit as f64;
        let mut used = vec![
            ("component", part(self.compiled.bytes, limits::COMPONENT_BYTES as usize)),
            ("describe", self.start_time.as_secs_f64() / limits::DESCRIBE.as_secs_f64()),
            ("memory", part(tally.memory_bytes, self.limits.memory_bytes as usize)),
            ("stack", part(tally.stack_bytes, limits::GUEST_STACK_BYTES)),
            ("decode", tally.longest_call.as_secs_f64() / self.limits.decode.as_secs_f64()),
            ("entries", part(tally.most_entries, limits::BATCH_ENTRIES)),
            ("answer", part(tally.answer_bytes, limits::ANSWER_BYTES)),
            ("label", part(tally.label_bytes, limits::LABEL_BYTES)),
            ("log", f64::from(self.lines.most()) / f64::from(limits::LOG_LINES_PER_SECOND)),
        ];
        if let Some(cost) = self.compiled.cost {
            used.push(("compile_time", cost.cpu.as_secs_f64() / cost.cpu_limit.as_secs_f64()));
            used.push(("compile_memory", part(cost.memory_bytes, limits::COMPILE_BYTES as usize)));
        }
        used.into_iter().map(|(limit, part)| (limit, part.min(1.0))).collect()
    }
}
