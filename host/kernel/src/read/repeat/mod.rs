//! Reads the values of a hash again whose keys are those of the last read.
//!
//! That is nearly every read of a table in steady state, and a batched read is not made for it: it locks every bucket and copies each to
//! user space, which is most of what it costs. Here a [program](program) is called by the kernel for each entry (`bpf_for_each_map_elem`),
//! compares its key with the one that is expected, and writes its value into an array that is mapped into this process.
//!
//! The kernel's walk takes no lock, so the memory of an entry may be given to another key under its feet. Therefore nothing of such a read
//! is used unless it found exactly the keys of the last complete one, in the same order: an entry that was skipped, read twice or given
//! to another key is a difference, and the table is read in batches then. The program reads a value before its key, and the kernel writes
//! the key of an entry before its value. On x86_64 both happen in this order, so a value that belongs to another key is found beside that
//! key. Other processors may reorder them, and read in batches.

mod program;
#[cfg(test)]
mod tests;

use std::{io, sync::Arc};

use ebhost_limits::{REPEATED_READ_BYTES, REPEATED_READ_ENTRIES};
use ebhost_snapshot::{Keys, Snapshot};

use super::pause::Pause;
use crate::{MapShape, sys::KernelMap};
use program::Program;

/// Reads one hash again.
#[derive(Debug)]
pub(super) struct Repeats {
    map: Arc<KernelMap>,
    program: Option<Program>,
    /// Whether the program expects the keys that the snapshot has.
    is_current: bool,
    /// After reads that found other keys.
    pause: Pause,
}

impl Repeats {
    /// None: the map's type, its sizes or the processor do not allow it.
    pub(super) fn of(map: &Arc<KernelMap>) -> Option<Self> {
        let is_possible = cfg!(target_arch = "x86_64") && is_readable_again(map.shape());
        is_possible.then(|| Self { map: map.clone(), program: None, is_current: false, pause: Pause::default() })
    }

    /// Replaces the values of a snapshot of `len` rows, which has all entries that the map had. False: the map does not have the same keys in
    /// the same order any more, or it is not worth the attempt; the snapshot is as it was.
    ///
    /// # Errors
    /// The kernel refuses the program: no further attempt would succeed.
    pub(super) fn read(&mut self, snapshot: &mut Snapshot, len: usize) -> io::Result<bool> {
        let Keys::Bytes { size, bytes } = &snapshot.keys else { return Ok(false) };
        if !REPEATED_READ_ENTRIES.contains(&len) || len * (size + snapshot.value_stride) > REPEATED_READ_BYTES {
            return Ok(false);
        }
        if !self.pause.is_over() {
            return Ok(false);
        }
        if !self.program.as_ref().is_some_and(|program| program.has_room_for(len)) {
            (self.program, self.is_current) = (None, false);
        }
        let program = match &mut self.program {
            Some(program) => program,
            none => none.insert(Program::load(&self.map, len)?),
        };
        if !self.is_current {
            program.expect(&bytes[..len * size])?;
        }
        self.is_current = true;
        let is_same = program.read(len, &mut snapshot.values[..len * snapshot.value_stride])?;
        if is_same {
            self.pause.succeed();
        } else {
            self.pause.fail();
        }
        Ok(is_same)
    }

    /// The snapshot is read in another way, so it may get other keys.
    pub(super) fn forget_keys(&mut self) {
        self.is_current = false;
    }
}

/// A hash that programs may read, with entries that are copied by a few instructions. Of a per-CPU map a program would see the values of one
/// CPU alone, and the keys of an LRU map do not stay the same.
fn is_readable_again(shape: MapShape) -> bool {
    const BPF_F_WRONLY_PROG: u32 = 1 << 8;
    const MOST_BYTES: u32 = 128;
    shape.is_plain_hash()
        && shape.flags & BPF_F_WRONLY_PROG == 0
        && shape.value_size > 0
        && shape.key_size.saturating_add(shape.value_size) <= MOST_BYTES
}
