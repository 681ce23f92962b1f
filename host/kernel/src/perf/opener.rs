//! The thread that opens perf events.
//!
//! Events are opened again when a CPU comes online, long after the threads that read them have given up the right to open any.
//! So one thread keeps that right and does nothing else. It is started by the first source, by a thread that may load packages,
//! and ends with the last; it never reads a counter, so that a scrape waits for it only when something is to be opened.

use std::{
    os::fd::{AsFd as _, OwnedFd},
    sync::{Arc, mpsc},
    thread,
};

use aya::maps::MapData;
use tracing::warn;

use super::{super::syscall, event::Resolved, group::Group, trouble};
use ebhost_confine as privileges;
use ebhost_confine::Capabilities;
use ebhost_package::perf::{Event, Rate};

/// An event of the group, by its place, and what is wrong with it.
pub(super) type Fault = (usize, String);

/// What is to be opened on a CPU, and what is to know of it.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) events: Vec<Event>,
    pub(super) resolved: Result<Vec<Resolved>, Fault>,
    pub(super) samples: Option<Sampling>,
    /// Perf event arrays to fill, one an event.
    pub(super) maps: Vec<MapData>,
}

#[derive(Debug)]
pub(super) struct Sampling {
    pub(super) rate: Rate,
    pub(super) program: OwnedFd,
}

type Opened = Vec<(u32, Result<Group, Fault>)>;

struct Request {
    plan: Arc<Plan>,
    cpus: Vec<u32>,
    opened: mpsc::Sender<Opened>,
}

/// Has perf events opened.
#[derive(Debug, Clone)]
pub(crate) struct Opener(Option<mpsc::Sender<Request>>);

impl Opener {
    /// Starts a thread that keeps, of the capabilities of the one that calls, what opening takes and `keep`.
    pub(crate) fn start(keep: Capabilities) -> Self {
        let (ask, asked) = mpsc::channel::<Request>();
        let opens = move || {
            privileges::keep_in_this_thread(privileges::LOADING | keep);
            for request in asked {
                // Who asked waits.
                let _ = request.opened.send(request.plan.open(&request.cpus));
            }
        };
        if let Err(error) = thread::Builder::new().name("perf events".to_owned()).spawn(opens) {
            warn!("the thread that opens perf events cannot be started: {error}");
        }
        Self(Some(ask))
    }

    /// Whoever asks opens.
    #[cfg(test)]
    pub(super) fn here() -> Self {
        Self(None)
    }

    /// Opens and starts the groups of these CPUs.
    pub(super) fn open(&self, plan: &Arc<Plan>, cpus: Vec<u32>) -> Opened {
        if cpus.is_empty() {
            return Opened::new();
        }
        let Some(ask) = &self.0 else { return plan.open(&cpus) };
        let (opened, answer) = mpsc::channel();
        let ended = |cpus: Vec<u32>| {
            let fault = (0, "cannot be opened: the thread for it is not there".to_owned());
            cpus.into_iter().map(|cpu| (cpu, Err(fault.clone()))).collect()
        };
        let request = Request { plan: plan.clone(), cpus: cpus.clone(), opened };
        if ask.send(request).is_err() {
            return ended(cpus);
        }
        answer.recv().unwrap_or_else(|_| ended(cpus))
    }
}

impl Plan {
    fn open(&self, cpus: &[u32]) -> Opened {
        cpus.iter().map(|cpu| (*cpu, self.open_on(*cpu))).collect()
    }

    /// Opens a CPU's group, shows it to the maps, and starts it.
    fn open_on(&self, cpu: u32) -> Result<Group, Fault> {
        let events = self.resolved.as_ref().map_err(Clone::clone)?;
        let samples = self.samples.as_ref().map(|samples| (samples.rate, samples.program.as_fd()));
        let group = Group::open(events, samples, cpu)
            .map_err(|(place, error)| (place, trouble::not_opened(&self.events[place], place, &error)))?;
        for (place, map) in self.maps.iter().enumerate() {
            syscall::put_file(map.fd().as_fd(), cpu, group.file(place))
                .map_err(|error| (place, format!("cannot be put into its perf event array: {error}")))?;
        }
        group.start().map_err(|error| (0, format!("cannot be started: {error}")))?;
        Ok(group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(resolved: Result<Vec<Resolved>, Fault>) -> Arc<Plan> {
        Arc::new(Plan { events: vec![Event::fixed(1, 9)], resolved, samples: None, maps: Vec::new() })
    }

    #[test]
    fn the_thread_answers_for_each_cpu_in_order() {
        let opener = Opener::start(privileges::NONE);
        let unknown = plan(Err((0, "no such event".to_owned())));
        let faults: Vec<_> =
            opener.open(&unknown, vec![3, 1]).into_iter().map(|(cpu, opened)| (cpu, opened.unwrap_err().1)).collect();
        assert_eq!(faults, [(3, "no such event".to_owned()), (1, "no such event".to_owned())]);
        assert!(opener.open(&unknown, Vec::new()).is_empty());
    }

    #[test]
    fn a_thread_that_is_not_there_is_a_fault() {
        let (ask, asked) = mpsc::channel();
        drop(asked);
        let opened = Opener(Some(ask)).open(&plan(Ok(Vec::new())), vec![0]);
        assert!(opened[0].1.as_ref().unwrap_err().1.contains("is not there"));
    }
}
