//! Revisions of series: whether the series of a table are the same ones as before, without looking at each.

use std::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
};

/// Series with neighbouring slots that have one revision.
pub const GROUP_SERIES: usize = 1024;

static TABLES: AtomicU64 = AtomicU64::new(0);

/// By group of slots: a number that changes when a series begins or ends in it. No two tables have the same.
#[derive(Debug)]
pub struct SeriesRevisions {
    table: u64,
    groups: Vec<u64>,
    last: u64,
}

/// [`SeriesRevisions`] as an encoder sees them.
#[derive(Debug, Clone, Copy)]
pub struct Revisions<'a> {
    /// The number of the table, which no other had since the start.
    pub table: u64,
    /// By group of [`GROUP_SERIES`] slots.
    pub groups: &'a [u64],
}

impl Default for SeriesRevisions {
    fn default() -> Self {
        Self { table: TABLES.fetch_add(1, Ordering::Relaxed), groups: Vec::new(), last: 0 }
    }
}

impl SeriesRevisions {
    /// A series begins or ends in this slot.
    #[inline]
    pub fn touch(&mut self, slot: u32) {
        let group = slot as usize / GROUP_SERIES;
        if group >= self.groups.len() {
            self.groups.resize(group + 1, 0);
        }
        self.last += 1;
        self.groups[group] = self.last;
    }

    pub fn view(&self) -> Revisions<'_> {
        Revisions { table: self.table, groups: &self.groups }
    }
}

impl Revisions<'_> {
    /// The slots of a group, of a table with this many.
    pub fn slots(&self, group: usize, slots: usize) -> Range<usize> {
        (group * GROUP_SERIES).min(slots)..((group + 1) * GROUP_SERIES).min(slots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_one_of_its_group_and_of_no_other_table() {
        let (mut one, other) = (SeriesRevisions::default(), SeriesRevisions::default());
        assert_ne!(one.view().table, other.view().table);
        (0..GROUP_SERIES as u32 + 1).for_each(|slot| one.touch(slot));
        let before = one.view().groups.to_vec();
        assert_eq!(before.len(), 2);
        one.touch(5);
        let after = one.view().groups.to_vec();
        assert!(after[0] > before[0].max(before[1]) && after[1] == before[1]);
        assert_eq!(one.view().slots(1, GROUP_SERIES + 1), GROUP_SERIES..GROUP_SERIES + 1);
    }
}
