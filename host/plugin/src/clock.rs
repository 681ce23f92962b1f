//! The one place that reads the clock for guest calls and their budgets.
//!
//! All limits of guest time are wall time now. To charge a guest for CPU time instead, change [`CallTimer`] alone.

use std::time::{Duration, Instant};

/// The present, for budgets and back-off.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Measures one guest call against its limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallTimer {
    started: Instant,
    limit: Duration,
}

impl CallTimer {
    pub(crate) fn start(limit: Duration) -> Self {
        Self { started: now(), limit }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        now().saturating_duration_since(self.started)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.elapsed() >= self.limit
    }
}
