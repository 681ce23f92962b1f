//! Raw numbers into a family's unit: raw × times ÷ per, rounded once.
//!
//! Cells hold raw integers, so adding up loses nothing; scaling happens when a number is printed, and there the result
//! is the `f64` nearest to the exact quotient whenever `times` and `per` are whole numbers (ns to s: 1 and 1e9).
//! Multiplying by a rounded 1e-9 would be wrong in the last digit every few numbers.

/// A family's factor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// Raw numbers are in the unit already, and stay integers.
    One,
    /// Whole numbers below 2^53: correctly rounded for every raw number.
    Ratio { times: u64, per: u64 },
    /// Anything else: two roundings.
    Float { times: f64, per: f64 },
}

/// Up to here every whole number is an `f64`.
const EXACT: u64 = 1 << 53;

impl Scale {
    /// `times` and `per` finite and above 0.
    pub fn new(times: f64, per: f64) -> Self {
        let whole = |x: f64| x.fract() == 0.0 && x < EXACT as f64;
        if times == per {
            Scale::One
        } else if whole(times) && whole(per) {
            Scale::Ratio { times: times as u64, per: per as u64 }
        } else {
            Scale::Float { times, per }
        }
    }

    pub fn apply(self, raw: u64) -> f64 {
        match self {
            Scale::One => raw as f64,
            Scale::Ratio { times, per } => quotient(u128::from(raw) * u128::from(times), per),
            Scale::Float { times, per } => raw as f64 * times / per,
        }
    }

    pub fn apply_signed(self, raw: i64) -> f64 {
        let size = self.apply(raw.unsigned_abs());
        if raw < 0 { -size } else { size }
    }

    pub fn apply_float(self, raw: f64) -> f64 {
        match self {
            Scale::One => raw,
            Scale::Ratio { times, per } => raw * times as f64 / per as f64,
            Scale::Float { times, per } => raw * times / per,
        }
    }

    /// The greatest raw number that is not above `bound` in the unit; `None`: 0 is above it.
    pub fn greatest_within(self, bound: f64) -> Option<u64> {
        if bound < 0.0 {
            return None;
        }
        let (mut low, mut high) = (0, u64::MAX);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            if self.apply(middle) <= bound { low = middle } else { high = middle - 1 }
        }
        Some(low)
    }
}

/// The `f64` nearest to `dividend / divisor`, ties to even.
fn quotient(dividend: u128, divisor: u64) -> f64 {
    if dividend < u128::from(EXACT) {
        return dividend as f64 / divisor as f64; // both exact, so one rounding
    }
    // With the top bit set the quotient has 64 bits or more; a remainder is kept as its lowest bit, far below the 53
    // that stay, so that converting rounds as the exact quotient would.
    let shift = dividend.leading_zeros();
    let shifted = dividend << shift;
    let divisor = u128::from(divisor);
    let sticky = u128::from(!shifted.is_multiple_of(divisor));
    ((shifted / divisor) | sticky) as f64 * (-f64::from(shift)).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nanoseconds_are_right_to_the_last_digit() {
        let scale = Scale::new(1.0, 1e9);
        assert_eq!(scale.apply(134_217_728_000), 134.217728);
        assert_eq!(scale.apply(3), 3e-9);
        assert_eq!(scale.apply(u64::MAX), 18_446_744_073.709_553);
        assert_eq!(scale.apply_signed(-1_500_000_000), -1.5);
    }

    /// Each way to print a number divides by `per` and multiplies by `times`.
    #[test]
    fn every_kind_of_number_is_scaled_alike() {
        for (times, per) in [(1.0, 8.0), (512.0, 1.0), (3.0, 4.0), (0.5, 3.0), (2.5, 1.0), (1.0, 0.25)] {
            let scale = Scale::new(times, per);
            for raw in [1u64, 3, 6, 1000] {
                let expected = raw as f64 * times / per;
                assert_eq!(scale.apply(raw), expected, "{scale:?}");
                assert_eq!(scale.apply_float(raw as f64), expected, "{scale:?}");
                assert_eq!(scale.apply_signed(-(raw as i64)), -expected, "{scale:?}");
                assert_eq!(scale.greatest_within(expected), Some(raw), "{scale:?}");
            }
        }
        assert_eq!(Scale::new(1.0, 8.0), Scale::Ratio { times: 1, per: 8 });
        assert_eq!(Scale::new(2.0, 0.5), Scale::Float { times: 2.0, per: 0.5 });
    }

    #[test]
    fn equal_factors_leave_integers() {
        assert_eq!(Scale::new(1.0, 1.0), Scale::One);
        assert_eq!(Scale::new(0.5, 3.0), Scale::Float { times: 0.5, per: 3.0 });
    }

    #[test]
    fn a_bound_keeps_what_is_not_above_it() {
        let scale = Scale::new(1.0, 1e9);
        assert_eq!(scale.greatest_within(1e-6), Some(1000));
        assert_eq!(scale.greatest_within(0.0), Some(0));
        assert_eq!(scale.greatest_within(-1.0), None);
        assert_eq!(Scale::One.greatest_within(1e300), Some(u64::MAX));
    }

    proptest! {
        /// The standard library rounds decimal text correctly: digits with the point moved are an oracle.
        #[test]
        fn ratio_equals_the_decimal_text(raw: u64, power in 0u32..18) {
            let per = 10u64.pow(power.min(15));
            let (whole, part) = (raw / per, raw % per);
            let text = format!("{whole}.{part:0width$}", width = power.min(15) as usize);
            prop_assert_eq!(Scale::new(1.0, per as f64).apply(raw), text.parse::<f64>().unwrap());
        }

        #[test]
        fn times_multiplies_before_the_rounding(raw: u64, times in 1u64..1 << 50) {
            let exact: f64 = format!("{}e-3", u128::from(raw) * u128::from(times)).parse().unwrap();
            prop_assert_eq!(Scale::Ratio { times, per: 1000 }.apply(raw), exact);
        }
    }
}
