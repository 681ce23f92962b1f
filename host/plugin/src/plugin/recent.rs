//! The peaks of the last minutes. A peak since the start says nothing about today: it stays for ever after one burst.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use ebhost_limits as limits;

/// The largest numbers of some calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Peaks {
    pub(super) call: Duration,
    pub(super) entries: usize,
    pub(super) answer_bytes: usize,
    pub(super) label_bytes: usize,
    pub(super) memory_bytes: usize,
    pub(super) stack_bytes: usize,
    /// Log lines in a second.
    pub(super) log_lines: u32,
}

impl Peaks {
    fn max(self, other: Self) -> Self {
        Self {
            call: self.call.max(other.call),
            entries: self.entries.max(other.entries),
            answer_bytes: self.answer_bytes.max(other.answer_bytes),
            label_bytes: self.label_bytes.max(other.label_bytes),
            memory_bytes: self.memory_bytes.max(other.memory_bytes),
            stack_bytes: self.stack_bytes.max(other.stack_bytes),
            log_lines: self.log_lines.max(other.log_lines),
        }
    }
}

/// Peaks by the minute in which they were, as far as that is not too long ago.
#[derive(Debug, Default)]
pub(super) struct RecentPeaks(VecDeque<(Instant, Peaks)>);

impl RecentPeaks {
    const PART: Duration = limits::RECENT.checked_div(5).expect("5 is not 0");

    /// Notes the numbers of a call.
    pub(super) fn note(&mut self, now: Instant, peaks: Peaks) {
        match self.0.back_mut() {
            Some((began, last)) if now.saturating_duration_since(*began) < Self::PART => *last = last.max(peaks),
            _ => self.0.push_back((now, peaks)),
        }
        while self.0.front().is_some_and(|(began, _)| !is_recent(*began, now)) {
            self.0.pop_front();
        }
    }

    /// The largest numbers of the calls of the last [`limits::RECENT`].
    pub(super) fn at(&self, now: Instant) -> Peaks {
        let recent = self.0.iter().filter(|(began, _)| is_recent(*began, now));
        recent.fold(Peaks::default(), |all, (_, peaks)| all.max(*peaks))
    }
}

fn is_recent(began: Instant, now: Instant) -> bool {
    now.saturating_duration_since(began) < limits::RECENT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_forgotten_after_five_minutes() {
        let (start, mut recent) = (Instant::now(), RecentPeaks::default());
        let at = |seconds| start + Duration::from_secs(seconds);
        let calls = |entries| Peaks { entries, ..Peaks::default() };
        recent.note(at(0), calls(4096));
        recent.note(at(10), calls(5));
        assert_eq!(recent.at(at(299)), calls(4096));
        assert_eq!(recent.at(at(300)), calls(0), "both are of one minute");
        for seconds in 20..1000 {
            recent.note(at(seconds), Peaks { call: Duration::from_micros(seconds), ..calls(7) });
        }
        assert!(recent.0.len() <= 6, "{}", recent.0.len());
        assert_eq!(recent.at(at(1000)), Peaks { call: Duration::from_micros(999), ..calls(7) });
    }
}
