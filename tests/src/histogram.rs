//! One series of a histogram, collected from its samples and checked: the buckets must ascend, be cumulative and end
//! with +Inf.

use crate::exposition::Format;

/// One series of a histogram.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// The upper bounds, ascending, each with the number of observations at or below it.
    pub buckets: Vec<(f64, u64)>,
    pub count: u64,
    /// Not a number where there is none.
    pub sum: f64,
}

/// A series while its samples are being collected.
#[derive(Default)]
pub(crate) struct Parts {
    pub(crate) buckets: Vec<(f64, u64)>,
    pub(crate) count: Option<u64>,
    pub(crate) sum: Option<f64>,
}

impl Parts {
    pub(crate) fn close(self, format: Format) -> Result<Histogram, String> {
        let count = match (self.count, self.sum, format) {
            (Some(count), Some(_), _) | (Some(count), None, Format::Text) => count,
            (None, None, Format::OpenMetrics) => self.buckets.last().map_or(0, |(_, count)| *count),
            (Some(_), None, Format::OpenMetrics) => return Err("has a series with _count and without _sum".into()),
            (None, ..) => return Err("has a series without _count".into()),
        };
        let sum = self.sum.unwrap_or(f64::NAN);
        if let Some(pair) = self.buckets.windows(2).find(|pair| pair[0].0 >= pair[1].0 || pair[0].1 > pair[1].1) {
            return Err(format!("has buckets that do not ascend: {pair:?}"));
        }
        if self.buckets.last() != Some(&(f64::INFINITY, count)) {
            return Err(format!("has a count of {count}, but its last bucket is {:?}", self.buckets.last()));
        }
        Ok(Histogram { buckets: self.buckets, count, sum })
    }
}

impl Histogram {
    /// The number of observations at or below a bound, which must be the bound of a bucket.
    pub fn at_most(&self, bound: f64) -> u64 {
        let bucket = self.buckets.iter().find(|(le, _)| *le == bound);
        bucket.unwrap_or_else(|| panic!("no bucket has the bound {bound}: {:?}", self.buckets)).1
    }

    pub fn mean(&self) -> f64 {
        self.sum / self.count as f64
    }
}
