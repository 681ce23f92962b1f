//! Upper bounds of histogram buckets. Each bound is computed with a single rounding, so it equals the decimal literal that one
//! would write by hand, and `le` labels come out as `0.001`, not `0.0009999999999999998`.

use core::ops::RangeInclusive;

/// Upper bounds (`le`), ascending, in the family's unit, without `+Inf`. Made by [`exp2`], [`linear`] or [`fixed`].
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds(Vec<f64>);

impl Bounds {
    /// Divides every bound by `divisor`. Divide by 1e6 rather than multiply by 1e-6: 7 / 1e6 is 7e-06, 7 × 1e-6 is not.
    ///
    /// ```
    /// // Bounds at powers of two of a microsecond, in seconds.
    /// let bounds = ebhost_plugin::exp2(0..=27).per(1e6).into_vec();
    /// assert_eq!(bounds[..3], [0.000001, 0.000002, 0.000004]);
    /// ```
    pub fn per(mut self, divisor: f64) -> Self {
        self.0.iter_mut().for_each(|bound| *bound /= divisor);
        self
    }

    /// Multiplies every bound by `factor`.
    pub fn times(mut self, factor: f64) -> Self {
        self.0.iter_mut().for_each(|bound| *bound *= factor);
        self
    }

    /// The bounds as a list.
    pub fn into_vec(self) -> Vec<f64> {
        self.0
    }
}

/// Bounds at 2^k for each exponent k. A bucket counts the observations in (2^(k-1), 2^k]; the first one counts everything up to its
/// bound.
pub fn exp2(exponents: RangeInclusive<i32>) -> Bounds {
    Bounds(exponents.map(|k| 2f64.powi(k)).collect())
}

/// `count` bounds at equal distances: `first`, `first + step`, `first + 2 × step`, ….
pub fn linear(first: u32, step: u32, count: u32) -> Bounds {
    Bounds((0..count).map(|i| f64::from(first) + f64::from(step) * f64::from(i)).collect())
}

/// The given bounds, which must ascend.
pub fn fixed(bounds: impl IntoIterator<Item = f64>) -> Bounds {
    Bounds(bounds.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn microseconds_print_as_written() {
        let bounds = exp2(0..=27).per(1e6).into_vec();
        assert_eq!(bounds.len(), 28);
        assert_eq!((bounds[0], bounds[3], bounds[17], bounds[27]), (1e-6, 8e-6, 0.131072, 134.217728));
    }

    #[test]
    fn linear_bounds_have_no_drift() {
        assert_eq!(linear(1, 1, 10).per(1e6).into_vec()[6], 7e-6);
        assert_eq!(linear(0, 5, 3).into_vec(), [0.0, 5.0, 10.0]);
        assert_eq!(fixed([0.1, 0.5]).times(2.0).into_vec(), [0.2, 1.0]);
    }
}
