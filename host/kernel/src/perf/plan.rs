//! What a perf source opens on each CPU.

use std::{
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    sync::Arc,
};

use super::{diagnosis, event::Resolved, group::Group};
use crate::sys::KernelMap;
use ebhost_package::perf::{Event, Rate};

/// Why a group does not count.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fault {
    /// The index of the event that the kernel refused.
    pub(super) event: usize,
    pub(super) reason: String,
}

/// The events of a source and everything that is done with them when they are opened on a CPU.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) events: Vec<Event>,
    pub(super) resolved: Result<Vec<Resolved>, Fault>,
    pub(super) samples: Option<Sampling>,
    /// Perf event arrays to put the descriptors into, one for each event.
    pub(super) maps: Vec<Arc<KernelMap>>,
}

/// A program that runs at samples of the group's first event.
#[derive(Debug)]
pub(super) struct Sampling {
    pub(super) rate: Rate,
    pub(super) program: OwnedFd,
}

/// A CPU and its new group, or why it has none.
pub(super) type Opened = Vec<(u32, Result<Group, Fault>)>;

impl Plan {
    /// Opens and starts a group on each of these CPUs.
    pub(super) fn open(&self, cpus: &[u32]) -> Opened {
        cpus.iter().map(|cpu| (*cpu, self.open_on(*cpu))).collect()
    }

    /// Opens a CPU's group, puts it into the maps, and starts it.
    fn open_on(&self, cpu: u32) -> Result<Group, Fault> {
        let events = self.resolved.as_ref().map_err(Clone::clone)?;
        let samples = self.samples.as_ref().map(|samples| (samples.rate, samples.program.as_fd()));
        let group = Group::open(events, samples, cpu).map_err(|(event, error)| Fault {
            event,
            reason: diagnosis::not_opened(&self.events[event], event, &error),
        })?;
        for (event, map) in self.maps.iter().enumerate() {
            let file = group.file(event).as_raw_fd();
            map.update(&cpu.to_ne_bytes(), &file.to_ne_bytes()).map_err(|error| Fault {
                event,
                reason: format!("cannot be put into its perf event array: {error}"),
            })?;
        }
        group.start().map_err(|error| Fault { event: 0, reason: format!("cannot be started: {error}") })?;
        Ok(group)
    }
}
