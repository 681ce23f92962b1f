//! The meaning of the cells of a family's series.

use crate::cell::CellKind;

/// The cells of one series of a family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// One number: a counter's or a gauge's.
    Single(CellKind),
    /// One count for each bound, one for all above, then the sum if there is one, of the given kind. No count is cumulative.
    Classic { bounds: usize, sum: Option<CellKind> },
    /// The zero bucket, `count` native buckets from index `first` on, one for all above, then the sum if there is one, of the given
    /// kind. Classic buckets are added up from them: bound k from all cells up to `ends[k]`.
    Native { schema: i8, first: i32, count: usize, ends: Vec<usize>, sum: Option<CellKind> },
}

impl Layout {
    /// Cells a series.
    pub fn width(&self) -> usize {
        self.buckets() + usize::from(self.sum_kind().is_some())
    }

    /// The number of cells that are counts of observations; 1 for a single number.
    pub fn buckets(&self) -> usize {
        match self {
            Layout::Single(_) => 1,
            Layout::Classic { bounds, .. } => bounds + 1,
            Layout::Native { count, .. } => count + 2,
        }
    }

    /// Index of the cell of a histogram's sum.
    pub fn sum(&self) -> Option<usize> {
        self.sum_kind().map(|_| self.buckets())
    }

    /// How the cell of a histogram's sum is read.
    pub fn sum_kind(&self) -> Option<CellKind> {
        match self {
            Layout::Single(_) => None,
            Layout::Classic { sum, .. } | Layout::Native { sum, .. } => *sum,
        }
    }

    /// Calls `each` with a histogram's cumulative counts: one for each declared bound, in order, then that of all observations. What is exposed
    /// is of [`FamilySeries::cumulate`](crate::FamilySeries::cumulate).
    #[inline]
    pub(crate) fn cumulate(&self, cells: &[u64], mut each: impl FnMut(u64)) {
        let mut total = 0u64;
        match self {
            Layout::Single(_) => {}
            Layout::Classic { .. } => {
                for count in &cells[..self.buckets()] {
                    total = total.wrapping_add(*count);
                    each(total);
                }
            }
            Layout::Native { ends, .. } => {
                let mut from = 0;
                for until in ends.iter().map(|end| end + 1).chain([self.buckets()]) {
                    total = cells[from..until].iter().fold(total, |sum, count| sum.wrapping_add(*count));
                    each(total);
                    from = until;
                }
            }
        }
    }
}

/// The slot that ends at `bound`: slot 0 ends where the first bucket begins, slot s at 2^((first + s - 1) × 2^-schema).
pub fn native_slot(bound: f64, schema: i8, first: i32, count: usize) -> usize {
    let index = (bound.log2() * f64::from(schema).exp2()).round() as i64;
    (index - i64::from(first) + 1).clamp(0, count as i64) as usize
}
