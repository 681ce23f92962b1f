//! A program's own count of the events that found no room in a buffer.

use std::{
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
};

use crate::{
    object::{Counter, MapShape},
    syscall::{self, EntrySize},
};

/// A 64-bit global of a program.
pub(crate) struct DropCounter {
    map: OwnedFd,
    /// The value of the map of globals, which has one entry.
    value: Vec<u8>,
    /// The offset of the counter in that value.
    at: usize,
    count: u64,
}

impl DropCounter {
    /// A counter in the map of globals `globals`.
    pub(crate) fn new(counter: &Counter, globals: BorrowedFd<'_>, shape: MapShape) -> io::Result<Self> {
        let map = globals.try_clone_to_owned()?;
        Ok(Self { map, value: vec![0; shape.value_size as usize], at: counter.at, count: 0 })
    }

    /// The count at the last successful read.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Reads it again. If that fails, the count stays as it was.
    pub(super) fn read(&mut self) {
        let size = EntrySize { key: 4, value: self.value.len() };
        if let Ok(true) = syscall::lookup(self.map.as_fd(), size, &[0; 4], &mut self.value) {
            let bytes = self.value.get(self.at..self.at + 8).and_then(|bytes| bytes.try_into().ok());
            self.count = bytes.map_or(self.count, u64::from_le_bytes);
        }
    }
}
