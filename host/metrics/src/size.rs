//! An upper bound for the bytes of a series in any format, known before it is encoded.
//!
//! The text formats repeat the labels for each bucket of a histogram, so a legal family can take gigabytes of an answer. Whoever admits
//! series counts them by this bound.

use crate::{
    encode::number,
    family::{Family, Kind},
    layout::Layout,
};

/// Bytes of a bucket's line beside its name, labels and bound: a count, marks, and a usual namespace.
const BUCKET_LINE_BYTES: usize = 46;

/// Bytes of another line beside its name and labels: the longest number, marks, and a usual namespace.
const LINE_BYTES: usize = 80;

/// Bytes that protobuf adds to a label name and its value beyond what text adds.
const LABEL_BYTES: usize = 8;

/// Bytes of a classic bucket in protobuf, and of a native one: its count, and its part of a span.
const BUCKET_BYTES: usize = 26;
const NATIVE_BUCKET_BYTES: usize = 20;

/// Bytes of the rest of a series in protobuf.
const METRIC_BYTES: usize = 96;

/// Bytes of a start time in protobuf.
const START_TIME_BYTES: usize = 20;

/// Bytes in OpenMetrics 2.0: of a histogram's line beside its name, labels and buckets, of a classic bucket beside its bound, and of a native one:
/// its count, and a span of its own.
const COMPOSITE_BYTES: usize = 260;
const COMPOSITE_BUCKET_BYTES: usize = 24;
const COMPOSITE_NATIVE_BUCKET_BYTES: usize = 36;

/// The size of one family's series, as a function of their label blocks. Lines of `_created` and exemplars
/// are not included: the first are asked for, the others are few.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SeriesSize {
    /// Lines of one series.
    lines: usize,
    /// Bytes of one series beside its label blocks.
    fixed: usize,
}

impl SeriesSize {
    /// The size of the series of `family`, whose cells have this layout.
    pub fn new(family: &Family, layout: &Layout) -> Self {
        let name = family.name.len();
        let bounds: &[f64] = if let Kind::Histogram(bounds) = &family.kind { bounds } else { &[] };
        let (lines, text) = match &family.kind {
            Kind::Counter | Kind::Gauge(_) => (1, name + LINE_BYTES),
            // One for each bound, one for +Inf, the sum and the count.
            Kind::Histogram(_) => {
                let buckets = (bounds.len() + 1) * (name + BUCKET_LINE_BYTES) + digits(bounds);
                (bounds.len() + 3, buckets + 2 * (name + LINE_BYTES))
            }
        };
        let native = if let Layout::Native { .. } = layout { layout.buckets() } else { 0 };
        let protobuf = METRIC_BYTES
            + START_TIME_BYTES
            + family.labels.len() * LABEL_BYTES
            + (bounds.len() + 1) * BUCKET_BYTES
            + native * NATIVE_BUCKET_BYTES;
        let composite = match &family.kind {
            Kind::Counter | Kind::Gauge(_) => 0,
            Kind::Histogram(_) => {
                let classic = (bounds.len() + 1) * COMPOSITE_BUCKET_BYTES + digits(bounds);
                name + COMPOSITE_BYTES + classic + native * COMPOSITE_NATIVE_BUCKET_BYTES
            }
        };
        Self { lines, fixed: text.max(protobuf).max(composite) }
    }

    /// The most bytes of a series with a label block of this length.
    #[inline]
    pub fn with_labels(self, block_bytes: usize) -> usize {
        self.fixed.saturating_add(self.lines.saturating_mul(block_bytes))
    }

    /// The most bytes of a family's metadata.
    pub fn of_heading(family: &Family) -> usize {
        // Escaping doubles a help text at most.
        2 * LINE_BYTES + 3 * family.name.len() + 2 * family.help.len() + family.unit.len()
    }
}

/// Bytes of the bounds in their longer form, and of +Inf.
fn digits(bounds: &[f64]) -> usize {
    let mut text = b"+Inf".to_vec();
    bounds.iter().for_each(|bound| number::openmetrics_float(*bound, &mut text));
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family(name: &str, help: &str, kind: Kind) -> Family {
        let (name, help, unit) = (name.to_owned(), help.to_owned(), String::new());
        Family { name, help, unit, labels: vec![], kind, times: 1.0, per: 1.0 }
    }

    #[test]
    fn every_digit_of_a_bound_counts() {
        let size = |bound: f64| {
            let family = family("seconds", "", Kind::Histogram(vec![bound; 10]));
            SeriesSize::new(&family, &Layout::Classic { bounds: 10, sum: None }).with_labels(0)
        };
        assert_eq!(size(0.123456789) - size(0.5), 10 * ("0.123456789".len() - "0.5".len()));
    }

    /// The name is in three lines, and a help text of line breaks is twice as long when it is escaped.
    #[test]
    fn a_heading_has_its_name_three_times_and_its_help_escaped() {
        let heading = |name: &str, help: &str| SeriesSize::of_heading(&family(name, help, Kind::Counter));
        let (long_name, long_help) = ("calls".repeat(21), "\n".repeat(100));
        assert_eq!(heading(&long_name, "") - heading("calls", ""), 3 * 100);
        assert_eq!(heading("calls", &long_help) - heading("calls", ""), 2 * 100);
    }
}
