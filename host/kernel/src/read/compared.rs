//! Puts the values of a batch where those of the last read are, and finds the rows that changed.
//!
//! The batch is still in the cache, and the last values of rows that lie together come with one access; who counts the rows needs to look at those
//! that changed alone. Where most change that costs more than it saves, so it is not done for some reads then.

use ebhost_snapshot::Changes;

/// Rows that are compared at a time: at 8 bytes a row two cache lines.
const COMPARED: usize = 16;

/// With fewer rows there is nothing to save, and a buffer for a batch would be the greatest part of what the map takes.
pub(super) const FEWEST: usize = 1_024;

/// Rows of which one may change for the comparison to pay.
pub(super) const PAYS_BELOW: usize = 4;

/// Puts `values`, of `size` bytes each, into `rows`, which begin at the row `first`, and marks those that change.
pub(super) fn take_changed(values: &[u8], rows: &mut [u8], size: usize, first: usize, changes: &mut Changes) {
    let blocks = values.chunks(COMPARED * size).zip(rows.chunks_mut(COMPARED * size)).enumerate();
    for (block, (values, rows)) in blocks.filter(|(_, (values, rows))| values != rows) {
        for (at, _) in values.chunks(size).zip(rows.chunks(size)).enumerate().filter(|(_, (value, row))| value != row) {
            changes.mark(first + block * COMPARED + at);
        }
        rows.copy_from_slice(values);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ebhost_snapshot::{KeyOrder, Snapshot};

    fn ended(len: usize) -> (Snapshot, KeyOrder) {
        let mut snapshot = Snapshot::default();
        snapshot.finish(len, true);
        let keys = snapshot.complete_keys().unwrap();
        (snapshot, keys)
    }

    #[test]
    fn rows_whose_values_differ_in_any_byte_are_marked_and_taken() {
        for size in [1, 4, 8, 24] {
            let (mut snapshot, keys) = ended(100);
            let since = snapshot.read.unwrap();
            let mut rows: Vec<u8> = (0..100 * size).map(|byte| byte as u8).collect();
            let mut values = rows.clone();
            for row in [0, 15, 16, 47, 99] {
                values[row * size + row % size] ^= 1;
            }
            snapshot.changes.begin();
            // In two batches, which end within a block.
            let (early, late) = values.split_at(50 * size);
            let (early_rows, late_rows) = rows.split_at_mut(50 * size);
            take_changed(early, early_rows, size, 0, &mut snapshot.changes);
            take_changed(late, late_rows, size, 50, &mut snapshot.changes);
            snapshot.finish_compared(keys, Some(since));
            assert_eq!(snapshot.changes.since(since).unwrap().collect::<Vec<_>>(), [0, 15, 16, 47, 99], "{size}");
            assert_eq!(rows, values);
        }
    }
}
