//! Ring buffers and perf event arrays: rows without a key, each read once.
//!
//! A buffer is small and a scrape may be far off, so a thread of its own empties it every few milliseconds into memory, up
//! to a limit; a read takes what is there. What the kernel or the limit dropped is counted, never guessed at. What finds no room in
//! a ring buffer the kernel tells its program alone: so that program counts it, in the global `BUFFER_lost`, and it is read here.

use std::{
    fmt, io, mem,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use aya::maps::{
    Map, MapData, PerfEventArray, RingBuf,
    perf::{PerfEvent, PerfEventArrayBuffer},
};

use super::{
    object::{Counter, MapShape},
    perf::online_cpus,
    syscall::{self, EntrySize},
};
use ebhost_limits as limits;
use ebhost_snapshot::{Keys, Snapshot};

/// One buffer of events, and the snapshots of its last read.
pub struct EventReader {
    pub name: String,
    shared: Arc<Shared>,
    drain: Option<JoinHandle<()>>,
    taken: Waiting,
    /// For each least length that a view asks for: the events that are as long.
    snapshots: Vec<(usize, Snapshot)>,
    drops: Option<Drops>,
    events: u64,
    lost: u64,
}

/// A program's own count of what found no room.
pub(super) struct Drops {
    map: OwnedFd,
    /// The bytes of the map's one value, and where in them the count lies.
    value: Vec<u8>,
    at: usize,
    count: u64,
}

struct Shared {
    buffer: Mutex<(Feed, Waiting)>,
    is_over: AtomicBool,
}

/// Where events come from.
enum Feed {
    Ring(RingBuf<MapData>),
    PerCpu { buffers: Vec<(u32, PerfEventArrayBuffer<MapData>)> },
}

/// Events that no read has taken so far.
#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// CPU and length of each.
    events: Vec<(u32, usize)>,
    lost: u64,
}

impl Waiting {
    fn push(&mut self, cpu: u32, parts: [&[u8]; 2]) {
        let length = parts[0].len() + parts[1].len();
        if self.bytes.len() + length > limits::WAITING_EVENT_BYTES {
            self.lost += 1;
            return;
        }
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
        self.events.push((cpu, length));
    }
}

impl Feed {
    fn open(map: Map) -> io::Result<Self> {
        match map {
            map @ Map::RingBuf(_) => Ok(Self::Ring(RingBuf::try_from(map).map_err(io::Error::other)?)),
            map @ Map::PerfEventArray(_) => {
                let mut array: PerfEventArray<MapData> = PerfEventArray::try_from(map).map_err(io::Error::other)?;
                let open = |cpu: u32| {
                    let buffer = array.open(cpu, Some(limits::PERF_BUFFER_PAGES)).map_err(io::Error::other)?;
                    Ok((cpu, buffer))
                };
                Ok(Self::PerCpu { buffers: online_cpus()?.into_iter().map(open).collect::<io::Result<_>>()? })
            }
            _ => Err(io::Error::other("expected a ring buffer or a perf event array")),
        }
    }

    fn empty_into(&mut self, waiting: &mut Waiting) {
        match self {
            Self::Ring(ring) => {
                while let Some(event) = ring.next() {
                    waiting.push(0, [&event, &[]]);
                }
            }
            Self::PerCpu { buffers } => {
                for (cpu, buffer) in buffers {
                    buffer.for_each(|event| match event {
                        PerfEvent::Sample { head, tail } => waiting.push(*cpu, [head, tail]),
                        PerfEvent::Lost { count } => waiting.lost += count,
                    });
                }
            }
        }
    }
}

impl Shared {
    fn with<T>(&self, act: impl FnOnce(&mut Feed, &mut Waiting) -> T) -> T {
        let mut buffer = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
        let (feed, waiting) = &mut *buffer;
        act(feed, waiting)
    }
}

impl EventReader {
    /// Begins to empty a buffer. `lengths`: the least lengths of its views' events.
    pub(super) fn new(name: &str, map: Map, lengths: &[usize], drops: Option<Drops>) -> io::Result<Self> {
        let buffer = Mutex::new((Feed::open(map)?, Waiting::default()));
        let shared = Arc::new(Shared { buffer, is_over: AtomicBool::new(false) });
        let drained = shared.clone();
        let drain = thread::Builder::new().name(format!("events {name}")).spawn(move || {
            while !drained.is_over.load(Ordering::Relaxed) {
                drained.with(Feed::empty_into);
                thread::park_timeout(limits::EVENT_DRAIN);
            }
        })?;
        let mut reader = Self {
            name: name.to_owned(),
            shared,
            drain: Some(drain),
            taken: Waiting::default(),
            snapshots: Vec::new(),
            drops,
            events: 0,
            lost: 0,
        };
        reader.announce(lengths);
        Ok(reader)
    }

    /// Has snapshots of these least lengths from the next read on.
    pub(super) fn announce(&mut self, lengths: &[usize]) {
        let snapshot = |length: usize| {
            let keys = Keys::Events { cpus: Vec::new() };
            (length, Snapshot { keys, value_stride: length, cpus: 1, complete: true, ..Snapshot::default() })
        };
        self.snapshots = lengths.iter().copied().map(snapshot).collect();
    }

    /// Takes every event that was written until now.
    pub fn read(&mut self) {
        let taken = &mut self.taken;
        taken.bytes.clear();
        taken.events.clear();
        taken.lost = 0;
        self.shared.with(|feed, waiting| {
            feed.empty_into(waiting);
            mem::swap(waiting, taken);
        });
        self.events += self.taken.events.len() as u64;
        self.lost += self.taken.lost;
        if let Some(drops) = &mut self.drops {
            drops.read();
        }
        for (length, snapshot) in &mut self.snapshots {
            take_events(snapshot, &self.taken, *length);
        }
    }

    /// The events of the last read that are at least so long, cut to that length.
    pub fn snapshot(&self, length: usize) -> Option<&Snapshot> {
        self.snapshots.iter().find(|(of, _)| *of == length).map(|(_, snapshot)| snapshot)
    }

    /// Events read, and events dropped by the kernel or for want of room, since the start.
    pub fn tally(&self) -> (u64, u64) {
        (self.events, self.lost + self.drops.as_ref().map_or(0, |drops| drops.count))
    }
}

impl Drops {
    /// Of a counter in a map of globals.
    pub(super) fn new(counter: &Counter, globals: BorrowedFd<'_>, shape: MapShape) -> io::Result<Self> {
        let map = globals.try_clone_to_owned()?;
        Ok(Self { map, value: vec![0; shape.value_size as usize], at: counter.at, count: 0 })
    }

    /// What cannot be read stays what it was.
    fn read(&mut self) {
        let size = EntrySize { key: 4, value: self.value.len() };
        if let Ok(true) = syscall::lookup(self.map.as_fd(), size, &[0; 4], &mut self.value) {
            let bytes = self.value.get(self.at..self.at + 8).and_then(|bytes| bytes.try_into().ok());
            self.count = bytes.map_or(self.count, u64::from_le_bytes);
        }
    }
}

impl Drop for EventReader {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        if let Some(drain) = self.drain.take() {
            drain.thread().unpark();
            // It holds nothing but the buffer, which goes with it either way.
            let _ = drain.join();
        }
    }
}

impl fmt::Debug for EventReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventReader").field("name", &self.name).field("events", &self.events).finish_non_exhaustive()
    }
}

/// Fills a view's snapshot with the events that are at least `length` bytes long, each cut to that length.
fn take_events(snapshot: &mut Snapshot, taken: &Waiting, length: usize) {
    let Keys::Events { cpus } = &mut snapshot.keys else { return };
    cpus.clear();
    snapshot.values.clear();
    let mut at = 0;
    for &(cpu, found) in &taken.events {
        if found >= length {
            cpus.push(cpu);
            snapshot.values.extend_from_slice(&taken.bytes[at..at + length]);
        }
        at += found;
    }
    snapshot.len = cpus.len();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_that_are_too_short_are_not_of_the_view() {
        let mut waiting = Waiting::default();
        waiting.push(0, [&[1, 2], &[3, 4]]);
        waiting.push(1, [&[5], &[]]);
        waiting.push(2, [&[6; 6], &[]]);
        let mut snapshot = Snapshot { keys: Keys::Events { cpus: Vec::new() }, ..Snapshot::default() };
        take_events(&mut snapshot, &waiting, 4);
        let Keys::Events { cpus } = &snapshot.keys else { panic!("events") };
        assert_eq!((snapshot.len, &cpus[..], &snapshot.values[..]), (2, &[0, 2][..], &[1, 2, 3, 4, 6, 6, 6, 6][..]));
    }

    #[test]
    fn beyond_the_limit_events_are_counted_as_lost() {
        let mut waiting = Waiting::default();
        let half = vec![0; limits::WAITING_EVENT_BYTES / 2];
        for _ in 0..3 {
            waiting.push(0, [&half, &[]]);
        }
        assert_eq!((waiting.events.len(), waiting.lost), (2, 1));
    }
}
