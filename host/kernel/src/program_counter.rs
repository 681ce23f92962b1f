//! Counters that programs keep for the host, in globals whose names say of what: `BUFFER_lost`, `MAP_inserted`.

use std::{fmt, sync::Arc};

use crate::{object::GlobalCounter, sys::KernelMap};

/// A 64-bit global of a program.
pub(crate) struct ProgramCounter {
    map: Arc<KernelMap>,
    /// The value of the map of globals, which has one entry.
    value: Vec<u8>,
    /// The offset of the counter in that value.
    at: usize,
    count: Option<u64>,
}

impl ProgramCounter {
    /// A counter in its map of globals.
    pub(crate) fn new(counter: &GlobalCounter, map: Arc<KernelMap>) -> Self {
        Self { value: vec![0; map.entry_size()], map, at: counter.offset, count: None }
    }

    /// The count at the last successful read; `None`: there was none.
    pub(crate) fn count(&self) -> Option<u64> {
        self.count
    }

    /// Reads it again. If that fails, the count stays as it was.
    pub(crate) fn read(&mut self) {
        if let Ok(true) = self.map.lookup(&[0; 4], &mut self.value) {
            let bytes = self.value.get(self.at..self.at + 8).and_then(|bytes| bytes.try_into().ok());
            self.count = bytes.map(u64::from_le_bytes).or(self.count);
        }
    }
}

impl fmt::Debug for ProgramCounter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProgramCounter").field("at", &self.at).field("count", &self.count).finish_non_exhaustive()
    }
}
