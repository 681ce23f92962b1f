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

/// The present time by the kernel's monotonic clock, which `bpf_ktime_get_ns()` reads, and by the wall clock.
#[derive(Debug, Clone, Copy)]
pub struct MonotonicTime {
    monotonic_ns: u64,
    unix_ns: u64,
}

impl MonotonicTime {
    /// Reads both clocks.
    pub fn now() -> Self {
        let [monotonic_ns, unix_ns] = [ClockId::Monotonic, ClockId::Realtime].map(nanoseconds);
        Self { monotonic_ns, unix_ns }
    }

    /// When the clocks were read, in nanoseconds since 1970.
    pub fn unix_ns(self) -> u64 {
        self.unix_ns
    }

    /// A time by the monotonic clock in nanoseconds since 1970, as the wall clock has it now: a machine that was suspended since then slept
    /// in between.
    pub fn unix_ns_of(self, monotonic_ns: u64) -> u64 {
        (self.unix_ns.saturating_sub(self.monotonic_ns)).saturating_add(monotonic_ns)
    }
}

fn nanoseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// A time in seconds since 1970 as part of a file's name: `20261126T210503Z`.
pub fn utc_stamp(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    let ((year, month, date), second) = (civil(whole / 86_400), whole % 86_400);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year}{month:02}{date:02}T{hour:02}{minute:02}{second:02}Z")
}

/// Year, month and date of a day since 1970, in the Gregorian calendar. Years are counted from March here, so that the leap day is the
/// last of a year.
pub fn civil(day: u64) -> (u64, u64, u64) {
    const DAYS_OF_400_YEARS: u64 = 146_097;
    let day = day + 719_468; // since 1 March of the year 0
    let (era, of_era) = (day / DAYS_OF_400_YEARS, day % DAYS_OF_400_YEARS);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let date = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year + u64::from(month <= 2), month, date)
}
