//! A program's own count of the events that found no room in a buffer.

use std::sync::Arc;

use crate::{object::GlobalCounter, sys::KernelMap};

/// A 64-bit global of a program.
pub(crate) struct DropCounter {
    map: Arc<KernelMap>,
    /// The value of the map of globals, which has one entry.
    value: Vec<u8>,
    /// The offset of the counter in that value.
    at: usize,
    count: u64,
}

impl DropCounter {
    /// A counter in its map of globals.
    pub(crate) fn new(counter: &GlobalCounter, map: Arc<KernelMap>) -> Self {
        Self { value: vec![0; map.entry_size()], map, at: counter.offset, count: 0 }
    }

    /// The count at the last successful read.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Reads it again. If that fails, the count stays as it was.
    pub(super) fn read(&mut self) {
        if let Ok(true) = self.map.lookup(&[0; 4], &mut self.value) {
            let bytes = self.value.get(self.at..self.at + 8).and_then(|bytes| bytes.try_into().ok());
            self.count = bytes.map_or(self.count, u64::from_le_bytes);
        }
    }
}
