//! Counters of the live page and the flight recorder, which the host's own metrics show.

use std::sync::LazyLock;

use serde::Serialize;

use crate::SharedCounter;

/// The counters of the feed of frames.
#[derive(Debug, Default)]
pub struct FeedCounters {
    /// Viewers of the live page.
    pub viewers: SharedCounter,
    /// Viewers that did not take their frames.
    pub viewers_dropped: SharedCounter,
    pub frames: SharedCounter,
    /// Memory of the recorder's window, and the time that it covers.
    pub recorded_bytes: SharedCounter,
    pub recorded_seconds: SharedCounter,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct FeedReport {
    pub viewers: u64,
    pub viewers_dropped: u64,
    pub frames: u64,
    pub recorded_bytes: u64,
    pub recorded_seconds: u64,
}

static COUNTERS: LazyLock<FeedCounters> = LazyLock::new(FeedCounters::default);

/// The counters of this process' feed.
pub fn feed() -> &'static FeedCounters {
    &COUNTERS
}

impl FeedCounters {
    pub fn report(&self) -> FeedReport {
        FeedReport {
            viewers: self.viewers.get(),
            viewers_dropped: self.viewers_dropped.get(),
            frames: self.frames.get(),
            recorded_bytes: self.recorded_bytes.get(),
            recorded_seconds: self.recorded_seconds.get(),
        }
    }
}
