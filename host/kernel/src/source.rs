//! The sources that views read: a map, a group of perf events, or a buffer of events.

use std::{io, time::Instant};

use crate::{events::EventReader, perf::PerfReader, read::MapReader};
use ebhost_snapshot::Snapshot;

/// A source that is read into snapshots.
#[derive(Debug)]
pub enum Source {
    Map(Box<MapReader>),
    Perf(PerfReader),
    Events(EventReader),
}

impl Source {
    /// Its name: that of a map, or of a perf source in plugin.yaml.
    pub fn name(&self) -> &str {
        match self {
            Self::Map(map) => &map.name,
            Self::Perf(perf) => &perf.name,
            Self::Events(events) => &events.name,
        }
    }

    /// Reads all of it, or as much as is possible before `until`.
    ///
    /// # Errors
    /// The snapshot is not complete then. `TimedOut`: `until` passed.
    pub fn read(&mut self, until: Instant) -> io::Result<()> {
        match self {
            Self::Map(map) => map.read(until).map(|_| ()),
            Self::Perf(perf) => perf.read().map(|_| ()),
            Self::Events(events) => {
                events.read();
                Ok(())
            }
        }
    }

    /// The rows of the last read, for a view with values of this size; `None`: no view with such values was announced.
    pub fn snapshot(&self, value_size: usize) -> Option<&Snapshot> {
        match self {
            Self::Map(map) => Some(map.snapshot()),
            Self::Perf(perf) => Some(perf.snapshot()),
            Self::Events(events) => events.snapshot(value_size),
        }
    }
}
