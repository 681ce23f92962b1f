//! The buffers of a perf event array: one for each online CPU, opened and closed as CPUs come and go.
//!
//! `bpf_perf_event_output` fails on a CPU without an open buffer, and only the program hears of it: such events are lost, and counted
//! where the program counts them in its global `NAME_lost`. So a CPU that comes online gets its buffer within one round of the draining
//! thread. That thread has no capability; buffers are opened by the [`Opener`].

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use aya::maps::{
    Map, MapData, PerfEventArray,
    perf::{PerfBufferError, PerfEvent, PerfEventArrayBuffer},
};
use tracing::{info, warn};

use super::queue::Queues;
use crate::perf::{Generation, OnlineCpus, Opener, OpenerGone};
use ebhost_limits as limits;

type Array = Arc<Mutex<PerfEventArray<MapData>>>;
type Opened = Vec<(u32, Result<PerfEventArrayBuffer<MapData>, PerfBufferError>)>;

/// The open buffers, by CPU.
#[derive(Default)]
pub(super) struct CpuBuffers(BTreeMap<u32, PerfEventArrayBuffer<MapData>>);

/// Knows which CPUs have a buffer, and opens and closes buffers as they come and go.
pub(super) struct CpuFollower {
    name: String,
    array: Array,
    opener: Opener,
    cpus: OnlineCpus,
    /// The CPUs that have a buffer, each in the generation in which it was opened.
    open: BTreeMap<u32, Generation>,
    /// Online CPUs whose buffer could not be opened: tried again after some rounds.
    failed: BTreeMap<u32, Generation>,
    rounds_to_retry: u32,
}

/// Buffers to open and to close.
#[derive(Debug, Default, PartialEq, Eq)]
struct Difference {
    gone: Vec<u32>,
    new: BTreeMap<u32, Generation>,
}

impl CpuBuffers {
    pub(super) fn drain_into(&mut self, queue: &mut Queues) {
        for (cpu, buffer) in &mut self.0 {
            drain(*cpu, buffer, queue);
        }
    }

    /// Closes the buffer of a CPU, after taking what is in it.
    fn close(&mut self, cpu: u32, queue: &mut Queues) {
        if let Some(mut buffer) = self.0.remove(&cpu) {
            drain(cpu, &mut buffer, queue);
        }
    }
}

fn drain(cpu: u32, buffer: &mut PerfEventArrayBuffer<MapData>, queue: &mut Queues) {
    buffer.for_each(|event| match event {
        PerfEvent::Sample { head, tail } => queue.push(cpu, [head, tail]),
        PerfEvent::Lost { count } => queue.lose(count),
    });
}

impl CpuFollower {
    /// Opens the buffers of every online CPU.
    pub(super) fn open(name: &str, map: Map, opener: Opener) -> io::Result<(Self, CpuBuffers)> {
        let array = PerfEventArray::try_from(map).map_err(io::Error::other)?;
        let mut follower = Self {
            name: name.to_owned(),
            array: Arc::new(Mutex::new(array)),
            opener,
            cpus: OnlineCpus::new(),
            open: BTreeMap::new(),
            failed: BTreeMap::new(),
            rounds_to_retry: 0,
        };
        let online = follower.cpus.look()?.unwrap_or_default();
        let mut buffers = CpuBuffers::default();
        let job = follower.opening(&online);
        for (cpu, opened) in follower.opener.run(job).map_err(io::Error::other)? {
            match opened {
                Ok(buffer) => {
                    buffers.0.insert(cpu, buffer);
                    follower.open.insert(cpu, online[&cpu]);
                }
                // It went offline meanwhile; the next look sees that.
                Err(error) if is_offline(&error) => {}
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        Ok((follower, buffers))
    }

    /// Opens and closes buffers of CPUs that came online or went offline since the last call. `with` gives access to the buffers.
    pub(super) fn follow(&mut self, with: impl Fn(&mut dyn FnMut(&mut CpuBuffers, &mut Queues))) {
        let Some(Difference { gone, new }) = self.difference() else { return };
        for cpu in gone {
            self.open.remove(&cpu);
            with(&mut |buffers, queue| buffers.close(cpu, queue));
        }
        if new.is_empty() {
            return;
        }
        let opened = self.opener.run_in_thread(self.opening(&new));
        let opened = opened.unwrap_or_else(|OpenerGone| {
            warn!(source = self.name, "perf event buffers cannot be opened: {OpenerGone}");
            Vec::new()
        });
        let mut left: BTreeMap<_, _> = new;
        for (cpu, opened) in opened {
            match opened {
                Ok(buffer) => {
                    let mut buffer = Some(buffer);
                    with(&mut |buffers, _| buffers.0.extend(buffer.take().map(|buffer| (cpu, buffer))));
                    self.open.extend(left.remove_entry(&cpu));
                    info!(source = self.name, cpu, "a CPU came online; its events are read");
                }
                Err(error) if is_offline(&error) => _ = left.remove(&cpu),
                Err(error) if !self.failed.contains_key(&cpu) => {
                    warn!(source = self.name, cpu, "events of a CPU are lost: its buffer cannot be opened: {error}");
                }
                Err(_) => {}
            }
        }
        self.failed = left;
        self.rounds_to_retry = limits::CPU_BUFFER_RETRY_ROUNDS;
    }

    /// The buffers to open and to close; `None` if there is nothing to do.
    fn difference(&mut self) -> Option<Difference> {
        // A list that cannot be read leaves the buffers as they are.
        if let Some(online) = self.cpus.look().ok().flatten() {
            self.failed.retain(|cpu, _| online.contains_key(cpu));
            return Some(difference(&self.open, &online)).filter(|difference| *difference != Difference::default());
        }
        if self.failed.is_empty() {
            return None;
        }
        self.rounds_to_retry = self.rounds_to_retry.saturating_sub(1);
        (self.rounds_to_retry == 0).then(|| Difference { gone: Vec::new(), new: self.failed.clone() })
    }

    fn opening(&self, cpus: &BTreeMap<u32, Generation>) -> impl FnOnce() -> Opened + Send + 'static {
        let (array, cpus): (Array, Vec<u32>) = (self.array.clone(), cpus.keys().copied().collect());
        move || {
            let mut array = array.lock().unwrap_or_else(PoisonError::into_inner);
            cpus.into_iter().map(|cpu| (cpu, array.open(cpu, Some(limits::PERF_BUFFER_PAGES)))).collect()
        }
    }
}

/// A CPU that went offline and came back has lost its buffer in between: it is closed and opened again.
fn difference(open: &BTreeMap<u32, Generation>, online: &BTreeMap<u32, Generation>) -> Difference {
    let is_open = |cpu: &u32| open.get(cpu) == online.get(cpu);
    Difference {
        gone: open.keys().filter(|cpu| !is_open(cpu)).copied().collect(),
        new: online.iter().filter(|(cpu, _)| !is_open(cpu)).map(|(cpu, generation)| (*cpu, *generation)).collect(),
    }
}

fn is_offline(error: &PerfBufferError) -> bool {
    matches!(error, PerfBufferError::OpenError { io_error } if io_error.raw_os_error() == Some(libc::ENODEV))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_that_came_went_or_were_away_are_told_from_those_that_stayed() {
        let open = BTreeMap::from([(0, 10), (1, 11), (2, 12)]);
        let online = BTreeMap::from([(0, 10), (2, 22), (3, 13)]);
        assert_eq!(
            difference(&open, &online),
            Difference { gone: vec![1, 2], new: BTreeMap::from([(2, 22), (3, 13)]) }
        );
        assert_eq!(difference(&open, &open), Difference::default());
    }
}
