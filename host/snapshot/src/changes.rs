//! The rows whose values changed between two reads that found the same keys.
//!
//! Most numbers do not change between two scrapes. A reader sees that while they are in the cache; who counts them would have to fetch them, and what
//! it remembers of each, from memory once more.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::BitSet;

/// The values of one read. No two reads have the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadNumber(u64);

impl ReadNumber {
    pub(crate) fn unique() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Rows whose values are others than in an earlier read.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// The earlier read; none: it is not known which rows changed.
    since: Option<ReadNumber>,
    rows: BitSet,
}

impl Changes {
    /// Begins a comparison: no row has changed so far.
    pub fn begin(&mut self) {
        self.since = None;
        self.rows.clear();
    }

    /// The row changed.
    #[inline]
    pub fn mark(&mut self, row: usize) {
        self.rows.insert(row as u32);
    }

    /// Rows that are marked.
    pub fn count(&self) -> usize {
        self.rows.count()
    }

    pub(crate) fn end(&mut self, since: Option<ReadNumber>) {
        self.since = since;
    }

    /// The rows that changed since that read, in their order; `None`: that is not known.
    pub fn since(&self, read: ReadNumber) -> Option<impl Iterator<Item = usize>> {
        (self.since == Some(read)).then(|| self.rows.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_those_that_were_marked_since_the_read_that_is_asked_for() {
        let (read, other) = (ReadNumber::unique(), ReadNumber::unique());
        let mut changes = Changes::default();
        assert!(changes.since(read).is_none());
        changes.begin();
        let marked = [0, 1, 63, 64, 127, 130, 199];
        marked.iter().for_each(|row| changes.mark(*row));
        assert!(changes.since(read).is_none(), "the comparison goes on");
        changes.end(Some(read));
        assert!(changes.since(other).is_none());
        assert_eq!(
            (changes.since(read).unwrap().collect::<Vec<_>>(), changes.count()),
            (marked.to_vec(), marked.len())
        );
        changes.begin();
        assert!(changes.since(read).is_none());
        changes.end(Some(other));
        assert_eq!((changes.since(other).unwrap().count(), changes.count()), (0, 0));
    }
}
