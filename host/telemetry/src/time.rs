//! Readings of clocks, in the units in which the metrics show them.

use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

/// Seconds since 1970.
pub fn unix_seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// CPU time of the calling thread since its start. Time in which it waited for others, or for a CPU, is not in it.
pub fn thread_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}
