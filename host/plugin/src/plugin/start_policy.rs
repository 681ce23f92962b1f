//! When a new instance may be started within a scrape, and how long that may take.

use std::time::{Duration, Instant};

use ebhost_limits as limits;

/// Decides about later starts by the time of the first, which no scrape waits for.
#[derive(Debug, Clone, Copy)]
pub(super) struct StartPolicy {
    first_start: Duration,
}

impl StartPolicy {
    pub(super) fn new(first_start: Duration) -> Self {
        Self { first_start }
    }

    /// Time of the first start.
    pub(super) fn first_start(&self) -> Duration {
        self.first_start
    }

    /// Whether a start at `now` can be expected to be done at `until`.
    pub(super) fn fits(&self, now: Instant, until: Instant) -> bool {
        now + self.first_start <= until
    }

    /// Limit of a later start: [`limits::RESTART_SHARE`] times the first one, from [`limits::RESTART`] to [`limits::DESCRIBE`].
    pub(super) fn time_limit(&self) -> Duration {
        (self.first_start * limits::RESTART_SHARE).clamp(limits::RESTART, limits::DESCRIBE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interpreter_is_not_started_when_the_scrape_is_nearly_over() {
        let policy = StartPolicy::new(Duration::from_millis(300));
        let now = Instant::now();
        assert!(policy.fits(now, now + Duration::from_millis(300)));
        assert!(!policy.fits(now, now + Duration::from_millis(299)));
    }

    #[test]
    fn a_later_start_may_take_longer_than_the_first_but_not_without_end() {
        let limit = |first| StartPolicy::new(Duration::from_millis(first)).time_limit();
        assert_eq!(limit(1), limits::RESTART);
        assert_eq!(limit(100), Duration::from_millis(400));
        assert_eq!(limit(1_900), limits::DESCRIBE);
    }
}
