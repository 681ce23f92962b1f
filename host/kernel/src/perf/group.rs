//! The counters of one source on one CPU: opened together as a perf group, counting during the same time, read by one read(2).

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Instant,
};

use super::{super::sys, event::Resolved};
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
    /// When it last counted.
    counted_at: Instant,
}

/// Whether a group counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GroupState {
    /// Counts all the time.
    Live,
    /// Multiplexed: counts are scaled by the time enabled over the time running.
    Scaled,
    /// Has no counter.
    Stalled,
    /// The kernel took it away, as it does when its CPU goes offline.
    Dead,
}

/// The counts of a group: the raw ones of the last read, and those corrected for multiplexing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Totals {
    raw: Vec<u64>,
    enabled_ns: u64,
    running_ns: u64,
    /// Each increase is corrected by itself, so that the sum never falls.
    pub(super) corrected: Vec<u64>,
}

impl Totals {
    pub(super) fn new(events: usize) -> Self {
        Self { raw: vec![0; events], corrected: vec![0; events], ..Self::default() }
    }

    /// Adds the increases since the last read, and returns whether the group counted all the time.
    fn add(&mut self, enabled_ns: u64, running_ns: u64, raw: impl Iterator<Item = u64>) -> GroupState {
        let enabled = enabled_ns.saturating_sub(self.enabled_ns);
        let running = running_ns.saturating_sub(self.running_ns);
        if running == 0 {
            // Nothing was counted during this time; it is scaled together with the next time that something was.
            return if enabled == 0 { GroupState::Dead } else { GroupState::Stalled };
        }
        for ((last, corrected), raw) in self.raw.iter_mut().zip(&mut self.corrected).zip(raw) {
            let more = scaled(raw.wrapping_sub(*last), enabled, running);
            *corrected = corrected.wrapping_add(more);
            *last = raw;
        }
        (self.enabled_ns, self.running_ns) = (enabled_ns, running_ns);
        // Enabling and scheduling an event are moments apart; less than a thousandth is no multiplexing.
        if enabled - enabled.min(running) <= enabled / 1000 { GroupState::Live } else { GroupState::Scaled }
    }

    /// Whether anything was ever counted.
    fn has_run(&self) -> bool {
        self.running_ns > 0
    }

    /// Appends the value of a row: the events, then the times.
    pub(super) fn write(&self, value: &mut Vec<u8>) {
        for number in self.corrected.iter().chain([&self.enabled_ns, &self.running_ns]) {
            value.extend_from_slice(&number.to_le_bytes());
        }
    }
}

/// The `at`th 64-bit number of a buffer that read(2) filled.
fn word(bytes: &[u8], at: usize) -> u64 {
    bytes.chunks_exact(8).nth(at).map_or(0, |word| u64::from_le_bytes(word.try_into().unwrap_or_default()))
}

/// An increase scaled from the time that was counted to all of the time; rounded to the nearest.
fn scaled(more: u64, enabled: u64, running: u64) -> u64 {
    if enabled <= running {
        return more;
    }
    let (more, enabled, running) = (u128::from(more), u128::from(enabled), u128::from(running));
    u64::try_from((more * enabled + running / 2) / running).unwrap_or(u64::MAX)
}

impl Group {
    /// Opens the events on a CPU, disabled. An error comes with the index of its event.
    pub(super) fn open(
        events: &[Resolved],
        samples: Option<(Rate, BorrowedFd<'_>)>,
        cpu: u32,
    ) -> Result<Self, (usize, io::Error)> {
        let mut files: Vec<OwnedFd> = Vec::with_capacity(events.len());
        for (index, event) in events.iter().enumerate() {
            let mut attr = event.attr.clone();
            attr.read_format = PERF_FORMAT_GROUP | PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING;
            let leader = files.first().map(AsFd::as_fd);
            if leader.is_none() {
                attr.flags |= sys::PERF_DISABLED;
                (attr.sample, attr.flags) = match samples {
                    None => (0, attr.flags),
                    Some((Rate::Period(period), _)) => (period, attr.flags),
                    Some((Rate::Frequency(hz), _)) => (hz, attr.flags | sys::PERF_FREQUENCY),
                };
            }
            files.push(sys::perf_event_open(&attr, cpu, leader).map_err(|error| (index, error))?);
        }
        if let Some((_, program)) = samples {
            sys::perf_event_run(files[0].as_fd(), program).map_err(|error| (0, error))?;
        }
        Ok(Self {
            totals: Totals::new(files.len()),
            buffer: vec![0; 8 * (3 + files.len())],
            counted_at: Instant::now(),
            files,
        })
    }

    pub(super) fn start(&self) -> io::Result<()> {
        sys::perf_event_enable(self.files[0].as_fd())
    }

    /// The descriptor of one event.
    pub(super) fn file(&self, event: usize) -> BorrowedFd<'_> {
        self.files[event].as_fd()
    }

    /// Continues the counts of the group that it replaces.
    pub(super) fn inherit_counters(&mut self, previous: &Self) {
        self.totals.corrected.clone_from(&previous.totals.corrected);
    }

    /// Reads the counters; `before` is the state at the last read.
    pub(super) fn read(&mut self, before: GroupState) -> io::Result<GroupState> {
        let length = rustix::io::read(&self.files[0], &mut self.buffer[..])?;
        if length < self.buffer.len() {
            self.read_last_counts()?;
            return Ok(GroupState::Dead);
        }
        let [_count, enabled, running] = [0, 1, 2].map(|at| word(&self.buffer, at));
        let raw = (3..3 + self.files.len()).map(|at| word(&self.buffer, at));
        let now = self.totals.add(enabled, running, raw);
        if now == GroupState::Stalled && self.totals.has_run() && self.counted_at.elapsed() < PERF_STALLED {
            return Ok(before); // it may be waiting for its turn
        }
        if now != GroupState::Stalled {
            self.counted_at = Instant::now();
        }
        Ok(now)
    }

    /// Adds what was counted until the CPU went offline: its events are no group any more, and each is read by itself.
    fn read_last_counts(&mut self) -> io::Result<()> {
        let mut single = [0; 8 * 4];
        let mut raw = Vec::with_capacity(self.files.len());
        for file in &self.files {
            if rustix::io::read(file, &mut single[..])? < single.len() {
                return Ok(());
            }
            raw.push(word(&single, 3));
        }
        self.totals.add(word(&single, 1), word(&single, 2), raw.into_iter());
        Ok(())
    }

    pub(super) fn totals(&self) -> &Totals {
        &self.totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counted_all_the_time_is_taken_as_it_is() {
        let mut totals = Totals::new(2);
        assert_eq!(totals.add(1_000_000, 1_000_000, [7, 3].into_iter()), GroupState::Live);
        assert_eq!(totals.add(2_000_000, 2_000_000, [9, 3].into_iter()), GroupState::Live);
        assert_eq!(totals.corrected, [9, 3]);
    }

    #[test]
    fn increases_are_scaled_and_totals_never_fall() {
        let mut totals = Totals::new(1);
        assert_eq!(totals.add(4_000_000, 1_000_000, [10].into_iter()), GroupState::Scaled);
        assert_eq!(totals.corrected, [40]);
        // Total × enabled ÷ running would be 20 now, less than before.
        assert_eq!(totals.add(8_000_000, 5_000_000, [12].into_iter()), GroupState::Live);
        assert_eq!(totals.corrected, [42]);
    }

    #[test]
    fn time_without_a_counter_is_estimated_once_something_was_counted() {
        let mut totals = Totals::new(1);
        assert_eq!(totals.add(1_000_000, 0, [0].into_iter()), GroupState::Stalled);
        assert!(!totals.has_run());
        assert_eq!(totals.add(2_000_000, 1_000_000, [5].into_iter()), GroupState::Scaled);
        assert_eq!(totals.corrected, [10]);
        assert_eq!(totals.add(2_000_000, 1_000_000, [5].into_iter()), GroupState::Dead);
        assert_eq!(totals.corrected, [10]);
    }

    #[test]
    fn scaling_rounds_and_does_not_overflow() {
        assert_eq!(scaled(1, 3, 2), 2);
        assert_eq!(scaled(u64::MAX / 2, 4, 2), u64::MAX - 1);
        assert_eq!(scaled(5, 1, 2), 5);
    }
}
