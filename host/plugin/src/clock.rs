//! The one place that reads clocks for guest calls and their budgets.
//!
//! A guest call is charged the CPU time of its thread. A machine may stop the whole process for a tenth of a second (a CPU quota, a
//! hypervisor), in the middle of a call of 20 µs whose entry is not at fault. A guest has nothing to wait for, so CPU time and wall time
//! differ by nothing else.

use std::time::{Duration, Instant};

use ebhost_limits as limits;
use ebhost_telemetry::thread_cpu_time;

/// The present, for budgets and back-off.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Measures one guest call against its limit. It is used in the thread that it was started in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallTimer {
    started: Instant,
    cpu_at_start: Duration,
    limit: Duration,
}

impl CallTimer {
    pub(crate) fn start(limit: Duration) -> Self {
        Self { started: now(), cpu_at_start: thread_cpu_time(), limit }
    }

    /// CPU time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        thread_cpu_time().saturating_sub(self.cpu_at_start)
    }

    /// Whether the limit is reached. CPU time is asked for only once wall time is: it is a system call, and never the larger of the two.
    pub(crate) fn is_over(&self) -> bool {
        let wall = now().saturating_duration_since(self.started);
        wall >= self.limit && (self.elapsed() >= self.limit || wall >= self.limit * limits::GUEST_WALL_TIMES)
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    #[test]
    fn time_in_which_the_thread_did_not_run_is_not_charged() {
        let timer = CallTimer::start(Duration::from_millis(20));
        sleep(Duration::from_millis(40));
        assert!(!timer.is_over());
        assert!(timer.elapsed() < Duration::from_millis(20));
        while !timer.is_over() {
            std::hint::spin_loop();
        }
        assert!(timer.elapsed() >= Duration::from_millis(20));
    }
}
