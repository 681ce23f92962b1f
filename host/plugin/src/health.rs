//! Where a plugin stands: admitted → running → backing off → quarantined.
//!
//! It holds no clock and no instance: it is told what happened and when, and answers whether the plugin may be asked. So its
//! rules are tested without waiting.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::{Duration, Instant},
};

use ebhost_limits as limits;

/// A place in a plugin's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Described, not yet asked anything.
    Admitted,
    /// Its last answer was sound.
    Running,
    /// It failed, and is not asked again for a while.
    BackingOff,
    /// It failed too often in a row, and is not asked again until its files change.
    Quarantined,
}

impl State {
    pub const ALL: [Self; 4] = [Self::Admitted, Self::Running, Self::BackingOff, Self::Quarantined];

    /// As `ebhost_plugin_state` names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Running => "running",
            Self::BackingOff => "backing_off",
            Self::Quarantined => "quarantined",
        }
    }
}

/// The standing of one plugin.
#[derive(Debug, Clone)]
pub struct Health {
    state: State,
    /// Failures since it was last healthy for long enough.
    in_row: u32,
    last_failure: Option<Instant>,
    /// When it may be asked again.
    back_at: Option<Instant>,
    jitter: u64,
}

impl Health {
    /// Of a plugin that has described itself. The name seeds the jitter, so that plugins that fail together come back apart.
    pub fn admitted(name: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        Self { state: State::Admitted, in_row: 0, last_failure: None, back_at: None, jitter: hasher.finish() | 1 }
    }

    pub fn state(&self) -> State {
        self.state
    }

    /// Failures in a row, as far as they count towards quarantine.
    pub fn failures_in_row(&self) -> u32 {
        self.in_row
    }

    /// Whether it may be asked now.
    pub fn may_be_asked(&self, now: Instant) -> bool {
        match self.state {
            State::Admitted | State::Running => true,
            State::BackingOff => self.back_at.is_none_or(|back| now >= back),
            State::Quarantined => false,
        }
    }

    /// It answered soundly. A row of failures ends once it has been healthy for a while, not by one good answer between two bad.
    pub fn answered(&mut self, now: Instant) {
        if self.state == State::Quarantined {
            return;
        }
        self.state = State::Running;
        let healthy_since = self.back_at.max(self.last_failure);
        if healthy_since.is_none_or(|since| now.saturating_duration_since(since) >= limits::HEALTHY_AFTER) {
            self.in_row = 0;
        }
    }

    /// It failed as a whole: nothing that it was asked came back sound.
    pub fn failed(&mut self, now: Instant) {
        let healthy_since = self.back_at.max(self.last_failure);
        if self.state != State::BackingOff
            && healthy_since.is_some_and(|since| now.saturating_duration_since(since) >= limits::HEALTHY_AFTER)
        {
            self.in_row = 0;
        }
        self.in_row += 1;
        self.last_failure = Some(now);
        if self.in_row >= limits::FAILURES_TO_QUARANTINE {
            self.state = State::Quarantined;
            self.back_at = None;
        } else {
            self.state = State::BackingOff;
            self.back_at = Some(now + self.wait());
        }
    }

    /// Doubling from the first to the longest, less up to a quarter.
    fn wait(&mut self) -> Duration {
        let doublings = self.in_row.saturating_sub(1).min(16);
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

    /// When it may be asked again, to the millisecond.
    fn back_after(health: &Health, now: Instant) -> Duration {
        (0..60_000).map(Duration::from_millis).find(|wait| health.may_be_asked(now + *wait)).expect("within a minute")
    }

    #[test]
    fn waits_double_and_the_fifth_failure_in_a_row_ends_it() {
        let mut now = Instant::now();
        let mut health = Health::admitted("x");
        assert_eq!(health.state(), State::Admitted);
        for whole in [1, 2, 4, 8].map(seconds) {
            health.failed(now);
            assert_eq!(health.state(), State::BackingOff);
            let wait = back_after(&health, now);
            assert!(wait <= whole && wait >= whole.mul_f64(0.74), "{wait:?} of {whole:?}");
            now += wait;
        }
        health.failed(now);
        assert_eq!(health.state(), State::Quarantined);
        assert!(!health.may_be_asked(now + seconds(1 << 20)));
        health.answered(now + seconds(99));
        assert_eq!(health.state(), State::Quarantined, "only a change of its files ends it");
    }

    #[test]
    fn ten_seconds_of_health_end_a_row() {
        let mut now = Instant::now();
        let mut health = Health::admitted("x");
        for _ in 0..3 {
            health.failed(now);
            now += seconds(9);
        }
        assert_eq!(health.failures_in_row(), 3);
        health.answered(now);
        assert_eq!((health.state(), health.failures_in_row()), (State::Running, 3), "one answer is not health");
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
        assert_eq!(health.state(), State::Quarantined);
    }

    #[test]
    fn a_plugin_that_nobody_asked_for_a_while_begins_a_new_row() {
        let mut now = Instant::now();
        let mut health = Health::admitted("x");
        for _ in 0..20 {
            health.failed(now);
            now += back_after(&health, now);
            health.answered(now);
            now += seconds(11);
        }
        assert_eq!((health.state(), health.failures_in_row()), (State::Running, 1));
    }

    #[test]
    fn plugins_that_fail_together_come_back_apart() {
        let now = Instant::now();
        let waits = ["a", "b", "c", "d"].map(|name| {
            let mut health = Health::admitted(name);
            health.failed(now);
            back_after(&health, now)
        });
        assert!(waits.windows(2).any(|pair| pair[0] != pair[1]), "{waits:?}");
    }
}
