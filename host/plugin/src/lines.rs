//! What a guest logs, on its way to the host's log: so many lines a second, the rest is counted.

use std::time::{Duration, Instant};

use tracing::{debug, error, info, warn};

use super::{contract::log::Level, instance::Said};
use ebhost_limits as limits;

/// One plugin's lines of the current second.
#[derive(Debug, Default)]
pub(super) struct Lines {
    since: Option<Instant>,
    written: u32,
    /// In the fullest second so far, those included that had no room.
    most: u32,
}

impl Lines {
    /// Hands on what the instance logged in its last call, as far as the second has room; how many lines were lost.
    pub(super) fn forward(&mut self, package: &str, said: Said, now: Instant) -> u64 {
        let (lines, mut dropped) = said;
        for (level, line) in lines {
            if !self.has_room(now) {
                dropped += 1;
                continue;
            }
            match level {
                Level::Error => error!(package, "plugin says: {line}"),
                Level::Warn => warn!(package, "plugin says: {line}"),
                Level::Info => info!(package, "plugin says: {line}"),
                Level::Debug => debug!(package, "plugin says: {line}"),
            }
        }
        dropped
    }

    /// Lines of the fullest second so far.
    pub(super) fn most(&self) -> u32 {
        self.most
    }

    fn has_room(&mut self, now: Instant) -> bool {
        let is_new = self.since.is_none_or(|since| now.saturating_duration_since(since) >= Duration::from_secs(1));
        if is_new {
            (self.since, self.written) = (Some(now), 0);
        }
        self.written += 1;
        self.most = self.most.max(self.written);
        self.written <= limits::LOG_LINES_PER_SECOND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_room_for_so_many_lines() {
        let mut lines = Lines::default();
        let now = Instant::now();
        let most = limits::LOG_LINES_PER_SECOND as usize;
        assert_eq!((0..100).filter(|_| lines.has_room(now)).count(), most);
        assert!(!lines.has_room(now + Duration::from_millis(999)));
        assert_eq!((0..100).filter(|_| lines.has_room(now + Duration::from_secs(1))).count(), most);
    }
}
