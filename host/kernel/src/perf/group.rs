//! One CPU's counters of one source: opened together, counting the same time, read by one read(2).

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use super::{super::syscall, event::Resolved};
use ebhost_limits::PERF_STALLED;
use ebhost_package::perf::Rate;

const PERF_FORMAT_TOTAL_TIME_ENABLED: u64 = 1;
const PERF_FORMAT_TOTAL_TIME_RUNNING: u64 = 2;
const PERF_FORMAT_GROUP: u64 = 8;

/// Open counters; closed when dropped.
#[derive(Debug)]
pub(super) struct Group {
    files: Vec<OwnedFd>,
    totals: Totals,
    buffer: Vec<u8>,
    standing_since: Instant,
}

/// What a group does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Counts all the time.
    Live,
    /// Takes turns: counts are scaled by the time wanted over the time counted.
    Scaled,
    /// Has no counter.
    Stalled,
    /// The kernel took it away, as it does when its CPU goes offline.
    Dead,
}

/// Numbers of a group: what the kernel said last, and what has been made of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Totals {
    raw: Vec<u64>,
    enabled_ns: u64,
    running_ns: u64,
    /// Corrected for multiplexing, increase by increase, so that they never fall.
    pub(super) corrected: Vec<u64>,
}

impl Totals {
    pub(super) fn new(events: usize) -> Self {
        Self { raw: vec![0; events], corrected: vec![0; events], ..Self::default() }
    }

    /// Takes in what one read gave, and says whether that was all of the time.
    fn add(&mut self, enabled_ns: u64, running_ns: u64, raw: impl Iterator<Item = u64>) -> Standing {
        let enabled = enabled_ns.saturating_sub(self.enabled_ns);
        let running = running_ns.saturating_sub(self.running_ns);
        if running == 0 {
            // Nothing is known of this time; it stays with the next that something is known of.
            return if enabled == 0 { Standing::Dead } else { Standing::Stalled };
        }
        for ((last, corrected), raw) in self.raw.iter_mut().zip(&mut self.corrected).zip(raw) {
            let more = scaled(raw.wrapping_sub(*last), enabled, running);
            *corrected = corrected.wrapping_add(more);
            *last = raw;
        }
        (self.enabled_ns, self.running_ns) = (enabled_ns, running_ns);
        // An event is started and stopped at slightly different moments; a thousandth is no multiplexing.
        if enabled - enabled.min(running) <= enabled / 1000 { Standing::Live } else { Standing::Scaled }
    }

    /// Whether anything was ever counted.
    fn has_run(&self) -> bool {
        self.running_ns > 0
    }

    /// The value of a row: the events, then the times.
    pub(super) fn write(&self, value: &mut Vec<u8>) {
        for number in self.corrected.iter().chain([&self.enabled_ns, &self.running_ns]) {
            value.extend_from_slice(&number.to_le_bytes());
        }
    }
}

/// A number of what read(2) gave.
fn word(bytes: &[u8], at: usize) -> u64 {
    bytes.chunks_exact(8).nth(at).map_or(0, |word| u64::from_le_bytes(word.try_into().unwrap_or_default()))
}

/// An increase, for all of the time that it was wanted in; rounded to the nearest.
fn scaled(more: u64, enabled: u64, running: u64) -> u64 {
    if enabled <= running {
        return more;
    }
    let (more, enabled, running) = (u128::from(more), u128::from(enabled), u128::from(running));
    u64::try_from((more * enabled + running / 2) / running).unwrap_or(u64::MAX)
}

impl Group {
    /// Opens the events on a CPU and starts them at once; an error names the event by its place.
    pub(super) fn open(
        events: &[Resolved],
        samples: Option<(Rate, BorrowedFd<'_>)>,
        cpu: u32,
    ) -> Result<Self, (usize, io::Error)> {
        let mut files: Vec<OwnedFd> = Vec::with_capacity(events.len());
        for (place, event) in events.iter().enumerate() {
            let mut attr = event.attr.clone();
            attr.read_format = PERF_FORMAT_GROUP | PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING;
            let leader = files.first().map(AsFd::as_fd);
            if leader.is_none() {
                attr.flags |= syscall::PERF_DISABLED;
                (attr.sample, attr.flags) = match samples {
                    None => (0, attr.flags),
                    Some((Rate::Period(period), _)) => (period, attr.flags),
                    Some((Rate::Frequency(hz), _)) => (hz, attr.flags | syscall::PERF_FREQUENCY),
                };
            }
            files.push(syscall::perf_event_open(&attr, cpu, leader).map_err(|error| (place, error))?);
        }
        if let Some((_, program)) = samples {
            syscall::perf_event_run(files[0].as_fd(), program).map_err(|error| (0, error))?;
        }
        Ok(Self {
            totals: Totals::new(files.len()),
            buffer: vec![0; 8 * (3 + files.len())],
            standing_since: Instant::now(),
            files,
        })
    }

    pub(super) fn start(&self) -> io::Result<()> {
        syscall::perf_event_enable(self.files[0].as_fd())
    }

    /// The file of one event.
    pub(super) fn file(&self, event: usize) -> BorrowedFd<'_> {
        self.files[event].as_fd()
    }

    /// Goes on with the counts of a group that it takes the place of.
    pub(super) fn go_on_from(&mut self, before: &Self) {
        self.totals.corrected.clone_from(&before.totals.corrected);
    }

    /// Reads the counters; `before` is what they did until now.
    pub(super) fn read(&mut self, before: Standing) -> io::Result<Standing> {
        let length = rustix::io::read(&self.files[0], &mut self.buffer[..])?;
        if length < self.buffer.len() {
            self.take_last()?;
            return Ok(Standing::Dead);
        }
        let [_count, enabled, running] = [0, 1, 2].map(|at| word(&self.buffer, at));
        let raw = (3..3 + self.files.len()).map(|at| word(&self.buffer, at));
        let now = self.totals.add(enabled, running, raw);
        if now == Standing::Stalled && self.totals.has_run() && self.since() < PERF_STALLED {
            return Ok(before); // it may only be waiting for its turn
        }
        if now != Standing::Stalled {
            self.standing_since = Instant::now();
        }
        Ok(now)
    }

    /// Takes what it counted until its CPU went offline: its events are no group any more, and each says its own.
    fn take_last(&mut self) -> io::Result<()> {
        let mut said = [0; 8 * 4];
        let mut raw = Vec::with_capacity(self.files.len());
        for file in &self.files {
            if rustix::io::read(file, &mut said[..])? < said.len() {
                return Ok(());
            }
            raw.push(word(&said, 3));
        }
        self.totals.add(word(&said, 1), word(&said, 2), raw.into_iter());
        Ok(())
    }

    pub(super) fn totals(&self) -> &Totals {
        &self.totals
    }

    fn since(&self) -> Duration {
        self.standing_since.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counted_all_the_time_is_taken_as_it_is() {
        let mut totals = Totals::new(2);
        assert_eq!(totals.add(1_000_000, 1_000_000, [7, 3].into_iter()), Standing::Live);
        assert_eq!(totals.add(2_000_000, 2_000_000, [9, 3].into_iter()), Standing::Live);
        assert_eq!(totals.corrected, [9, 3]);
    }

    #[test]
    fn increases_are_scaled_and_totals_never_fall() {
        let mut totals = Totals::new(1);
        assert_eq!(totals.add(4_000_000, 1_000_000, [10].into_iter()), Standing::Scaled);
        assert_eq!(totals.corrected, [40]);
        // Total × enabled ÷ running would be 20 now, less than before.
        assert_eq!(totals.add(8_000_000, 5_000_000, [12].into_iter()), Standing::Live);
        assert_eq!(totals.corrected, [42]);
    }

    #[test]
    fn time_without_a_counter_counts_nothing_until_something_is_known_of_it() {
        let mut totals = Totals::new(1);
        assert_eq!(totals.add(1_000_000, 0, [0].into_iter()), Standing::Stalled);
        assert!(!totals.has_run());
        assert_eq!(totals.add(2_000_000, 1_000_000, [5].into_iter()), Standing::Scaled);
        assert_eq!(totals.corrected, [10]);
        assert_eq!(totals.add(2_000_000, 1_000_000, [5].into_iter()), Standing::Dead);
        assert_eq!(totals.corrected, [10]);
    }

    #[test]
    fn scaling_rounds_and_does_not_overflow() {
        assert_eq!(scaled(1, 3, 2), 2);
        assert_eq!(scaled(u64::MAX / 2, 4, 2), u64::MAX - 1);
        assert_eq!(scaled(5, 1, 2), 5);
    }
}
