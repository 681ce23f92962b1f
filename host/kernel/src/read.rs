//! Reads maps into snapshots, each kind in the cheapest way that the kernel has for it.
//!
//! Arrays with `BPF_F_MMAPABLE` are copied from a mapping, without a system call; hashes, per-CPU maps and other arrays are
//! read in batches; one key at a time is left for the types that have no batch. A batched walk goes bucket by bucket
//! under the bucket's lock: an entry that exists all the while is seen once, one that is deleted or inserted
//! meanwhile is seen once or not at all. It never retries into the same snapshot, so nothing is seen twice.
//! Tries, and maps read key by key, go on behind a key and begin again where that was deleted: there `met` knows the keys.

mod met;

use std::{io, os::fd::AsFd, time::Instant};

use aya::maps::MapData;

use super::{
    object::MapShape,
    syscall::{self, Batch, Cursor, EntrySize, MappedArray},
};
use ebhost_limits::READ_BATCH_ENTRIES;
use ebhost_snapshot::{Keys, Snapshot};

use met::Met;

const BPF_F_MMAPABLE: u32 = 1 << 10;
const BPF_MAP_TYPE_LPM_TRIE: u32 = 11;
/// What a map type without batch operations answers; libc has no name for it.
const ENOTSUPP: i32 = 524;

/// One map and the buffers that its reads are kept in.
#[derive(Debug)]
pub struct MapReader {
    pub name: String,
    pub shape: MapShape,
    map: MapData,
    way: Way,
    size: EntrySize,
    snapshot: Snapshot,
}

#[derive(Debug)]
enum Way {
    Mapped(MappedArray),
    Batches { cursor: Cursor, room: usize, keys: Vec<u8> },
    OneByOne,
}

impl MapReader {
    /// Prepares the reads of a map that the kernel holds with the given shape.
    pub(super) fn new(name: &str, shape: MapShape, map: MapData, cpus: usize) -> io::Result<Self> {
        let (is_per_cpu, is_array) = (shape.is_per_cpu(), shape.is_array());
        let cpus = if is_per_cpu { cpus } else { 1 };
        // The kernel pads values only where several lie side by side: per-CPU maps, and arrays in memory.
        let is_mapped = is_array && !is_per_cpu && shape.flags & BPF_F_MMAPABLE != 0;
        let value_size = shape.value_size as usize;
        let value_stride = if is_per_cpu || is_mapped { value_size.next_multiple_of(8) } else { value_size };
        let size = EntrySize { key: shape.key_size as usize, value: value_stride * cpus };
        let way = if is_mapped {
            Way::Mapped(MappedArray::new(map.fd().as_fd(), size.value * shape.max_entries as usize)?)
        } else {
            let room = READ_BATCH_ENTRIES.min(shape.max_entries as usize).max(1);
            Way::Batches { cursor: Cursor::new(size), room, keys: Vec::new() }
        };
        let keys = if is_array { Keys::Index } else { Keys::Bytes { size: size.key, bytes: Vec::new() } };
        let snapshot = Snapshot { keys, value_stride, cpus, ..Snapshot::default() };
        Ok(Self { name: name.to_owned(), shape, map, way, size, snapshot })
    }

    /// Reads the whole map, or as much as can be had `until` then. After an error the snapshot holds what was read so
    /// far and is not complete.
    pub fn read(&mut self, until: Instant) -> io::Result<&Snapshot> {
        self.snapshot.complete = false;
        self.snapshot.len = 0;
        if let Way::Mapped(array) = &self.way {
            self.snapshot.len = self.shape.max_entries as usize;
            let bytes = self.snapshot.len * self.size.value;
            array.copy_to(room_for(&mut self.snapshot.values, bytes));
            self.snapshot.complete = true;
            return Ok(&self.snapshot);
        }
        if let Way::Batches { .. } = self.way {
            match self.read_batches(until) {
                Err(error) if self.snapshot.len == 0 && has_no_batch(&error) => self.way = Way::OneByOne,
                result => return result.map(|()| &self.snapshot),
            }
        }
        self.read_one_by_one(until).map(|()| &self.snapshot)
    }

    /// The last read.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    fn read_batches(&mut self, until: Instant) -> io::Result<()> {
        let mut met = (self.shape.kind == BPF_MAP_TYPE_LPM_TRIE).then(|| Met::in_map_of(self.shape.max_entries));
        let Way::Batches { cursor, room, keys: scratch } = &mut self.way else { return Ok(()) };
        let size = self.size;
        cursor.rewind();
        let mut len = 0;
        let result = loop {
            let values = room_for(&mut self.snapshot.values, (len + *room) * size.value);
            // An array's keys are its positions: they are read into the same place again and again.
            let (keys, keys_at) = match &mut self.snapshot.keys {
                Keys::Bytes { bytes, .. } => (bytes, len * size.key),
                Keys::Index | Keys::Events { .. } => (&mut *scratch, 0),
            };
            let keys = &mut room_for(keys, keys_at + *room * size.key)[keys_at..];
            let values = &mut values[len * size.value..];
            let batch = match syscall::lookup_batch(self.map.fd().as_fd(), size, cursor, keys, values) {
                Ok(batch) => batch,
                Err(error) => break Err(error),
            };
            let kept = match &mut met {
                Some(met) => met.keep_new(batch.count(), (keys, size.key), (values, size.value)),
                None => Ok(batch.count()),
            };
            match kept {
                Ok(kept) => len += kept,
                Err(error) => break Err(error),
            }
            match batch {
                Batch::More(_) if Instant::now() >= until => break Err(io::ErrorKind::TimedOut.into()),
                Batch::More(_) => {}
                Batch::Last(_) => break Ok(()),
                Batch::TooSmall => *room *= 2,
            }
        };
        self.snapshot.finish(len, result.is_ok());
        result
    }

    fn read_one_by_one(&mut self, until: Instant) -> io::Result<()> {
        let mut len = 0;
        let result = self.walk(until, &mut len);
        self.snapshot.finish(len, result.is_ok());
        result
    }

    fn walk(&mut self, until: Instant, len: &mut usize) -> io::Result<()> {
        let map = self.map.fd().as_fd();
        let size = self.size;
        let mut met = Met::in_map_of(self.shape.max_entries);
        let (mut key, mut value) = (vec![0; size.key], vec![0; size.value]);
        let mut after: Option<Vec<u8>> = None;
        while syscall::next_key(map, after.as_deref(), &mut key)? {
            if Instant::now() >= until {
                return Err(io::ErrorKind::TimedOut.into());
            }
            if met.is_new(&key)? && syscall::lookup(map, size, &key, &mut value)? {
                if let Keys::Bytes { bytes, .. } = &mut self.snapshot.keys {
                    room_for(bytes, (*len + 1) * size.key)[*len * size.key..].copy_from_slice(&key);
                }
                room_for(&mut self.snapshot.values, (*len + 1) * size.value)[*len * size.value..]
                    .copy_from_slice(&value);
                *len += 1;
            }
            after = Some(key.clone());
        }
        Ok(())
    }
}

/// The first `bytes` of a buffer that is kept: it grows, and is never cut, so that what was read into before is not zeroed again.
fn room_for(buffer: &mut Vec<u8>, bytes: usize) -> &mut [u8] {
    if buffer.len() < bytes {
        buffer.resize(bytes, 0);
    }
    &mut buffer[..bytes]
}

fn has_no_batch(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP | ENOTSUPP))
}
