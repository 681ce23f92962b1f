//! Ring buffers and perf event arrays: rows without a key, each read once.
//!
//! A buffer is small and the next scrape may be far off, so a thread of its own drains it every few milliseconds into memory, up to a
//! limit; a read takes what is there. The thread has no capability: it reads memory that is mapped already. Events that the kernel or the
//! limit dropped are counted, never estimated. When a ring buffer is full, the kernel tells only the program that wanted to write; a program
//! that counts such events in the global `BUFFER_lost` has them reported from there.

mod per_cpu;
mod queue;
mod waiting;

use std::{
    fmt, io, mem,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use aya::maps::{Map, MapData, RingBuf};

use super::{KernelContext, maps::to_aya, program_counter::ProgramCounter, sys::KernelMap};
use ebhost_confine::{NONE, Restart, Thread};
use ebhost_limits as limits;
use ebhost_snapshot::{Keys, Snapshot};

pub use waiting::WaitingEvents;

use per_cpu::{CpuBuffers, CpuFollower};
use queue::{EventQueue, Queues};

/// Bytes that a ring buffer adds to each event (`BPF_RINGBUF_HDR_SZ`).
const RING_HEADER_BYTES: usize = 8;

/// One buffer of events, and the snapshots of its last read.
pub struct EventReader {
    pub name: String,
    shared: Arc<Shared>,
    drain: Option<Thread>,
    /// The events of the last read for views.
    taken: EventQueue,
    /// The events of the last read for spans.
    taken_for_spans: EventQueue,
    /// For each minimum length that a view asks for: the events that are at least as long.
    snapshots: Vec<(usize, Snapshot)>,
    drops: Option<ProgramCounter>,
    events: u64,
    lost: u64,
}

/// The readers of a buffer.
#[derive(Debug, Clone, Copy)]
pub(super) struct EventReaders<'a> {
    /// The minimum lengths of the views' events; empty: no view reads it.
    pub(super) lengths: &'a [usize],
    /// Whether its events become spans.
    pub(super) for_spans: bool,
}

/// The part that the draining thread and the reads share.
struct Shared {
    buffer: Mutex<(Buffer, Queues)>,
    is_over: AtomicBool,
}

/// The kernel's buffer, mapped into memory.
enum Buffer {
    /// `bytes`: its size.
    Ring {
        ring: RingBuf<MapData>,
        bytes: usize,
    },
    PerCpu(CpuBuffers),
}

impl Buffer {
    fn drain_into(&mut self, queue: &mut Queues) {
        match self {
            Self::Ring { ring, bytes } => {
                // Whatever was written before this began is among the first `bytes`; what is written meanwhile may wait. Otherwise a
                // program that writes as fast as this reads would keep a scrape waiting.
                let mut left = *bytes;
                while left > 0
                    && let Some(event) = ring.next()
                {
                    queue.push(0, [&event, &[]]);
                    left = left.saturating_sub(event.len() + RING_HEADER_BYTES);
                }
            }
            Self::PerCpu(buffers) => buffers.drain_into(queue),
        }
    }
}

/// Opens the buffer behind a map, with what keeps its CPUs up to date. `bytes`: the size of a ring buffer.
fn open(name: &str, map: Map, bytes: usize, context: &KernelContext) -> io::Result<(Buffer, Option<CpuFollower>)> {
    match map {
        map @ Map::RingBuf(_) => {
            let ring = RingBuf::try_from(map).map_err(io::Error::other)?;
            Ok((Buffer::Ring { ring, bytes }, None))
        }
        map @ Map::PerfEventArray(_) => {
            let (follower, buffers) = CpuFollower::open(name, map, context.opener())?;
            Ok((Buffer::PerCpu(buffers), Some(follower)))
        }
        _ => Err(io::Error::other("expected a ring buffer or a perf event array")),
    }
}

impl Shared {
    fn with<T>(&self, act: impl FnOnce(&mut Buffer, &mut Queues) -> T) -> T {
        let mut buffer = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
        let (buffer, queue) = &mut *buffer;
        act(buffer, queue)
    }

    /// Drains the buffer until the reader is dropped.
    fn drain(&self, mut follower: Option<&mut CpuFollower>) {
        while !self.is_over.load(Ordering::Relaxed) {
            self.with(Buffer::drain_into);
            if let Some(follower) = &mut follower {
                follower.follow(|act| {
                    self.with(|buffer, queue| match buffer {
                        Buffer::PerCpu(buffers) => act(buffers, queue),
                        Buffer::Ring { .. } => {}
                    });
                });
            }
            thread::park_timeout(limits::EVENT_DRAIN);
        }
    }
}

impl EventReader {
    /// Opens a buffer and begins to drain it for these readers.
    pub(super) fn new(
        name: &str,
        map: &KernelMap,
        readers: EventReaders<'_>,
        drops: Option<ProgramCounter>,
        context: &KernelContext,
    ) -> io::Result<Self> {
        let (buffer, mut follower) = open(name, to_aya(map)?, map.shape().max_entries as usize, context)?;
        // Before the buffer is drained for the first time: what nobody reads is passed over.
        let mut queues = Queues::default();
        queues.set(!readers.lengths.is_empty(), readers.for_spans);
        let buffer = Mutex::new((buffer, queues));
        let shared = Arc::new(Shared { buffer, is_over: AtomicBool::new(false) });
        let drained = shared.clone();
        let drain = move || drained.drain(follower.as_mut());
        let drain = ebhost_confine::spawn(&format!("events {name}"), NONE, Restart, drain)?;
        let mut reader = Self {
            name: name.to_owned(),
            shared,
            drain: Some(drain),
            taken: EventQueue::default(),
            taken_for_spans: EventQueue::default(),
            snapshots: Vec::new(),
            drops,
            events: 0,
            lost: 0,
        };
        reader.announce(readers);
        Ok(reader)
    }

    /// Reads for these readers from now on.
    pub(super) fn announce(&mut self, readers: EventReaders<'_>) {
        let EventReaders { lengths, for_spans } = readers;
        self.shared.with(|_, queues| queues.set(!lengths.is_empty(), for_spans));
        let snapshot = |length: usize| {
            let keys = Keys::Events { cpus: Vec::new() };
            (length, Snapshot { keys, value_stride: length, cpus: 1, complete: true, ..Snapshot::default() })
        };
        self.snapshots = lengths.iter().copied().map(snapshot).collect();
    }

    /// Takes every event that was written until now.
    pub fn read(&mut self) {
        let taken = &mut self.taken;
        taken.clear();
        let is_for_views = self.shared.with(|buffer, queues| {
            buffer.drain_into(queues);
            let Some(queue) = &mut queues.views else { return false };
            mem::swap(queue, taken);
            true
        });
        if let Some(drops) = &mut self.drops {
            drops.read();
        }
        if !is_for_views {
            return;
        }
        self.events += self.taken.len() as u64;
        self.lost += self.taken.lost;
        for (length, snapshot) in &mut self.snapshots {
            self.taken.fill(snapshot, *length);
        }
    }

    /// Takes every event that was written since it was last called, of those that are at least `length` bytes long.
    pub fn take_for_spans(&mut self, length: usize) -> WaitingEvents {
        let taken = &mut self.taken_for_spans;
        taken.clear();
        let is_for_views = self.shared.with(|buffer, queues| {
            buffer.drain_into(queues);
            queues.spans.iter_mut().for_each(|queue| mem::swap(queue, taken));
            queues.views.is_some()
        });
        // Events that views read, too, are counted for them.
        self.events += if is_for_views { 0 } else { taken.len() as u64 };
        self.lost += taken.lost;
        let mut waiting = WaitingEvents::default();
        for (_, event) in taken.iter() {
            if event.len() < length {
                waiting.short += 1;
            } else {
                waiting.push(event);
            }
        }
        waiting
    }

    /// The events of the last read that are at least `length` bytes long, cut to that length; `None`: no view announced that length.
    pub fn snapshot(&self, length: usize) -> Option<&Snapshot> {
        self.snapshots.iter().find(|(of, _)| *of == length).map(|(_, snapshot)| snapshot)
    }

    /// The CPU and the bytes of each event of the last read, not cut to what a view needs. The CPU is 0 in a ring buffer.
    pub fn events(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.taken.iter()
    }

    /// The events read, and those dropped by the kernel or because the queue was full, since the start.
    pub fn tally(&self) -> (u64, u64) {
        (self.events, self.lost + self.drops.as_ref().and_then(ProgramCounter::count).unwrap_or(0))
    }
}

impl Drop for EventReader {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        if let Some(drain) = self.drain.take() {
            drain.join();
        }
    }
}

impl fmt::Debug for EventReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventReader").field("name", &self.name).field("events", &self.events).finish_non_exhaustive()
    }
}
