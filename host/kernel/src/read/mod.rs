//! Reads maps into snapshots, each type in the cheapest way that the kernel offers for it.
//!
//! Arrays with `BPF_F_MMAPABLE` are copied from a mapping, without a system call; hashes, per-CPU maps and other arrays are
//! read in batches, and hashes [by a program](repeat) as long as their keys stay the same; types without batched reads are read one key at a time. A batched walk goes bucket by bucket under the
//! bucket's lock: an entry that exists during the whole walk is read once; one that is deleted or inserted meanwhile is read
//! once or not at all. A walk is never restarted into the same snapshot, so nothing is read twice.
//! For tries, and for maps read key by key, the kernel restarts a walk after its key was deleted; there [`SeenKeys`] filters the
//! keys that were read before.

mod compared;
mod mapped;
mod pause;
mod repeat;
mod seen_keys;

use std::{io, sync::Arc, time::Instant};

use crate::{
    MapShape,
    program_counter::ProgramCounter,
    sys::{Batch, BatchCursor, KernelMap},
};
use ebhost_limits::{READ_BATCH_BYTES, READ_BATCH_ENTRIES};
use ebhost_snapshot::{Changes, KeyOrder, Keys, ReadNumber, Snapshot};

use compared::{FEWEST, PAYS_BELOW, take_changed};
use mapped::MappedEntries;
use pause::Pause;
use repeat::Repeats;
use seen_keys::{RowBatch, SeenKeys};

/// The errno of a map type without batched reads; libc has no name for it.
const ENOTSUPP: i32 = 524;

/// Reads one map; its buffers are kept from read to read.
#[derive(Debug)]
pub struct MapReader {
    /// The map's name in the object.
    pub name: String,
    map: Arc<KernelMap>,
    strategy: ReadStrategy,
    snapshot: Snapshot,
    /// The programs' count of their insertions; `None`: they keep none.
    insertions: Option<ProgramCounter>,
}

/// Knowledge of a map beyond its shape.
#[derive(Debug, Default)]
pub(crate) struct MapHints {
    /// The number of entries that belong to each CPU, in an array that has as many for each possible one.
    pub(crate) per_cpu: Option<u32>,
    /// Counts the entries that programs have inserted: while it is 0, the map is empty and need not be walked.
    pub(crate) insertions: Option<ProgramCounter>,
}

/// How a map is read.
#[derive(Debug)]
enum ReadStrategy {
    /// Copied from memory.
    Mapped(MappedEntries),
    Batches(Batches),
    OneByOne,
}

#[derive(Debug)]
struct Batches {
    cursor: BatchCursor,
    /// Entries that one read has room for. It is doubled when a bucket holds more.
    room: usize,
    /// The keys of one batch. They are compared here, where they are in the cache, with those of the last read, and copied if they are others.
    batch_keys: Vec<u8>,
    /// The values of one batch, where they are compared with those of the last read, too.
    batch_values: Vec<u8>,
    /// After reads that compared values of which many were others.
    compare_pause: Pause,
    /// Reads the map instead as long as its keys stay the same; `None`: it cannot.
    repeats: Option<Repeats>,
}

impl MapReader {
    /// Prepares the reads of a table.
    ///
    /// # Errors
    /// The array cannot be mapped.
    pub(crate) fn new(name: &str, map: Arc<KernelMap>, hints: MapHints) -> io::Result<Self> {
        let shape = map.shape();
        let value_size = shape.value_size as usize;
        let is_mapped = shape.is_mmapable_array();
        // The kernel pads values only where several lie side by side: in per-CPU maps, and in arrays in memory.
        let value_stride = if shape.is_per_cpu() || is_mapped { value_size.next_multiple_of(8) } else { value_size };
        let strategy = if is_mapped {
            ReadStrategy::Mapped(MappedEntries::new(map.clone(), hints.per_cpu)?)
        } else {
            let fitting = READ_BATCH_BYTES / map.entry_size().max(1);
            let room = READ_BATCH_ENTRIES.min(fitting).min(shape.max_entries as usize).max(1);
            let (cursor, repeats) = (BatchCursor::new(&map), Repeats::of(&map));
            ReadStrategy::Batches(Batches {
                cursor,
                room,
                batch_keys: Vec::new(),
                batch_values: Vec::new(),
                compare_pause: Pause::default(),
                repeats,
            })
        };
        let keys = if shape.is_array() { Keys::Index } else { Keys::Bytes { size: map.key_size(), bytes: Vec::new() } };
        let snapshot = Snapshot { keys, value_stride, cpus: map.cpus(), ..Snapshot::default() };
        Ok(Self { name: name.to_owned(), map, strategy, snapshot, insertions: hints.insertions })
    }

    /// Type and sizes of the map, as the kernel has it.
    pub fn shape(&self) -> MapShape {
        self.map.shape()
    }

    /// Reads the whole map, or as much of it as is possible before `until`.
    ///
    /// # Errors
    /// After an error the snapshot holds the rows that were read so far, and is not complete. `TimedOut`: `until` passed.
    pub fn read(&mut self, until: Instant) -> io::Result<&Snapshot> {
        let last = LastRead::of(&self.snapshot);
        self.snapshot.finish(0, false);
        if let Some(insertions) = &mut self.insertions {
            insertions.read();
            if insertions.count() == Some(0) {
                self.snapshot.finish(0, true);
                return Ok(&self.snapshot);
            }
        }
        if let ReadStrategy::Mapped(array) = &mut self.strategy {
            let len = array.look()?;
            array.copy_to(room_for(&mut self.snapshot.values, array.bytes()));
            self.snapshot.finish(len, true);
            return Ok(&self.snapshot);
        }
        if let ReadStrategy::Batches(batches) = &mut self.strategy {
            if let Some(last) = last.filter(|last| batches.has_read_again(&mut self.snapshot, last.keys.rows())) {
                self.snapshot.finish_again(last.keys);
                return Ok(&self.snapshot);
            }
            match batches.read(&self.map, &mut self.snapshot, last, until) {
                Err(error) if self.snapshot.len == 0 && is_batch_unsupported(&error) => {
                    self.strategy = ReadStrategy::OneByOne;
                }
                result => return result.map(|()| &self.snapshot),
            }
        }
        read_one_by_one(&self.map, &mut self.snapshot, until).map(|()| &self.snapshot)
    }

    /// Deletes the entry of a row of the last read, if it still has the value that it had then. Returns whether it is gone. What a program adds to it
    /// between these two steps is lost, so it is for entries that nothing counts into any more.
    ///
    /// # Errors
    /// The map's entries cannot be deleted, or the kernel refuses.
    pub fn delete_unchanged(&self, row: usize) -> io::Result<bool> {
        let Keys::Bytes { size, bytes } = &self.snapshot.keys else { return Err(io::ErrorKind::Unsupported.into()) };
        let key = &bytes[row * size..][..*size];
        let mut value = vec![0; self.map.entry_size()];
        if self.map.lookup(key, &mut value)? {
            if value != self.snapshot.row(row) {
                return Ok(false);
            }
            self.map.delete(key)?;
        }
        Ok(true)
    }

    /// The rows of the last read.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }
}

impl Batches {
    /// Reads the values of the last complete read's `len` entries again, if these are still all that there are.
    fn has_read_again(&mut self, snapshot: &mut Snapshot, len: usize) -> bool {
        let Some(repeats) = &mut self.repeats else { return false };
        repeats.read(snapshot, len).unwrap_or_else(|error| {
            tracing::debug!(error = &error as &dyn std::error::Error, "the map is read in batches alone");
            self.repeats = None;
            false
        })
    }

    /// Reads the map; `last` is the read that the snapshot has.
    fn read(
        &mut self,
        map: &KernelMap,
        snapshot: &mut Snapshot,
        last: Option<LastRead>,
        until: Instant,
    ) -> io::Result<()> {
        self.cursor.rewind();
        let is_compared = last.is_some_and(|last| last.keys.rows() >= FEWEST) && self.compare_pause.is_over();
        snapshot.changes.begin();
        let mut walked = Walked { rows: 0, has_same_keys: last.is_some(), is_compared };
        let result = self.walk(map, snapshot, until, &mut walked);
        match last.filter(|last| result.is_ok() && walked.has_same_keys && walked.rows == last.keys.rows()) {
            Some(last) if is_compared => {
                let pays = snapshot.changes.count() < walked.rows / PAYS_BELOW;
                if pays {
                    self.compare_pause.succeed();
                } else {
                    self.compare_pause.fail();
                }
                snapshot.finish_compared(last.keys, last.values);
            }
            Some(last) => snapshot.finish_again(last.keys),
            None => {
                self.repeats.iter_mut().for_each(Repeats::forget_keys);
                snapshot.finish(walked.rows, result.is_ok());
            }
        }
        result
    }

    fn walk(
        &mut self,
        map: &KernelMap,
        snapshot: &mut Snapshot,
        until: Instant,
        walked: &mut Walked,
    ) -> io::Result<()> {
        let shape = map.shape();
        let (key_size, entry_size) = (map.key_size(), map.entry_size());
        let mut seen = shape.is_lpm_trie().then(|| SeenKeys::for_walk(shape.max_entries));
        loop {
            let (room, len) = (self.room, walked.rows);
            let rows = &mut room_for(&mut snapshot.values, (len + room) * entry_size)[len * entry_size..];
            let is_compared = walked.is_compared && walked.has_same_keys;
            let values = if is_compared { room_for(&mut self.batch_values, room * entry_size) } else { &mut *rows };
            let keys = room_for(&mut self.batch_keys, room * key_size);
            let batch = map.lookup_batch(&mut self.cursor, keys, values)?;
            let count = match &mut seen {
                Some(seen) => seen.keep_new(&mut RowBatch { keys, key_size, values, entry_size }, batch.count())?,
                None => batch.count(),
            };
            if let Keys::Bytes { bytes, .. } = &mut snapshot.keys {
                walked.take_keys(
                    &keys[..count * key_size],
                    &mut room_for(bytes, (len + count) * key_size)[len * key_size..],
                );
            }
            if is_compared {
                walked.take_values(&self.batch_values[..count * entry_size], rows, entry_size, &mut snapshot.changes);
            }
            walked.rows += count;
            match batch {
                Batch::More(_) if Instant::now() >= until => return Err(io::ErrorKind::TimedOut.into()),
                Batch::More(_) => {}
                Batch::Last(_) => return Ok(()),
                Batch::TooSmall => self.room *= 2,
            }
        }
    }
}

/// How far a walk has come.
#[derive(Debug)]
struct Walked {
    rows: usize,
    /// Whether the keys so far are those that the snapshot had in these rows.
    has_same_keys: bool,
    /// Whether values are compared with those of the last read, as long as the keys are the same.
    is_compared: bool,
}

impl Walked {
    /// Puts the keys of a batch in their rows, unless they are there.
    fn take_keys(&mut self, keys: &[u8], rows: &mut [u8]) {
        if !self.has_same_keys || keys != rows {
            rows.copy_from_slice(keys);
            self.has_same_keys = false;
        }
    }

    /// Puts the values of a batch in their rows, whose keys have been taken.
    fn take_values(&self, values: &[u8], rows: &mut [u8], size: usize, changes: &mut Changes) {
        let rows = &mut rows[..values.len()];
        if self.has_same_keys {
            take_changed(values, rows, size, self.rows, changes);
        } else {
            rows.copy_from_slice(values);
        }
    }
}

/// The last complete read, whose rows the snapshot has until the next one.
#[derive(Debug, Clone, Copy)]
struct LastRead {
    keys: KeyOrder,
    values: Option<ReadNumber>,
}

impl LastRead {
    /// `None`: it was not complete.
    fn of(snapshot: &Snapshot) -> Option<Self> {
        snapshot.complete_keys().map(|keys| Self { keys, values: snapshot.read })
    }
}

fn read_one_by_one(map: &KernelMap, snapshot: &mut Snapshot, until: Instant) -> io::Result<()> {
    let mut len = 0;
    let result = walk_keys(map, snapshot, until, &mut len);
    snapshot.finish(len, result.is_ok());
    result
}

fn walk_keys(map: &KernelMap, snapshot: &mut Snapshot, until: Instant, len: &mut usize) -> io::Result<()> {
    let (key_size, entry_size) = (map.key_size(), map.entry_size());
    let mut seen = SeenKeys::for_walk(map.shape().max_entries);
    let (mut key, mut value) = (vec![0; key_size], vec![0; entry_size]);
    let mut after: Option<Vec<u8>> = None;
    while map.next_key(after.as_deref(), &mut key)? {
        if Instant::now() >= until {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if seen.is_new(&key)? && map.lookup(&key, &mut value)? {
            if let Keys::Bytes { bytes, .. } = &mut snapshot.keys {
                room_for(bytes, (*len + 1) * key_size)[*len * key_size..].copy_from_slice(&key);
            }
            room_for(&mut snapshot.values, (*len + 1) * entry_size)[*len * entry_size..].copy_from_slice(&value);
            *len += 1;
        }
        after = Some(key.clone());
    }
    Ok(())
}

/// The first `bytes` of a buffer that grows and is never truncated, so that memory that was read into before is not zeroed again.
fn room_for(buffer: &mut Vec<u8>, bytes: usize) -> &mut [u8] {
    if buffer.len() < bytes {
        buffer.resize(bytes, 0);
    }
    &mut buffer[..bytes]
}

fn is_batch_unsupported(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP | ENOTSUPP))
}
