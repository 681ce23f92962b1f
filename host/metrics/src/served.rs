//! The buckets of a histogram that are exposed, where these are fewer than the ones that are counted.

/// Bounds that an operator chose among those of a histogram, and the cell at which each of these buckets ends.
///
/// Cells stay as fine as the plugin declares them; only what is printed or pushed as classic buckets is coarser. Each exposed bucket is
/// the sum of whole cells, so its count is exact.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServedBuckets {
    bounds: Vec<f64>,
    ends: Vec<usize>,
}

impl ServedBuckets {
    /// Adds the next bucket: its upper bound, in the family's unit, and the index of the last cell in it. Bounds and cells ascend.
    pub fn push(&mut self, bound: f64, last_cell: usize) {
        self.bounds.push(bound);
        self.ends.push(last_cell);
    }

    /// The upper bounds, ascending, without +Inf.
    pub fn bounds(&self) -> &[f64] {
        &self.bounds
    }

    /// Calls `each` with cumulative counts: one for each bound, in order, then that of all observations. `cells` are the counts of one
    /// series without its sum.
    #[inline]
    pub(crate) fn cumulate(&self, cells: &[u64], mut each: impl FnMut(u64)) {
        let (mut total, mut from) = (0u64, 0);
        for until in self.ends.iter().map(|end| end + 1).chain([cells.len()]) {
            total = cells[from..until].iter().fold(total, |sum, count| sum.wrapping_add(*count));
            each(total);
            from = until;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exposed_bucket_is_the_sum_of_whole_cells() {
        let mut served = ServedBuckets::default();
        served.push(2.0, 1);
        served.push(16.0, 4);
        let mut found = Vec::new();
        served.cumulate(&[1, 2, 4, 8, 16, 32, 64], |count| found.push(count));
        assert_eq!(found, [3, 31, 127]);
        assert_eq!(served.bounds(), [2.0, 16.0]);
    }

    #[test]
    fn without_bounds_all_observations_are_in_one_bucket() {
        let mut found = Vec::new();
        ServedBuckets::default().cumulate(&[1, 2], |count| found.push(count));
        assert_eq!(found, [3]);
    }
}
