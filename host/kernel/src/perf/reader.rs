//! A perf source: its group of events on every CPU that is online, read as a table.
//!
//! Before each read the list of online CPUs is looked at: a new one gets its counters, one that went offline loses its
//! row. A CPU whose events count has a row, with the CPU's number as its key; one whose events do not has none, so that no 0 is
//! shown that was not counted. What failed to open is tried again at every read, which costs one refused system call a CPU.
//! Opening is the [`Opener`]'s: reading takes no privilege.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::fd::{AsFd as _, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
};

use aya::maps::MapData;

use super::{
    super::syscall,
    cpus,
    event::resolve,
    group::{Group, Standing},
    opener::{Fault, Opener, Plan, Sampling},
    trouble,
};
use ebhost_package::perf::{Event, Rate};
use ebhost_snapshot::{Keys, Snapshot};

pub(super) const ONLINE: &str = "/sys/devices/system/cpu/online";

/// What an event of one CPU does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Cannot be opened.
    Absent,
    /// Open, and never given a counter.
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
    /// Shared with nobody before the first read.
    plan: Arc<Plan>,
    opener: Opener,
    online: PathBuf,
    cpus: BTreeMap<u32, Cpu>,
    snapshot: Snapshot,
    said: Said,
}

/// What does not count and why, with the CPUs that it is so on.
type Said = BTreeMap<(State, Fault), Vec<u32>>;

#[derive(Debug)]
struct Cpu {
    group: Option<Group>,
    standing: Standing,
    fault: Option<Fault>,
}

const CLOSED: Cpu = Cpu { group: None, standing: Standing::Dead, fault: None };

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
    /// Finds what the events mean here; nothing is opened yet.
    pub(crate) fn new(name: &str, events: &[Event], opener: Opener) -> Self {
        Self::of(name, events, opener, Path::new(ONLINE))
    }

    fn of(name: &str, events: &[Event], opener: Opener, online: &Path) -> Self {
        let resolved = events.iter().enumerate().map(|(place, event)| resolve(event).map_err(|why| (place, why)));
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
            said: Said::new(),
        }
    }

    /// Bytes of a row's value, as the contract has it.
    pub fn value_size(events: usize) -> usize {
        8 * (events + 2)
    }

    /// Has these perf event arrays filled, one an event, from the next read on.
    pub(crate) fn fill(&mut self, maps: Vec<MapData>) {
        if let Some(plan) = Arc::get_mut(&mut self.plan) {
            plan.maps = maps;
        }
    }

    /// Has each sample of the first event run a program, from the next read on.
    pub(crate) fn run(&mut self, rate: Rate, program: OwnedFd) {
        if let Some(plan) = Arc::get_mut(&mut self.plan) {
            plan.samples = Some(Sampling { rate, program });
        }
    }

    /// Opens what is not open and reads every CPU's group.
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
        self.open();
        self.list();
        Ok(&self.snapshot)
    }

    /// The last read.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Every event on every CPU that it is wanted on.
    pub fn states(&self) -> impl Iterator<Item = EventState<'_>> {
        self.cpus.iter().flat_map(move |(cpu, counters)| {
            self.plan.events.iter().enumerate().map(move |(place, event)| EventState {
                source: &self.name,
                event: &event.text,
                cpu: *cpu,
                state: counters.state(),
                reason: counters.reason(place),
            })
        })
    }

    /// What has changed for the worse or the better since this was last asked, a line each.
    pub fn news(&mut self) -> Vec<String> {
        let mut now = Said::new();
        for (cpu, counters) in &self.cpus {
            if let Some(fault) = &counters.fault {
                now.entry((counters.state(), fault.clone())).or_default().push(*cpu);
            }
        }
        if now == self.said {
            return Vec::new();
        }
        let mut news: Vec<_> = now
            .iter()
            .filter(|(fault, cpus)| self.said.get(fault) != Some(cpus))
            .map(|((state, (place, why)), cpus)| {
                let (event, source) = (&self.plan.events[*place].text, &self.name);
                let rest = if self.plan.events.len() > 1 { ", and with it its group" } else { "" };
                format!("perf event {event} of `{source}` is {}{rest}, on {}: {why}", state.name(), list(cpus))
            })
            .collect();
        if now.is_empty() {
            news.push(format!("perf events of `{}` count on every CPU now", self.name));
        }
        self.said = now;
        news
    }

    /// The CPUs that every event can be counted on.
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
            // The kernel refuses nothing but an index beyond the array, where nothing was put either.
            let _ = syscall::take_file(map.fd().as_fd(), cpu);
        }
    }

    /// Opens what is not open, in the places of groups that are dead.
    fn open(&mut self) {
        let dead = self.cpus.iter().filter(|(_, counters)| counters.standing == Standing::Dead);
        let cpus: Vec<_> = dead.map(|(cpu, _)| *cpu).collect();
        for (cpu, opened) in self.opener.open(&self.plan, cpus) {
            let Some(counters) = self.cpus.get_mut(&cpu) else { continue };
            match opened {
                Ok(mut group) => {
                    if let Some(before) = &counters.group {
                        group.go_on_from(before);
                    }
                    *counters = Cpu { group: Some(group), standing: Standing::Stalled, fault: None };
                    counters.read();
                }
                Err(fault) => counters.fault = Some(fault),
            }
        }
    }

    fn list(&mut self) {
        let Snapshot { keys: Keys::Bytes { bytes: keys, .. }, values, .. } = &mut self.snapshot else { return };
        keys.clear();
        values.clear();
        let mut len = 0;
        for (cpu, counters) in &self.cpus {
            if let (Some(group), Standing::Live | Standing::Scaled) = (&counters.group, counters.standing) {
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
        self.standing = group.read(self.standing).unwrap_or(Standing::Dead);
        self.fault = (self.standing == Standing::Stalled).then(|| (0, trouble::not_counting()));
    }

    fn state(&self) -> State {
        match self.standing {
            Standing::Live => State::Live,
            Standing::Scaled => State::Scaled,
            Standing::Stalled => State::Stalled,
            Standing::Dead => State::Absent,
        }
    }

    fn reason(&self, place: usize) -> Option<&str> {
        let (culprit, why) = self.fault.as_ref()?;
        let is_absent = self.standing == Standing::Dead && *culprit != place;
        Some(if is_absent { "another event of its group is absent" } else { why })
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
