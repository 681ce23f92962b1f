//! How much of its limits a plugin used, and which of them it comes near.

use std::time::Duration;

use ebhost_limits as limits;
use ebhost_package::Limits;
use ebhost_plugin_host::Tally;

/// Usage of one limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct LimitUsage {
    limit: &'static str,
    used: f64,
    most: f64,
    /// Advice for when it is near.
    pub(super) remedy: &'static str,
}

impl LimitUsage {
    /// Time of one call.
    pub(super) fn decode(call: Duration, limits: Limits) -> Self {
        Self {
            limit: "limits.decode",
            used: call.as_secs_f64(),
            most: limits.decode.as_secs_f64(),
            remedy: "raise it in plugin.yaml, or do less for an entry",
        }
    }

    /// Bytes of linear memory.
    pub(super) fn memory(bytes: usize, limits: Limits) -> Self {
        Self {
            limit: "limits.memory",
            used: bytes as f64,
            most: limits.memory_bytes as f64,
            remedy: "raise it in plugin.yaml, or keep less",
        }
    }

    /// Bytes of one answer.
    pub(super) fn answer(bytes: usize) -> Self {
        Self {
            limit: "the bytes that an answer may have",
            used: bytes as f64,
            most: limits::ANSWER_BYTES as f64,
            remedy: "list each text once in the dictionary, and shorten labels",
        }
    }

    /// Number of series.
    pub(super) fn series(series: usize, limits: Limits) -> Self {
        Self {
            limit: "limits.series",
            used: series as f64,
            most: limits.series as f64,
            remedy: "raise it in plugin.yaml, or use labels with fewer values",
        }
    }

    /// A message, if the limit is near.
    pub(super) fn near(&self) -> Option<String> {
        let is_near = self.most > 0.0 && self.used >= self.most * limits::NEAR;
        is_near.then(|| format!("{:.0} % of {}", self.used / self.most * 100.0, self.limit))
    }
}

/// Usage of all limits by a plugin.
pub(super) fn usages(tally: &Tally, series: usize, limits: Limits) -> [LimitUsage; 4] {
    [
        LimitUsage::decode(tally.longest_call, limits),
        LimitUsage::memory(tally.memory_bytes, limits),
        LimitUsage::answer(tally.answer_bytes),
        LimitUsage::series(series, limits),
    ]
}

/// One line for each limit: what was used, and the limit.
pub(super) fn lines(tally: &Tally, series: usize, text_bytes: usize, limits: Limits) -> [String; 4] {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let (calls, asked) = (tally.calls, tally.asked);
    [
        format!(
            "decode  {:.3} ms of {} ms, the longest of {calls} calls for {asked} entries",
            ms(tally.longest_call),
            ms(limits.decode)
        ),
        format!("memory  {:.1} MiB of {} MiB", mib(tally.memory_bytes as u64), mib(limits.memory_bytes)),
        format!("answer  {} bytes of {} MiB, the largest", tally.answer_bytes, mib(limits::ANSWER_BYTES as u64)),
        format!("series  {series} of {}, printed as {text_bytes} bytes", limits.series),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        memory_bytes: 16 << 20,
        decode: Duration::from_millis(50),
        series: 1000,
        kernel_cpu: None,
        kernel_memory_bytes: 1 << 20,
    };

    fn near(tally: &Tally, series: usize) -> Vec<String> {
        usages(tally, series, LIMITS).iter().filter_map(LimitUsage::near).collect()
    }

    #[test]
    fn four_fifths_of_a_limit_are_near_it() {
        let below = Tally {
            longest_call: Duration::from_micros(39_900),
            memory_bytes: 12 << 20,
            answer_bytes: limits::ANSWER_BYTES / 5 * 4 - 5,
            ..Tally::default()
        };
        assert_eq!(near(&below, 799), [""; 0]);
        let above = Tally {
            longest_call: Duration::from_millis(41),
            memory_bytes: 14 << 20,
            answer_bytes: limits::ANSWER_BYTES,
            ..Tally::default()
        };
        assert_eq!(
            near(&above, 1000),
            [
                "82 % of limits.decode",
                "88 % of limits.memory",
                "100 % of the bytes that an answer may have",
                "100 % of limits.series"
            ]
        );
    }

    #[test]
    fn the_longest_call_is_shown_and_not_their_mean() {
        let tally = Tally {
            calls: 100,
            asked: 400,
            guest_time: Duration::from_millis(50),
            longest_call: Duration::from_millis(45),
            ..Tally::default()
        };
        let [decode, ..] = lines(&tally, 1, 2, LIMITS);
        assert_eq!(decode, "decode  45.000 ms of 50 ms, the longest of 100 calls for 400 entries");
    }
}
