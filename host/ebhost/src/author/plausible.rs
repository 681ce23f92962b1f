//! Sums of histograms that their buckets do not allow: a unit that was forgotten, or buckets that are shifted.
//!
//! Observations of a bucket lie between its bounds, so the buckets say what the sum is at least and at most. A component whose sum is in
//! nanoseconds while its bounds are in seconds loads and counts, and every quantile and mean of it is wrong.

use ebhost_metrics::{FamilySeries, Kind, scale::Scale};
use ebhost_series::Table;

/// A part of the sum that it may lie outside, for buckets that were read while a program counted.
const TOLERANCE: f64 = 0.05;

/// One message for each family that has such a sum, with the first of its series.
pub(super) fn implausible_sums(table: &Table) -> impl Iterator<Item = String> + '_ {
    table.families().filter_map(implausible_sum)
}

fn implausible_sum(series: FamilySeries<'_>) -> Option<String> {
    let family = series.family();
    let Kind::Histogram(_) = &family.kind else { return None };
    let bounds = series.bounds();
    let scale = Scale::new(family.times, family.per);
    series.iter().find_map(|each| {
        let (cell, kind) = series.sum()?;
        let sum = kind.value(each.cells[cell], scale);
        let (mut counts, mut before) = (Vec::with_capacity(bounds.len() + 1), 0u64);
        series.cumulate(each.cells, |total| {
            counts.push(total.wrapping_sub(before));
            before = total;
        });
        let allowed = Allowed::by(bounds, &counts)?;
        allowed.excludes(sum).then(|| {
            format!(
                "family `{}`: the sum of a series with {before} observations is {sum}, its buckets allow {}: are bounds and sum in the family's \
                 unit (`per`), and does slot 0 hold what is at most the first bound?",
                family.name,
                allowed.in_words()
            )
        })
    })
}

/// Bounds on the sum of the observations that follow from the counts of buckets.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Allowed {
    least: f64,
    /// None: the last bucket has no upper bound.
    most: Option<f64>,
}

impl Allowed {
    /// None: nothing was counted, or a bound is negative, so that the first bucket has no lower bound.
    fn by(bounds: &[f64], counts: &[u64]) -> Option<Self> {
        let is_empty = counts.iter().all(|count| *count == 0);
        if is_empty || bounds.first().is_none_or(|bound| *bound < 0.0) {
            return None;
        }
        let lower = [0.0].into_iter().chain(bounds.iter().copied());
        let least = lower.zip(counts).map(|(bound, count)| bound * *count as f64).sum();
        let is_bounded = counts.get(bounds.len()).is_none_or(|count| *count == 0);
        let most = is_bounded.then(|| bounds.iter().zip(counts).map(|(bound, count)| bound * *count as f64).sum());
        Some(Self { least, most })
    }

    fn excludes(self, sum: f64) -> bool {
        sum < self.least * (1.0 - TOLERANCE) || self.most.is_some_and(|most| sum > most * (1.0 + TOLERANCE))
    }

    fn in_words(self) -> String {
        match self.most {
            Some(most) => format!("{} to {most}", self.least),
            None => format!("{} or more", self.least),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_bound_the_sum_of_their_observations() {
        let allowed = Allowed::by(&[0.001, 0.002], &[10, 5, 0]).unwrap();
        assert!(!allowed.excludes(0.012) && !allowed.excludes(0.005), "between 0.005 and 0.02");
        assert!(allowed.excludes(12_000_000.0), "nanoseconds");
        assert!(allowed.excludes(0.0), "buckets shifted up");
        let open = Allowed::by(&[0.001, 0.002], &[0, 0, 3]).unwrap();
        assert!(!open.excludes(1e9) && open.excludes(0.003));
        assert_eq!(Allowed::by(&[1.0], &[0, 0]), None);
        assert_eq!(Allowed::by(&[-1.0, 1.0], &[1, 1, 0]), None);
    }
}
