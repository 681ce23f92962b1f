//! A perf source: its group of events on every CPU that is online, read as a table.
//!
//! Each read begins with the list of online CPUs: a new one gets its counters, one that went offline loses its row. A CPU whose events
//! count has a row, with the CPU's number as its key; one whose events do not count has none, so that no zero is shown that was not
//! counted. Events that failed to open are tried again at every read, which costs one refused system call for each CPU. Reading takes no
//! privilege; events are opened by the [`Opener`].

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    cpus::{self, ONLINE},
    diagnosis,
    event::resolve,
    group::{Group, GroupState},
    opener::Opener,
    plan::{Fault, Opened, Plan, Sampling},
};
use crate::sys::KernelMap;
use ebhost_package::perf::{Event, Rate};
use ebhost_snapshot::{Keys, Snapshot};

/// Whether an event counts on one CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Cannot be opened.
    Absent,
    /// Open, but the kernel never gave it a counter.
    Stalled,
    /// Counts part of the time; the rest is estimated.
    Scaled,
    /// Counts all the time.
    Live,
}

/// One event on one CPU.
#[derive(Debug, Clone, Copy)]
pub struct EventState<'a> {
    pub source: &'a str,
    pub event: &'a str,
    pub cpu: u32,
    pub state: State,
    /// Why it is absent or stalled.
    pub reason: Option<&'a str>,
}

/// A perf source.
#[derive(Debug)]
pub struct PerfReader {
    pub name: String,
    /// Not shared before the first read.
    plan: Arc<Plan>,
    opener: Opener,
    online: PathBuf,
    cpus: BTreeMap<u32, Cpu>,
    snapshot: Snapshot,
    reported: GroupMessages,
}

/// The groups that do not count: the CPUs for each state and fault.
type GroupMessages = BTreeMap<(State, Fault), Vec<u32>>;

/// The counters of one CPU.
#[derive(Debug)]
struct Cpu {
    /// The last group that was opened, alive or not: its successor continues its counts.
    group: Option<Group>,
    state: GroupState,
    fault: Option<Fault>,
}

const CLOSED: Cpu = Cpu { group: None, state: GroupState::Dead, fault: None };

impl State {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Stalled => "stalled",
            Self::Scaled => "scaled",
            Self::Live => "live",
        }
    }
}

impl PerfReader {
    /// Resolves the events on this machine; nothing is opened yet.
    pub(crate) fn new(name: &str, events: &[Event], opener: Opener) -> Self {
        Self::with_cpus(name, events, opener, Path::new(ONLINE))
    }

    /// The same, with the list of online CPUs in the file `online`.
    fn with_cpus(name: &str, events: &[Event], opener: Opener, online: &Path) -> Self {
        let resolved = events.iter().enumerate().map(|(index, event)| {
            let fault = |reason| Fault { event: index, reason };
            resolve(event).map_err(fault)
        });
        let keys = Keys::Bytes { size: 4, bytes: Vec::new() };
        Self {
            name: name.to_owned(),
            plan: Arc::new(Plan {
                events: events.to_vec(),
                resolved: resolved.collect(),
                samples: None,
                maps: Vec::new(),
            }),
            opener,
            online: online.to_owned(),
            cpus: BTreeMap::new(),
            snapshot: Snapshot { keys, value_stride: Self::value_size(events.len()), cpus: 1, ..Snapshot::default() },
            reported: GroupMessages::new(),
        }
    }

    /// The size of a row's value in bytes: a count for each event, then the times enabled and running.
    pub fn value_size(events: usize) -> usize {
        8 * (events + 2)
    }

    /// Puts the events' descriptors into these perf event arrays, one for each event. Call it before the first read.
    pub(crate) fn fill(&mut self, maps: Vec<Arc<KernelMap>>) {
        if let Some(plan) = Arc::get_mut(&mut self.plan) {
            plan.maps = maps;
        }
    }

    /// Runs a program at each sample of the first event. Call it before the first read.
    pub(crate) fn run(&mut self, rate: Rate, program: OwnedFd) {
        if let Some(plan) = Arc::get_mut(&mut self.plan) {
            plan.samples = Some(Sampling { rate, program });
        }
    }

    /// Whether any of its events is open on any CPU.
    pub(crate) fn is_open(&self) -> bool {
        self.states().any(|event| event.state != State::Absent)
    }

    /// Opens the groups that are missing and reads those of every CPU.
    ///
    /// # Errors
    /// The list of online CPUs cannot be read.
    pub fn read(&mut self) -> io::Result<&Snapshot> {
        self.snapshot.complete = false;
        let Some(online) = cpus::read(&self.online) else {
            return Err(io::Error::other(format!("{} cannot be read", self.online.display())));
        };
        let wanted = self.wanted(online);
        for cpu in self.cpus.keys().copied().filter(|cpu| !wanted.contains(cpu)).collect::<Vec<_>>() {
            self.close(cpu);
        }
        for cpu in &wanted {
            self.cpus.entry(*cpu).or_insert(CLOSED).read();
        }
        self.open_missing();
        self.fill_snapshot();
        Ok(&self.snapshot)
    }

    /// The rows of the last read.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The state of every event on every CPU on which it can be counted.
    pub fn states(&self) -> impl Iterator<Item = EventState<'_>> {
        self.cpus.iter().flat_map(move |(cpu, counters)| {
            self.plan.events.iter().enumerate().map(move |(index, event)| EventState {
                source: &self.name,
                event: &event.text,
                cpu: *cpu,
                state: counters.event_state(),
                reason: counters.reason(index),
            })
        })
    }

    /// The groups that began or ceased to count since the last call, a line for each.
    pub fn news(&mut self) -> Vec<String> {
        let mut now = GroupMessages::new();
        for (cpu, counters) in &self.cpus {
            if let Some(fault) = &counters.fault {
                now.entry((counters.event_state(), fault.clone())).or_default().push(*cpu);
            }
        }
        if now == self.reported {
            return Vec::new();
        }
        let mut news: Vec<_> = now
            .iter()
            .filter(|(fault, cpus)| self.reported.get(fault) != Some(cpus))
            .map(|((state, fault), cpus)| {
                let (event, source, reason) = (&self.plan.events[fault.event].text, &self.name, &fault.reason);
                let rest = if self.plan.events.len() > 1 { ", and with it its group" } else { "" };
                format!("perf event {event} of `{source}` is {}{rest}, on {}: {reason}", state.name(), list(cpus))
            })
            .collect();
        if now.is_empty() {
            news.push(format!("perf events of `{}` count on every CPU now", self.name));
        }
        self.reported = now;
        news
    }

    /// Those of the online CPUs on which every event can be counted.
    fn wanted(&self, mut online: BTreeSet<u32>) -> BTreeSet<u32> {
        for event in self.plan.resolved.iter().flatten() {
            if let Some(cpus) = &event.cpus {
                online.retain(|cpu| cpus.contains(cpu));
            }
        }
        online
    }

    fn close(&mut self, cpu: u32) {
        self.cpus.remove(&cpu);
        for map in &self.plan.maps {
            // Fails only for an index beyond the end of the array, where nothing was put.
            let _ = map.delete(&cpu.to_ne_bytes());
        }
    }

    /// Opens groups for the CPUs whose group is dead.
    fn open_missing(&mut self) {
        let dead = self.cpus.iter().filter(|(_, counters)| counters.state == GroupState::Dead);
        let cpus: Vec<_> = dead.map(|(cpu, _)| *cpu).collect();
        if cpus.is_empty() {
            return;
        }
        for (cpu, opened) in self.open(cpus) {
            let Some(counters) = self.cpus.get_mut(&cpu) else { continue };
            match opened {
                Ok(mut group) => {
                    if let Some(previous) = &counters.group {
                        group.inherit_counters(previous);
                    }
                    *counters = Cpu { group: Some(group), state: GroupState::Stalled, fault: None };
                    counters.read();
                }
                Err(fault) => counters.fault = Some(fault),
            }
        }
    }

    fn open(&self, cpus: Vec<u32>) -> Opened {
        let (plan, wanted) = (self.plan.clone(), cpus.clone());
        self.opener.run(move || plan.open(&wanted)).unwrap_or_else(|gone| {
            let fault = Fault { event: 0, reason: format!("cannot be opened: {gone}") };
            cpus.into_iter().map(|cpu| (cpu, Err(fault.clone()))).collect()
        })
    }

    fn fill_snapshot(&mut self) {
        let Snapshot { keys: Keys::Bytes { bytes: keys, .. }, values, .. } = &mut self.snapshot else { return };
        keys.clear();
        values.clear();
        let mut len = 0;
        for (cpu, counters) in &self.cpus {
            if let (Some(group), GroupState::Live | GroupState::Scaled) = (&counters.group, counters.state) {
                keys.extend_from_slice(&cpu.to_le_bytes());
                group.totals().write(values);
                len += 1;
            }
        }
        self.snapshot.len = len;
        self.snapshot.complete = true;
    }
}

impl Cpu {
    fn read(&mut self) {
        let Some(group) = &mut self.group else { return };
        self.state = group.read(self.state).unwrap_or(GroupState::Dead);
        self.fault = (self.state == GroupState::Stalled).then(|| Fault { event: 0, reason: diagnosis::not_counting() });
    }

    fn event_state(&self) -> State {
        match self.state {
            GroupState::Live => State::Live,
            GroupState::Scaled => State::Scaled,
            GroupState::Stalled => State::Stalled,
            GroupState::Dead => State::Absent,
        }
    }

    fn reason(&self, index: usize) -> Option<&str> {
        let fault = self.fault.as_ref()?;
        let is_absent = self.state == GroupState::Dead && fault.event != index;
        Some(if is_absent { "another event of its group is absent" } else { &fault.reason })
    }
}

fn list(cpus: &[u32]) -> String {
    match cpus {
        [one] => format!("CPU {one}"),
        [first, .., last] if (last - first) as usize == cpus.len() - 1 => format!("CPUs {first}-{last}"),
        _ => format!("CPUs {}", cpus.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")),
    }
}

#[cfg(test)]
mod tests;
