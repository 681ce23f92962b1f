//! The health of a plugin: admitted → running → backing off → quarantined.
//!
//! [`Health`] reads no clock and holds no instance: it is told what happened and when, and says whether the plugin may be called. So its
//! rules are tested without waiting.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::{Duration, Instant},
};

use ebhost_limits as limits;

/// The state of a plugin, as `ebhost_plugin_state` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthState {
    /// Described, and not yet called.
    Admitted,
    /// Its last answer was valid.
    Running,
    /// It failed, and is not called for a while.
    BackingOff,
    /// It failed too often in a row, and is not called for [`limits::RETRY_FAILED`], unless its files change.
    Quarantined,
}

impl HealthState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Admitted, Self::Running, Self::BackingOff, Self::Quarantined];

    /// The value of the label `state` of `ebhost_plugin_state`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Running => "running",
            Self::BackingOff => "backing_off",
            Self::Quarantined => "quarantined",
        }
    }
}

/// Health of one plugin.
#[derive(Debug, Clone)]
pub(crate) struct Health {
    state: HealthState,
    /// Failures since it was last healthy for [`limits::HEALTHY_AFTER`].
    failures_in_row: u32,
    last_failure: Option<Instant>,
    /// When it may be called again.
    back_at: Option<Instant>,
    jitter: u64,
}

impl Health {
    /// A plugin that has described itself. The name seeds the jitter, so that plugins that fail together come back at different times.
    pub(crate) fn admitted(name: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        Self {
            state: HealthState::Admitted,
            failures_in_row: 0,
            last_failure: None,
            back_at: None,
            jitter: hasher.finish() | 1,
        }
    }

    pub(crate) fn state(&self) -> HealthState {
        self.state
    }

    /// Failures in a row, as far as they count towards quarantine.
    pub(crate) fn failures_in_row(&self) -> u32 {
        self.failures_in_row
    }

    /// Whether it may be called now.
    pub(crate) fn may_be_called(&self, now: Instant) -> bool {
        match self.state {
            HealthState::Admitted | HealthState::Running => true,
            HealthState::BackingOff | HealthState::Quarantined => self.back_at.is_none_or(|back| now >= back),
        }
    }

    /// It gave a valid answer. A row of failures ends when it has been healthy for a while, not by one answer between two failures.
    pub(crate) fn answered(&mut self, now: Instant) {
        self.state = HealthState::Running;
        let healthy_since = self.back_at.max(self.last_failure);
        if healthy_since.is_none_or(|since| now.saturating_duration_since(since) >= limits::HEALTHY_AFTER) {
            self.failures_in_row = 0;
        }
    }

    /// It failed as a whole: no call in this scrape succeeded.
    pub(crate) fn failed(&mut self, now: Instant) {
        let healthy_since = self.back_at.max(self.last_failure);
        if self.state == HealthState::Running
            && healthy_since.is_some_and(|since| now.saturating_duration_since(since) >= limits::HEALTHY_AFTER)
        {
            self.failures_in_row = 0;
        }
        self.failures_in_row += 1;
        self.last_failure = Some(now);
        if self.failures_in_row >= limits::FAILURES_TO_QUARANTINE {
            self.state = HealthState::Quarantined;
            self.back_at = Some(now + limits::RETRY_FAILED);
        } else {
            self.state = HealthState::BackingOff;
            self.back_at = Some(now + self.next_wait());
        }
    }

    /// The next wait: doubled from the first to the longest, less up to a quarter at random.
    fn next_wait(&mut self) -> Duration {
        let doublings = self.failures_in_row.saturating_sub(1).min(16);
        let whole = limits::FIRST_BACK_OFF.saturating_mul(1 << doublings).min(limits::LONGEST_BACK_OFF);
        self.jitter ^= self.jitter << 13;
        self.jitter ^= self.jitter >> 7;
        self.jitter ^= self.jitter << 17;
        whole - whole.mul_f64((self.jitter % 1024) as f64 / 4096.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// The time until it may be called again, to the millisecond.
    fn back_after(health: &Health, now: Instant) -> Duration {
        (0..60_000).map(Duration::from_millis).find(|wait| health.may_be_called(now + *wait)).expect("within a minute")
    }

    #[test]
    fn waits_double_and_the_fifth_failure_in_a_row_quarantines() {
        let mut now = Instant::now();
        let mut health = Health::admitted("x");
        assert_eq!(health.state(), HealthState::Admitted);
        for whole in [1, 2, 4, 8].map(seconds) {
            health.failed(now);
            assert_eq!(health.state(), HealthState::BackingOff);
            let wait = back_after(&health, now);
            assert!(wait <= whole && wait >= whole.mul_f64(0.74), "{wait:?} of {whole:?}");
            now += wait;
        }
        health.failed(now);
        assert_eq!(health.state(), HealthState::Quarantined);
        assert!(!health.may_be_called(now + seconds(3_599)));
    }

    #[test]
    fn a_quarantined_plugin_is_asked_again_after_an_hour() {
        let mut now = Instant::now();
        let mut health = Health::admitted("x");
        for _ in 0..limits::FAILURES_TO_QUARANTINE {
            health.failed(now);
        }
        for _ in 0..3 {
            now += limits::RETRY_FAILED;
            assert!(health.may_be_called(now));
            health.failed(now);
            assert_eq!(health.state(), HealthState::Quarantined, "one failure is enough");
            assert!(!health.may_be_called(now));
        }
        now += limits::RETRY_FAILED;
        health.answered(now);
        assert_eq!(health.state(), HealthState::Running);
    }

    #[test]
    fn ten_seconds_of_health_end_a_row_of_failures() {
        let mut now = Instant::now();
        let mut health = Health::admitted("x");
        for _ in 0..3 {
            health.failed(now);
            now += seconds(9);
        }
        assert_eq!(health.failures_in_row(), 3);
        health.answered(now);
        assert_eq!((health.state(), health.failures_in_row()), (HealthState::Running, 3), "one answer is not health");
        now += seconds(10);
        health.answered(now);
        assert_eq!(health.failures_in_row(), 0);
    }

    #[test]
    fn a_good_answer_between_two_failures_does_not_end_the_row() {
        let mut now = Instant::now();
        let mut health = Health::admitted("x");
        for _ in 0..4 {
            health.failed(now);
            now += back_after(&health, now);
            health.answered(now);
        }
        health.failed(now);
        assert_eq!(health.state(), HealthState::Quarantined);
    }

    #[test]
    fn a_plugin_that_was_healthy_for_a_while_begins_a_new_row() {
        let mut now = Instant::now();
        let mut health = Health::admitted("x");
        for _ in 0..20 {
            health.failed(now);
            now += back_after(&health, now);
            health.answered(now);
            now += seconds(11);
        }
        assert_eq!((health.state(), health.failures_in_row()), (HealthState::Running, 1));
    }

    #[test]
    fn plugins_that_fail_together_come_back_at_different_times() {
        let now = Instant::now();
        let waits = ["a", "b", "c", "d"].map(|name| {
            let mut health = Health::admitted(name);
            health.failed(now);
            back_after(&health, now)
        });
        assert!(waits.windows(2).any(|pair| pair[0] != pair[1]), "{waits:?}");
    }

    #[test]
    fn waits_are_spread_evenly_over_a_quarter_of_the_whole() {
        let mut quarters = [0; 4];
        for plugin in 0..400 {
            let mut health = Health::admitted(&plugin.to_string());
            health.failures_in_row = 1;
            let less = limits::FIRST_BACK_OFF - health.next_wait();
            quarters[(less.as_secs_f64() / limits::FIRST_BACK_OFF.as_secs_f64() * 16.0) as usize] += 1;
        }
        assert!(quarters.iter().all(|plugins| (70..130).contains(plugins)), "{quarters:?}");
    }

    /// Alerts and dashboards select by these names.
    #[test]
    fn the_names_of_states_are_those_of_the_metric() {
        assert_eq!(HealthState::ALL.map(HealthState::name), ["admitted", "running", "backing_off", "quarantined"]);
    }
}
