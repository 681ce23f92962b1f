//! One read of one source: rows of raw bytes, as the kernel gave them.
//!
//! A snapshot never interprets a byte: which of them are labels and which are counts is said by a plugin's schema and
//! acted on by `series`. Its buffers are kept and refilled by the reader that owns it, so a steady scrape allocates
//! nothing.

#![forbid(unsafe_code)]

mod bit_set;
mod changes;

pub use bit_set::BitSet;
pub use changes::{Changes, ReadNumber};

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
    /// The keys and their order, as far as the reader knows whether they are those of another read; `None`: they have to be compared.
    pub key_order: Option<KeyOrder>,
    /// The read that the values are of; `None`: it was not ended.
    pub read: Option<ReadNumber>,
    /// The rows whose values are others than in an earlier read, if the reader compared them.
    pub changes: Changes,
}

/// The keys of a read in their order. Snapshots with the same one have the same keys in the same rows, so these need not be compared.
///
/// Only [`Snapshot::finish`] makes one, and no two calls make the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyOrder {
    /// The read that found them first.
    first: ReadNumber,
    rows: usize,
}

impl KeyOrder {
    /// Number of rows.
    pub fn rows(self) -> usize {
        self.rows
    }
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
        self.key_order = Some(KeyOrder { first: self.end_values(None), rows: len });
    }

    /// Ends a complete read that found exactly the keys of an earlier one of this snapshot, in the same order. Its values may be others.
    pub fn finish_again(&mut self, keys: KeyOrder) {
        self.finish_compared(keys, None);
    }

    /// The same, where each row whose value is another than in the read `since` is [marked](Changes::mark).
    pub fn finish_compared(&mut self, keys: KeyOrder, since: Option<ReadNumber>) {
        self.len = keys.rows;
        self.complete = true;
        self.key_order = Some(keys);
        self.end_values(since);
    }

    fn end_values(&mut self, since: Option<ReadNumber>) -> ReadNumber {
        self.changes.end(since);
        *self.read.insert(ReadNumber::unique())
    }

    /// The keys of the last read, if it was complete.
    pub fn complete_keys(&self) -> Option<KeyOrder> {
        self.key_order.filter(|_| self.complete)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_read_that_found_the_same_keys_again_has_the_same_order() {
        let mut snapshot = Snapshot::default();
        assert_eq!(snapshot.complete_keys(), None);
        snapshot.finish(3, true);
        let first = snapshot.complete_keys().unwrap();
        snapshot.finish(0, false);
        assert_eq!(snapshot.complete_keys(), None);
        snapshot.finish_again(first);
        assert_eq!((snapshot.len, snapshot.complete, snapshot.complete_keys()), (3, true, Some(first)));
        snapshot.finish(3, true);
        assert_ne!(snapshot.complete_keys(), Some(first), "it may have other keys");
        let other = Snapshot::default();
        assert_ne!(other.key_order, Some(first));
    }
}
