//! Histogram bounds as raw integers, so that an observation finds its bucket without a conversion to floating point.

use ebhost_metrics::scale::Scale;

use super::reading::IntegerType;

/// For each bound in ascending order, the greatest raw number that is not above it; `None` if every raw number is above it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Thresholds {
    Unsigned(Vec<Option<u64>>),
    Signed(Vec<Option<i64>>),
}

impl Thresholds {
    pub(super) fn new(scale: Scale, bounds: &[f64], form: IntegerType) -> Self {
        if form.is_signed() {
            Self::Signed(bounds.iter().map(|&bound| greatest_signed_within(scale, bound)).collect())
        } else {
            Self::Unsigned(bounds.iter().map(|&bound| scale.greatest_within(bound)).collect())
        }
    }

    /// The bucket of an observation: the index of the first bound that is not below it, or the number of bounds. A signed `raw`
    /// is given sign-extended, as [`Reading::of`](super::reading::Reading::of) reads it.
    pub(crate) fn bucket(&self, raw: u64) -> usize {
        match self {
            Self::Unsigned(greatest) => greatest.partition_point(|most| most.is_none_or(|most| raw > most)),
            Self::Signed(greatest) => greatest.partition_point(|most| most.is_none_or(|most| raw as i64 > most)),
        }
    }
}

fn greatest_signed_within(scale: Scale, bound: f64) -> Option<i64> {
    if bound >= 0.0 {
        return scale.greatest_within(bound).map(|raw| i64::try_from(raw).unwrap_or(i64::MAX));
    }
    // The greatest negative number is the one of the least magnitude that reaches the bound's magnitude.
    let (mut low, mut high) = (1, i64::MIN.unsigned_abs());
    if scale.apply(high) < -bound {
        return None;
    }
    while low < high {
        let middle = low + (high - low) / 2;
        if scale.apply(middle) >= -bound { high = middle } else { low = middle + 1 }
    }
    Some((low as i64).wrapping_neg())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signed_observations_find_their_bucket_by_sign() {
        let thresholds = Thresholds::new(Scale::One, &[-10.0, -0.5, 0.0, 10.0], IntegerType::I64);
        for (raw, bucket) in [(-11, 0), (-10, 0), (-9, 1), (-1, 1), (0, 2), (1, 3), (10, 3), (11, 4), (i64::MIN, 0)] {
            assert_eq!(thresholds.bucket(raw as u64), bucket, "{raw}");
        }
    }

    #[test]
    fn negative_bounds_are_scaled_before_they_are_compared() {
        let milliseconds = Scale::new(1.0, 1000.0);
        let thresholds = Thresholds::new(milliseconds, &[-1.5, 1.5], IntegerType::I32);
        for (raw, bucket) in [(-1501i64, 0), (-1500, 0), (-1499, 1), (1500, 1), (1501, 2)] {
            assert_eq!(thresholds.bucket(raw as u64), bucket, "{raw}");
        }
        assert_eq!(greatest_signed_within(Scale::One, -1e300), None);
    }
}
