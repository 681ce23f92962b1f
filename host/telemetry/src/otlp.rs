//! Counters of the OTLP sink, which the host's own metrics show once it is used.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use serde::Serialize;

use super::{SharedCounter, unix_seconds};

/// The sink's counters.
#[derive(Debug, Default)]
pub struct OtlpCounters {
    is_used: AtomicBool,
    /// Requests that the receiver took.
    taken: SharedCounter,
    /// Attempts that it did not take.
    pub failed: SharedCounter,
    /// Requests given up for the next push, which has later values.
    pub dropped: SharedCounter,
    /// Pushes without any request, because the agent had no time.
    pub uncollected: SharedCounter,
    /// Points that the receiver rejected of requests that it took.
    pub rejected_points: SharedCounter,
    /// Families that a push was sent without, because it had no room for them.
    pub families_left_out: SharedCounter,
    /// Spans that the receiver took.
    pub spans_taken: SharedCounter,
    /// Spans that the receiver rejected of requests that it took.
    pub spans_rejected: SharedCounter,
    /// Spans dropped because too many waited, or because the receiver refused their request.
    pub spans_dropped: SharedCounter,
    /// When the receiver took a request, in seconds since 1970.
    last_taken: SharedCounter,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct OtlpReport {
    /// By result.
    pub requests: [(&'static str, u64); 4],
    pub rejected_points: u64,
    pub families_left_out: u64,
    /// By result.
    pub spans: [(&'static str, u64); 3],
    /// `None` before the first.
    pub last_taken_seconds: Option<u64>,
}

static COUNTERS: LazyLock<OtlpCounters> = LazyLock::new(OtlpCounters::default);

/// The counters of this process' sink.
pub fn otlp() -> &'static OtlpCounters {
    &COUNTERS
}

impl OtlpCounters {
    /// Notes that there is a receiver.
    pub fn is_used_now(&self) {
        self.is_used.store(true, Ordering::Relaxed);
    }

    /// Notes that the receiver took a request.
    pub fn was_taken(&self) {
        self.taken.increment();
        self.last_taken.set(unix_seconds(SystemTime::now()) as u64);
    }

    /// `None`: there is no receiver.
    pub fn report(&self) -> Option<OtlpReport> {
        let last = self.last_taken.get();
        self.is_used.load(Ordering::Relaxed).then(|| OtlpReport {
            requests: [
                ("taken", self.taken.get()),
                ("failed", self.failed.get()),
                ("dropped", self.dropped.get()),
                ("uncollected", self.uncollected.get()),
            ],
            rejected_points: self.rejected_points.get(),
            families_left_out: self.families_left_out.get(),
            spans: [
                ("taken", self.spans_taken.get()),
                ("rejected", self.spans_rejected.get()),
                ("dropped", self.spans_dropped.get()),
            ],
            last_taken_seconds: (last > 0).then_some(last),
        })
    }
}
