//! The keys that one walk has met, where the kernel goes on behind a key.
//!
//! When that key was deleted, the kernel begins again at the first: keys met before are passed over, so that no entry is listed
//! twice; and a walk that is sent back again and again is given up, or it would last as long as somebody deletes.

use std::{collections::HashSet, io};

/// Steps of a walk, for each entry that the map has room for.
const STEPS_PER_ENTRY: usize = 4;

#[derive(Debug)]
pub(super) struct Met {
    keys: HashSet<Box<[u8]>>,
    steps_left: usize,
}

impl Met {
    /// Of a walk that begins.
    pub(super) fn in_map_of(max_entries: u32) -> Self {
        let steps_left = (max_entries as usize).saturating_mul(STEPS_PER_ENTRY).saturating_add(16);
        Self { keys: HashSet::new(), steps_left }
    }

    /// Takes a step. Whether the walk meets this key for the first time; an error if it was sent back too often.
    pub(super) fn is_new(&mut self, key: &[u8]) -> io::Result<bool> {
        self.step()?;
        Ok(!self.keys.contains(key) && self.keys.insert(key.into()))
    }

    /// Takes a step, and one for each of `count` rows, and moves those to the front whose keys are new; how many these are.
    pub(super) fn keep_new(
        &mut self,
        count: usize,
        (keys, key_size): (&mut [u8], usize),
        (values, value_size): (&mut [u8], usize),
    ) -> io::Result<usize> {
        self.step()?;
        let mut kept = 0;
        for row in 0..count {
            let key = row * key_size..(row + 1) * key_size;
            if self.is_new(&keys[key.clone()])? {
                keys.copy_within(key, kept * key_size);
                values.copy_within(row * value_size..(row + 1) * value_size, kept * value_size);
                kept += 1;
            }
        }
        Ok(kept)
    }

    fn step(&mut self) -> io::Result<()> {
        self.steps_left = self.steps_left.checked_sub(1).ok_or_else(sent_back)?;
        Ok(())
    }
}

fn sent_back() -> io::Error {
    io::Error::other(
        "keys were deleted where the read stood, which sent it back to the beginning too often; it is given up until the next scrape",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_were_met_before_are_left_out() {
        let mut met = Met::in_map_of(8);
        let (mut keys, mut values) = (*b"abcab", *b"012345678_");
        assert_eq!(met.keep_new(5, (&mut keys, 1), (&mut values, 2)).unwrap(), 3);
        assert_eq!((&keys[..3], &values[..6]), (&b"abc"[..], &b"012345"[..]));
        let (mut keys, mut values) = (*b"bdce", *b"abcdefgh");
        assert_eq!(met.keep_new(4, (&mut keys, 1), (&mut values, 2)).unwrap(), 2);
        assert_eq!((&keys[..2], &values[..4]), (&b"de"[..], &b"cdgh"[..]));
    }

    #[test]
    fn a_walk_ends() {
        let mut met = Met::in_map_of(1);
        let steps = (0..100).take_while(|_| met.is_new(b"key").is_ok()).count();
        assert_eq!(steps, STEPS_PER_ENTRY + 16);
    }
}
