//! When a new instance may be started within a scrape, and how long that may take.

use std::time::{Duration, Instant};

use ebhost_limits as limits;

/// Decides about later starts by the time of those before: the first one, which no scrape waits for, and the last one.
///
/// Starts are paid for from a balance that grows by a part of the time that passes. It may become negative by one start; until it has
/// grown again none takes place.
#[derive(Debug, Clone, Copy)]
pub(super) struct StartPolicy {
    first_start: Duration,
    longest_start: Duration,
    /// Seconds, at `balanced_at`.
    balance: f64,
    balanced_at: Instant,
}

impl StartPolicy {
    pub(super) fn new(first_start: Duration, now: Instant) -> Self {
        let mut policy = Self { first_start, longest_start: first_start, balance: 0.0, balanced_at: now };
        policy.balance = policy.most_balance();
        policy
    }

    /// Time of the first start.
    pub(super) fn first_start(&self) -> Duration {
        self.first_start
    }

    /// Whether a start at `now` is paid for and can be expected to be done at `until`.
    pub(super) fn fits(&self, now: Instant, until: Instant) -> bool {
        self.is_paid_for(now) && now + self.longest_start <= until
    }

    /// Whether a start at `now` is paid for, however long it takes.
    pub(super) fn is_paid_for(&self, now: Instant) -> bool {
        self.balance_at(now) > 0.0
    }

    /// Notes a later start that ended at `now`, whether it succeeded or not.
    pub(super) fn note_start(&mut self, took: Duration, now: Instant) {
        self.balance = self.balance_at(now) - took.as_secs_f64();
        self.balanced_at = now;
        self.longest_start = self.first_start.max(took);
    }

    /// Limit of a later start: [`limits::RESTART_SHARE`] times the first one, from [`limits::RESTART`] to [`limits::DESCRIBE`].
    pub(super) fn time_limit(&self) -> Duration {
        (self.first_start * limits::RESTART_SHARE).clamp(limits::RESTART, limits::DESCRIBE)
    }

    fn balance_at(&self, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.balanced_at).as_secs_f64();
        (self.balance + passed * limits::RESTART_TIME_SHARE).min(self.most_balance())
    }

    /// Enough for a start after a failure, and for the control that follows another failure.
    fn most_balance(&self) -> f64 {
        limits::RESTART_TIME_SAVED.max(2 * self.longest_start).as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn an_interpreter_is_not_started_when_the_scrape_is_nearly_over() {
        let now = Instant::now();
        let mut policy = StartPolicy::new(millis(300), now);
        assert!(policy.fits(now, now + millis(300)));
        assert!(!policy.fits(now, now + millis(299)));
        policy.note_start(millis(400), now);
        assert!(!policy.fits(now, now + millis(399)), "the last start took longer than the first");
    }

    #[test]
    fn a_later_start_may_take_longer_than_the_first_but_not_without_end() {
        let limit = |first| StartPolicy::new(millis(first), Instant::now()).time_limit();
        assert_eq!(limit(1), limits::RESTART);
        assert_eq!(limit(100), millis(400));
        assert_eq!(limit(1_900), limits::DESCRIBE);
    }

    /// `describe` took 1.7 s and every second call trapped: each scrape took as long as its client waited.
    #[test]
    fn a_component_that_starts_slowly_is_not_started_in_every_scrape() {
        let (took, scrape) = (millis(1_700), millis(4_000));
        let mut now = Instant::now();
        let mut policy = StartPolicy::new(took, now);
        let mut starts = 0;
        for _ in 0..60 {
            let end = now + scrape;
            while policy.fits(now, end) {
                now += took;
                policy.note_start(took, now);
                starts += 1;
            }
            now = end + millis(1_000);
        }
        assert!((15..=21).contains(&starts), "{starts} starts in five minutes");
    }

    #[test]
    fn a_component_that_starts_fast_is_started_for_every_step_of_a_bisection() {
        let now = Instant::now();
        let mut policy = StartPolicy::new(millis(1), now);
        for _ in 0..100 {
            assert!(policy.fits(now, now + millis(50)));
            policy.note_start(millis(1), now);
        }
    }
}
