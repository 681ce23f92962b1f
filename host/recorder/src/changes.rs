//! The changes of a family's series in one frame, as they are written.

use ebhost_metrics::{CellKind, Layout};

use crate::{
    frames::{SeriesChange, kind_at},
    wire::{put_bytes, put_float, put_number, zigzag},
};

/// The changes of one family's series, in the order of their slots. A slot whose series ended may begin another one in the same frame.
#[derive(Default)]
pub(crate) struct ChangeList {
    count: u64,
    bytes: Vec<u8>,
    slot: usize,
}

impl ChangeList {
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn append_to(&self, out: &mut Vec<u8>) {
        put_number(out, self.count);
        out.extend_from_slice(&self.bytes);
    }

    pub(crate) fn add(&mut self, slot: usize, change: SeriesChange) {
        self.count += 1;
        put_number(&mut self.bytes, ((slot - self.slot) as u64) << 2 | change as u64);
        self.slot = slot;
    }

    pub(crate) fn begin(&mut self, slot: usize, labels: &[u8], cells: &[u64], layout: &Layout) {
        self.add(slot, SeriesChange::Begin);
        put_bytes(&mut self.bytes, labels);
        for (index, cell) in cells.iter().enumerate() {
            self.cell(kind_at(layout, index), 0, *cell);
        }
    }

    /// Adds the cells that differ, and takes them over; nothing if none does.
    pub(crate) fn change(&mut self, slot: usize, layout: &Layout, before: &mut [u64], now: &[u64]) {
        if before == now {
            return;
        }
        self.add(slot, SeriesChange::Change);
        let count = before.iter().zip(now).filter(|(before, now)| before != now).count();
        put_number(&mut self.bytes, count as u64);
        let mut next = 0;
        for (index, (before, now)) in before.iter_mut().zip(now).enumerate() {
            if before != now {
                put_number(&mut self.bytes, (index - next) as u64);
                next = index + 1;
                self.cell(kind_at(layout, index), *before, *now);
                *before = *now;
            }
        }
    }

    /// Whole numbers by their difference, others as they are now.
    fn cell(&mut self, kind: CellKind, before: u64, now: u64) {
        match kind {
            CellKind::U64 | CellKind::I64 => put_number(&mut self.bytes, zigzag(now.wrapping_sub(before) as i64)),
            CellKind::F64 => put_float(&mut self.bytes, f64::from_bits(now)),
        }
    }
}
