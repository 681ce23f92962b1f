//! Log lines of a guest: kept in its store during a call, and forwarded to the host's log at a limited rate.

use std::time::{Duration, Instant};

use tracing::{debug, error, info, warn};

use crate::contract::rows::LogLevel;
use ebhost_limits as limits;
use ebhost_telemetry::one_line;

/// The lines that a guest logged since they were last taken.
#[derive(Debug, Default)]
pub(crate) struct GuestLog {
    lines: Vec<(LogLevel, String)>,
    /// Lines for which there was no room.
    dropped: u64,
}

impl GuestLog {
    /// Keeps a line, cut to [`limits::LOG_BYTES`]. The last line of a call is always kept: after a trap it is reported as the reason.
    pub(super) fn push(&mut self, level: LogLevel, message: &str) {
        if self.lines.len() >= limits::LOG_LINES_PER_SECOND as usize {
            self.dropped += 1;
            self.lines.pop();
        }
        self.lines.push((level, one_line(message, limits::LOG_BYTES)));
    }

    pub(super) fn last_line(&self) -> Option<&str> {
        self.lines.last().map(|(_, line)| line.as_str())
    }
}

/// Forwards one plugin's lines to the host's log, at most [`limits::LOG_LINES_PER_SECOND`].
#[derive(Debug, Default)]
pub(crate) struct LogForwarder {
    second_began: Option<Instant>,
    /// Lines of this second, dropped ones included.
    lines: u32,
    /// The most lines of any second so far, dropped ones included.
    most: u32,
}

impl LogForwarder {
    /// Forwards what fits into the present second. Returns how many lines were lost, here or before.
    pub(crate) fn forward(&mut self, package: &str, log: GuestLog, now: Instant) -> u64 {
        let mut dropped = log.dropped;
        for (level, line) in log.lines {
            if !self.take_slot(now) {
                dropped += 1;
                continue;
            }
            match level {
                LogLevel::Error => error!(package, "plugin says: {line}"),
                LogLevel::Warn => warn!(package, "plugin says: {line}"),
                LogLevel::Info => info!(package, "plugin says: {line}"),
                LogLevel::Debug => debug!(package, "plugin says: {line}"),
            }
        }
        dropped
    }

    /// The lines of the present second.
    pub(crate) fn of_second(&self, now: Instant) -> u32 {
        let is_present =
            self.second_began.is_some_and(|began| now.saturating_duration_since(began) < Duration::from_secs(1));
        if is_present { self.lines } else { 0 }
    }

    /// The most lines of any second so far.
    pub(crate) fn most(&self) -> u32 {
        self.most
    }

    /// Counts a line; whether there is room for it in the present second.
    fn take_slot(&mut self, now: Instant) -> bool {
        let is_new =
            self.second_began.is_none_or(|began| now.saturating_duration_since(began) >= Duration::from_secs(1));
        if is_new {
            (self.second_began, self.lines) = (Some(now), 0);
        }
        self.lines += 1;
        self.most = self.most.max(self.lines);
        self.lines <= limits::LOG_LINES_PER_SECOND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_room_for_so_many_lines() {
        let mut forwarder = LogForwarder::default();
        let now = Instant::now();
        let most = limits::LOG_LINES_PER_SECOND as usize;
        assert_eq!((0..100).filter(|_| forwarder.take_slot(now)).count(), most);
        assert!(!forwarder.take_slot(now + Duration::from_millis(999)));
        assert_eq!((0..100).filter(|_| forwarder.take_slot(now + Duration::from_secs(1))).count(), most);
    }

    #[test]
    fn the_last_line_before_a_trap_is_kept_however_many_came_before() {
        let mut log = GuestLog::default();
        (0..100).for_each(|line| log.push(LogLevel::Info, &format!("line {line}")));
        assert_eq!((log.last_line(), log.lines.len()), (Some("line 99"), limits::LOG_LINES_PER_SECOND as usize));
        assert_eq!(log.dropped, 100 - u64::from(limits::LOG_LINES_PER_SECOND));
    }

    /// The share of the limit on lines is shown of the present second and of the worst one.
    #[test]
    fn lines_are_known_in_their_second_and_the_most_of_any_second_for_good() {
        let mut forwarder = LogForwarder::default();
        let now = Instant::now();
        assert_eq!((forwarder.of_second(now), forwarder.most()), (0, 0));
        (0..7).for_each(|_| _ = forwarder.take_slot(now));
        assert_eq!((forwarder.of_second(now + Duration::from_millis(999)), forwarder.most()), (7, 7));
        assert_eq!(forwarder.of_second(now + Duration::from_secs(1)), 0);
        (0..2).for_each(|_| _ = forwarder.take_slot(now + Duration::from_secs(2)));
        assert_eq!((forwarder.of_second(now + Duration::from_secs(2)), forwarder.most()), (2, 7));
    }
}
