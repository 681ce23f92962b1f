//! What a view reads, whatever lies behind it: a map, a group of perf events, a buffer of events.

use std::{io, time::Instant};

use super::{events::EventReader, perf::PerfReader, read::MapReader};
use ebhost_snapshot::Snapshot;

/// A source that is read into snapshots.
#[derive(Debug)]
pub enum Source {
    Map(Box<MapReader>),
    Perf(PerfReader),
    Events(EventReader),
}

impl Source {
    pub fn name(&self) -> &str {
        match self {
            Self::Map(map) => &map.name,
            Self::Perf(perf) => &perf.name,
            Self::Events(events) => &events.name,
        }
    }

    /// Reads all of it, or as much as can be had `until` then.
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

    /// The last read, for a view with values of this size; none: no view of such values was announced.
    pub fn snapshot(&self, value_size: usize) -> Option<&Snapshot> {
        match self {
            Self::Map(map) => Some(map.snapshot()),
            Self::Perf(perf) => Some(perf.snapshot()),
            Self::Events(events) => events.snapshot(value_size),
        }
    }
}
