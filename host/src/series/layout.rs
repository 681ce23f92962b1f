//! What the cells of a family's series mean.

use super::schema::{Family, Kind, NativeSlots, Schema, Value};

/// The cells of one series of a family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// One number: a counter's or a gauge's.
    Single(Sign),
    /// One count for each bound, one for all above, then the sum if there is one; none of them cumulated.
    Classic { bounds: usize, sum: Option<usize> },
    /// The zero bucket, `count` native buckets from index `first` on, one for all above, then the sum; classic buckets
    /// are added up from them: bound k from all cells up to `ends[k]`.
    Native { schema: i8, first: i32, count: usize, ends: Vec<usize>, sum: Option<usize> },
}

/// How a single cell's 64 bits read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    Unsigned,
    Signed,
}

impl Layout {
    /// A family is native when all that feeds it counts into the same native buckets; else its cells are classic, and
    /// native slots are added to the classic bucket that holds them.
    pub(super) fn of(schema: &Schema, index: usize) -> Self {
        let family = &schema.families[index];
        let feeds = || schema.views.iter().flat_map(|view| &view.feeds).filter(move |feed| feed.family == index);
        let Kind::Histogram(bounds) = &family.kind else {
            let signed = feeds().any(|feed| matches!(feed.value, Value::Number(number) if number.is_signed));
            return Layout::Single(if signed { Sign::Signed } else { Sign::Unsigned });
        };
        let has_sum = feeds().any(|feed| match feed.value {
            Value::Observation(_) => true,
            Value::Slots(slots) => slots.sum.is_some(),
            Value::NativeSlots(slots) => slots.sum.is_some(),
            Value::Bucket(bucket) => bucket.sum.is_some(),
            Value::One | Value::Number(_) => false,
        });
        let shape = |value: &Value| match value {
            Value::NativeSlots(slots) => Some((slots.schema, slots.first, slots.count)),
            _ => None,
        };
        let mut shapes = feeds().map(|feed| shape(&feed.value));
        if let Some(Some(first)) = shapes.next()
            && shapes.all(|other| other == Some(first))
        {
            let (schema, first, count) = first;
            let ends = bounds.iter().map(|&bound| native_slot(bound, schema, first, count)).collect();
            return Layout::Native { schema, first, count, ends, sum: has_sum.then_some(count + 2) };
        }
        Layout::Classic { bounds: bounds.len(), sum: has_sum.then_some(bounds.len() + 1) }
    }

    /// Cells a series.
    pub fn width(&self) -> usize {
        self.buckets() + usize::from(self.sum().is_some())
    }

    /// Cells that are counts of observations; of a single number: that one.
    pub fn buckets(&self) -> usize {
        match self {
            Layout::Single(_) => 1,
            Layout::Classic { bounds, .. } => bounds + 1,
            Layout::Native { count, .. } => count + 2,
        }
    }

    /// The cell of a histogram's sum.
    pub fn sum(&self) -> Option<usize> {
        match self {
            Layout::Single(_) => None,
            Layout::Classic { sum, .. } | Layout::Native { sum, .. } => *sum,
        }
    }

    /// A histogram's cumulated counts: one for each bound, in order, then that of all observations.
    #[inline]
    pub fn cumulate(&self, cells: &[u64], mut each: impl FnMut(u64)) {
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

/// For each native slot the classic bucket that holds it.
pub(super) fn classic_buckets(slots: &NativeSlots, family: &Family) -> Vec<usize> {
    let Kind::Histogram(bounds) = &family.kind else { return Vec::new() };
    let ends: Vec<usize> =
        bounds.iter().map(|&bound| native_slot(bound, slots.schema, slots.first, slots.count)).collect();
    (0..slots.count + 2).map(|slot| ends.partition_point(|&end| end < slot)).collect()
}

/// The slot that ends at `bound`: slot 0 ends where the first bucket begins, slot s at 2^((first + s - 1) × 2^-schema).
fn native_slot(bound: f64, schema: i8, first: i32, count: usize) -> usize {
    let index = (bound.log2() * f64::from(schema).exp2()).round() as i64;
    (index - i64::from(first) + 1).clamp(0, count as i64) as usize
}
