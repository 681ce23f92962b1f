//! One read of one source: rows of raw bytes, as the kernel gave them.
//!
//! A snapshot never interprets a byte: which of them are labels and which are counts is said by a plugin's schema and
//! acted on by `series`. Its buffers are kept and refilled by the reader that owns it, so a steady scrape allocates
//! nothing.

#![forbid(unsafe_code)]

/// Rows read from a map, a perf source or an event buffer.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// What the rows are keyed by.
    pub keys: Keys,
    /// `len` × `cpus` × `value_stride` bytes, or more: a row's values for CPU 0, CPU 1, … lie together. What follows the last
    /// row is left from earlier reads.
    pub values: Vec<u8>,
    /// Bytes from one value to the next: the value's size, rounded up to 8 as the kernel does for per-CPU maps.
    pub value_stride: usize,
    /// Values a row: 1, or the number of possible CPUs for a per-CPU map.
    pub cpus: usize,
    /// Number of rows.
    pub len: usize,
    /// Whether every entry that was there before the read began and until it ended is among the rows. Only then does
    /// a missing key mean that the entry is gone.
    pub complete: bool,
}

/// The keys of a snapshot's rows.
#[derive(Debug, Clone, Default)]
pub enum Keys {
    /// An array: row i has the key i, as a `u32`.
    #[default]
    Index,
    /// `len` × `size` bytes, back to back, or more, as with values.
    Bytes { size: usize, bytes: Vec<u8> },
    /// Events have no key; `cpus[i]` is the CPU that wrote row i, where the source knows it.
    Events { cpus: Vec<u32> },
}

impl Snapshot {
    /// Ends a read: how many rows it brought, and whether they are all that the source has.
    pub fn finish(&mut self, len: usize, complete: bool) {
        self.len = len;
        self.complete = complete;
    }

    /// Bytes from one row's first value to the next row's.
    pub fn row_stride(&self) -> usize {
        self.value_stride * self.cpus
    }

    /// The value bytes of one row: all CPUs'.
    pub fn row(&self, row: usize) -> &[u8] {
        let stride = self.row_stride();
        &self.values[row * stride..(row + 1) * stride]
    }
}
