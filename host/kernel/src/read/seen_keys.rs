//! The keys that one walk has read, for maps where the kernel restarts a walk after its key was deleted.
//!
//! Keys that were read before the restart are filtered, so that no entry is in the snapshot twice. A walk that is restarted again
//! and again is given up: otherwise it would last as long as somebody deletes.

use std::{collections::HashSet, io};

/// Steps that a walk may take, for each entry that the map has room for.
const STEPS_PER_ENTRY: usize = 4;

/// The keys of one walk, and the steps that it may still take.
#[derive(Debug)]
pub(super) struct SeenKeys {
    keys: HashSet<Box<[u8]>>,
    steps_left: usize,
}

/// Rows as a batched read gives them.
#[derive(Debug)]
pub(super) struct RowBatch<'a> {
    pub(super) keys: &'a mut [u8],
    pub(super) key_size: usize,
    pub(super) values: &'a mut [u8],
    /// Bytes of all CPUs' values of one entry.
    pub(super) entry_size: usize,
}

impl RowBatch<'_> {
    fn key(&self, row: usize) -> &[u8] {
        &self.keys[row * self.key_size..(row + 1) * self.key_size]
    }

    fn copy_row(&mut self, from: usize, to: usize) {
        let (key, entry) = (self.key_size, self.entry_size);
        self.keys.copy_within(from * key..(from + 1) * key, to * key);
        self.values.copy_within(from * entry..(from + 1) * entry, to * entry);
    }
}

impl SeenKeys {
    /// An empty set for a walk through a map with room for `max_entries`.
    pub(super) fn for_walk(max_entries: u32) -> Self {
        let steps_left = (max_entries as usize).saturating_mul(STEPS_PER_ENTRY).saturating_add(16);
        Self { keys: HashSet::new(), steps_left }
    }

    /// Counts a step. Returns whether the walk reads this key for the first time.
    ///
    /// # Errors
    /// The walk was restarted too often.
    pub(super) fn is_new(&mut self, key: &[u8]) -> io::Result<bool> {
        self.step()?;
        Ok(!self.keys.contains(key) && self.keys.insert(key.into()))
    }

    /// Counts a step for the batch and one for each of its `count` rows, and moves rows with new keys to the front. Returns how many
    /// these are.
    ///
    /// # Errors
    /// The walk was restarted too often.
    pub(super) fn keep_new(&mut self, batch: &mut RowBatch<'_>, count: usize) -> io::Result<usize> {
        self.step()?;
        let mut kept = 0;
        for row in 0..count {
            if self.is_new(batch.key(row))? {
                batch.copy_row(row, kept);
                kept += 1;
            }
        }
        Ok(kept)
    }

    fn step(&mut self) -> io::Result<()> {
        self.steps_left = self.steps_left.checked_sub(1).ok_or_else(restarted_too_often)?;
        Ok(())
    }
}

fn restarted_too_often() -> io::Error {
    io::Error::other(
        "keys were deleted at the read's position, which sent it back to the beginning too often; it is given up until the next scrape",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep_new(seen: &mut SeenKeys, keys: &mut [u8], values: &mut [u8]) -> usize {
        let count = keys.len();
        seen.keep_new(&mut RowBatch { keys, key_size: 1, values, entry_size: 2 }, count).unwrap()
    }

    #[test]
    fn rows_whose_keys_were_read_before_are_left_out() {
        let mut seen = SeenKeys::for_walk(8);
        let (mut keys, mut values) = (*b"abcab", *b"012345678_");
        assert_eq!(keep_new(&mut seen, &mut keys, &mut values), 3);
        assert_eq!((&keys[..3], &values[..6]), (&b"abc"[..], &b"012345"[..]));
        let (mut keys, mut values) = (*b"bdce", *b"abcdefgh");
        assert_eq!(keep_new(&mut seen, &mut keys, &mut values), 2);
        assert_eq!((&keys[..2], &values[..4]), (&b"de"[..], &b"cdgh"[..]));
    }

    #[test]
    fn a_walk_that_is_restarted_for_ever_ends() {
        let mut seen = SeenKeys::for_walk(1);
        let steps = (0..100).take_while(|_| seen.is_new(b"key").is_ok()).count();
        assert_eq!(steps, STEPS_PER_ENTRY + 16);
    }
}
