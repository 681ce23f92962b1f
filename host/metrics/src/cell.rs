//! A cell: 64 bits that hold one number of a series, and how those bits are read.

use std::cmp::Ordering;

use crate::{family::Fold, scale::Scale};

/// How a cell's 64 bits are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellKind {
    U64,
    I64,
    /// The bits of an IEEE 754 double, as [`f64::to_bits`] gives them.
    F64,
}

impl CellKind {
    /// The value that a fold starts from.
    pub fn neutral(self, fold: Fold) -> u64 {
        match (self, fold) {
            (Self::F64, Fold::Sum) => 0.0_f64.to_bits(),
            (Self::F64, Fold::Min) => f64::INFINITY.to_bits(),
            (Self::F64, Fold::Max) => f64::NEG_INFINITY.to_bits(),
            (_, Fold::Sum) | (Self::U64, Fold::Max) => 0,
            (Self::U64, Fold::Min) => u64::MAX,
            (Self::I64, Fold::Min) => i64::MAX as u64,
            (Self::I64, Fold::Max) => i64::MIN as u64,
        }
    }

    /// Folds two cells into one. A sum of integers saturates at the end of their range.
    #[inline]
    pub fn fold(self, fold: Fold, a: u64, b: u64) -> u64 {
        match (self, fold) {
            (Self::U64, Fold::Sum) => a.saturating_add(b),
            (Self::U64, Fold::Min) => a.min(b),
            (Self::U64, Fold::Max) => a.max(b),
            (Self::I64, Fold::Sum) => (a as i64).saturating_add(b as i64) as u64,
            (Self::I64, Fold::Min) => (a as i64).min(b as i64) as u64,
            (Self::I64, Fold::Max) => (a as i64).max(b as i64) as u64,
            (Self::F64, Fold::Sum) => (f64::from_bits(a) + f64::from_bits(b)).to_bits(),
            (Self::F64, Fold::Min) => f64::from_bits(a).min(f64::from_bits(b)).to_bits(),
            (Self::F64, Fold::Max) => f64::from_bits(a).max(f64::from_bits(b)).to_bits(),
        }
    }

    /// Which of two cells holds the greater number.
    pub fn compare(self, a: u64, b: u64) -> Ordering {
        match self {
            Self::U64 => a.cmp(&b),
            Self::I64 => (a as i64).cmp(&(b as i64)),
            Self::F64 => f64::from_bits(a).total_cmp(&f64::from_bits(b)),
        }
    }

    /// The number in a cell, in the unit of the family.
    #[inline]
    pub fn value(self, cell: u64, scale: Scale) -> f64 {
        match self {
            Self::U64 => scale.apply(cell),
            Self::I64 => scale.apply_signed(cell as i64),
            Self::F64 => scale.apply_float(f64::from_bits(cell)),
        }
    }

    /// A cell of kind `from` as one of this kind; a number that does not fit becomes the nearest one that does.
    #[inline]
    pub fn convert(self, cell: u64, from: Self) -> u64 {
        match (self, from) {
            (Self::I64, Self::U64) => cell.min(i64::MAX as u64),
            (Self::F64, Self::U64) => (cell as f64).to_bits(),
            (Self::F64, Self::I64) => (cell as i64 as f64).to_bits(),
            (Self::U64, Self::I64) => (cell as i64).max(0) as u64,
            (Self::U64, Self::F64) => f64::from_bits(cell) as u64,
            (Self::I64, Self::F64) => f64::from_bits(cell) as i64 as u64,
            (Self::U64, Self::U64) | (Self::I64, Self::I64) | (Self::F64, Self::F64) => cell,
        }
    }
}
