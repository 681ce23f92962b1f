//! Chosen bounds of a histogram: which cells they end at.
//!
//! A bound can be exposed only where a bucket of the cells ends, because a bucket cannot be split. Between two such bounds any number of
//! buckets are added up.

use ebhost_metrics::{Kind, Layout, ServedBuckets};

use crate::{plan::layout::layout_of, schema::Schema};

/// How far a bound may be from the end of a bucket, relative to it: what is lost by writing a number with seven digits.
const TOLERANCE: f64 = 1e-6;

/// A bound at which no bucket ends, and the nearest ones at which one does.
#[derive(Debug, Clone, PartialEq)]
pub struct NotAnEnd {
    pub found: f64,
    pub below: Option<f64>,
    pub above: Option<f64>,
}

/// The upper ends of a histogram's finest buckets, ascending, without +Inf: by cell. Empty for a family that is no histogram.
pub fn ends(schema: &Schema, family: usize) -> Vec<f64> {
    let Kind::Histogram(bounds) = &schema.families[family].kind else { return Vec::new() };
    match layout_of(schema, family) {
        Layout::Native { schema, first, count, .. } => {
            let end = |slot: i32| (f64::from(first - 1 + slot) * f64::from(-schema).exp2()).exp2();
            (0..=count as i32).map(end).collect()
        }
        Layout::Classic { .. } | Layout::Single(_) => bounds.clone(),
    }
}

/// The buckets that end at the `wanted` bounds, which ascend. `ends` are those of the family.
///
/// # Errors
/// The first bound at which no bucket ends.
pub fn choose(ends: &[f64], wanted: impl IntoIterator<Item = f64>) -> Result<ServedBuckets, NotAnEnd> {
    let mut served = ServedBuckets::default();
    for found in wanted {
        let above = ends.partition_point(|end| *end < found);
        let neighbours = [above.checked_sub(1), Some(above)].into_iter().flatten();
        let mut cells = neighbours.filter(|cell| ends.get(*cell).is_some());
        match cells.find(|cell| (ends[*cell] - found).abs() <= found.abs() * TOLERANCE) {
            Some(cell) => served.push(ends[cell], cell),
            None => {
                let below = above.checked_sub(1).map(|cell| ends[cell]);
                return Err(NotAnEnd { found, below, above: ends.get(above).copied() });
            }
        }
    }
    Ok(served)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDS: [f64; 4] = [0.000_001, 0.000_002, 0.001_024, 0.002_048];

    #[test]
    fn chosen_bounds_end_at_the_cells_of_theirs() {
        let served = choose(&ENDS, [0.000_002, 0.002_048]).unwrap();
        let mut expected = ServedBuckets::default();
        expected.push(0.000_002, 1);
        expected.push(0.002_048, 3);
        assert_eq!(served, expected);
    }

    /// Ends of native buckets have more digits than anybody writes.
    #[test]
    fn a_bound_written_with_seven_digits_is_the_end_that_is_meant() {
        let end = 2f64.powf(-8.875);
        let served = choose(&[0.001_953_125, end], [0.002_129_898]).unwrap();
        assert_eq!(served.bounds(), [end]);
    }

    #[test]
    fn a_bound_within_a_bucket_is_refused_with_the_nearest_ends() {
        let refused = choose(&ENDS, [0.001_024, 0.002]).unwrap_err();
        assert_eq!(refused, NotAnEnd { found: 0.002, below: Some(0.001_024), above: Some(0.002_048) });
        let refused = choose(&ENDS, [5.0]).unwrap_err();
        assert_eq!(refused, NotAnEnd { found: 5.0, below: Some(0.002_048), above: None });
        let refused = choose(&ENDS, [-1.0]).unwrap_err();
        assert_eq!(refused, NotAnEnd { found: -1.0, below: None, above: Some(0.000_001) });
    }
}
