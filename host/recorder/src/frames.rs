//! The parts that frames are made of, as the format writes them.

use ebhost_handle::{NamedFamily, Origin};
use ebhost_metrics::{CellKind, Kind, Layout};

use crate::wire::{put_bytes, put_float, put_number, zigzag};

/// Flags of a family in a frame.
pub(crate) mod family_flag {
    /// It is not in this collection: its package was too late, or is gone.
    pub(crate) const ABSENT: u8 = 1;
    /// The number of its series follows.
    pub(crate) const TOTAL: u8 = 2;
}

/// A change of a series since the frame before. The slot's distance from the one before it in the frame is shifted left by two bits
/// to make room for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SeriesChange {
    /// The series of the slot ended.
    End = 0,
    /// A series began in the slot: labels, and every cell.
    Begin = 1,
    /// Some of its cells changed.
    Change = 2,
}

/// The declaration of a family with this number, for the frame in which it appears first.
pub(crate) fn declaration(number: u64, named: &NamedFamily<'_>) -> Vec<u8> {
    let family = named.series.family();
    let mut out = Vec::new();
    put_number(&mut out, number);
    out.push(match named.origin {
        Origin::Package => 0,
        Origin::DropIn => 1,
        Origin::Host => 2,
    });
    for text in [named.package, &named.name(), &family.unit, &family.help] {
        put_bytes(&mut out, text.as_bytes());
    }
    put_float(&mut out, family.times);
    put_float(&mut out, family.per);
    out.push(match family.kind {
        Kind::Counter => 0,
        Kind::Gauge(_) => 1,
        Kind::Histogram(_) => 2,
    });
    layout(&mut out, named.series.layout(), &family.kind);
    out
}

fn layout(out: &mut Vec<u8>, layout: &Layout, kind: &Kind) {
    match layout {
        Layout::Single(kind) => {
            out.push(0);
            out.push(cell_kind(Some(*kind)));
        }
        Layout::Classic { bounds: _, sum } => {
            let bounds = if let Kind::Histogram(bounds) = kind { &bounds[..] } else { &[] };
            out.push(1);
            out.push(cell_kind(*sum));
            put_number(out, bounds.len() as u64);
            bounds.iter().for_each(|bound| put_float(out, *bound));
        }
        Layout::Native { schema, first, count, ends: _, sum } => {
            out.push(2);
            out.push(cell_kind(*sum));
            put_number(out, zigzag(i64::from(*schema)));
            put_number(out, zigzag(i64::from(*first)));
            put_number(out, *count as u64);
        }
    }
}

fn cell_kind(kind: Option<CellKind>) -> u8 {
    match kind {
        None => 0,
        Some(CellKind::U64) => 1,
        Some(CellKind::I64) => 2,
        Some(CellKind::F64) => 3,
    }
}

pub(crate) fn cell_kind_of(byte: u8) -> Option<Option<CellKind>> {
    match byte {
        0 => Some(None),
        1 => Some(Some(CellKind::U64)),
        2 => Some(Some(CellKind::I64)),
        3 => Some(Some(CellKind::F64)),
        _ => None,
    }
}

/// How the cell at `index` of a series is read. Counts of observations are whole numbers.
pub(crate) fn kind_at(layout: &Layout, index: usize) -> CellKind {
    match layout {
        Layout::Single(kind) => *kind,
        _ if Some(index) == layout.sum() => layout.sum_kind().unwrap_or(CellKind::U64),
        _ => CellKind::U64,
    }
}
