//! Metric families: names, kinds, units. The host checks at load that names, labels and bounds are well formed.

use crate::bindings::exports::ebhost::plugin::decoder as wit;
use crate::bounds::{Bounds, exp2};

/// One metric family, as it will be exposed.
///
/// ```
/// use ebhost_plugin::{Family, exp2};
///
/// // Observations in nanoseconds, exposed in seconds, with bounds from 1 µs to 134 s.
/// let latency = Family::histogram("request_latency_seconds", exp2(0..=27).per(1e6))
///     .help("Time from the request to its response.")
///     .unit("seconds")
///     .per(1e9)
///     .labels(["service"]);
/// ```
#[derive(Clone, Debug)]
pub struct Family(pub(crate) wit::Family);

/// Identifies a family that was added to a [`Manifest`](crate::Manifest); [`View::feed`](crate::View::feed) takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FamilyId(pub(crate) u32);

/// How a gauge combines the values of entries, and CPUs, with equal labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fold {
    /// The sum of the values.
    Sum,
    /// The smallest value.
    Min,
    /// The largest value.
    Max,
}

impl Family {
    /// A counter. The host adds up the increases of its entries, so the counter survives entries that are deleted or reset. The name
    /// must end in `_total`.
    pub fn counter(name: &str) -> Self {
        Self::of(name, wit::Kind::Counter)
    }

    /// A gauge: the current values of its entries. Values with equal labels are combined by `fold`, over entries and over CPUs.
    pub fn gauge(name: &str, fold: Fold) -> Self {
        let fold = match fold {
            Fold::Sum => wit::Fold::Sum,
            Fold::Min => wit::Fold::Min,
            Fold::Max => wit::Fold::Max,
        };
        Self::of(name, wit::Kind::Gauge(fold))
    }

    /// A histogram with these upper bounds, in the family's unit.
    pub fn histogram(name: &str, bounds: Bounds) -> Self {
        Self::of(name, wit::Kind::Histogram(bounds.into_vec()))
    }

    /// A histogram of nanoseconds, exposed in seconds: the bounds of `LATENCIES` in counts.h, 1 µs to 134 s. The name must end in `_seconds`.
    pub fn latency(name: &str) -> Self {
        Self::histogram(name, exp2(0..=27).per(1e6)).unit("seconds").per(1e9)
    }

    /// A histogram of nanoseconds for `NATIVE_LATENCIES` in counts.h, with classic bounds at powers of two of a second, 0.95 µs to 128 s,
    /// which are bounds of native buckets too.
    pub fn native_latency(name: &str) -> Self {
        Self::histogram(name, exp2(-20..=7)).unit("seconds").per(1e9)
    }

    /// The `# HELP` text: one sentence that says what is counted and where a measured interval begins and ends.
    pub fn help(mut self, sentence: &str) -> Self {
        self.0.help = sentence.into();
        self
    }

    /// The OpenMetrics unit (`seconds`, `bytes`). The name must end in it, before `_total` if it is a counter.
    pub fn unit(mut self, unit: &str) -> Self {
        self.0.unit = unit.into();
        self
    }

    /// The label names, in the order in which they are exposed.
    pub fn labels<'n>(mut self, names: impl IntoIterator<Item = &'n str>) -> Self {
        self.0.labels = names.into_iter().map(Into::into).collect();
        self
    }

    /// Multiplies the raw numbers by this when they are exposed. The default is 1.
    pub fn times(mut self, factor: f64) -> Self {
        self.0.times = factor;
        self
    }

    /// Divides the raw numbers by this when they are exposed: `per(1e9)` turns nanoseconds into seconds, exact to the last digit. The
    /// default is 1.
    pub fn per(mut self, divisor: f64) -> Self {
        self.0.per = divisor;
        self
    }

    /// The contract's record.
    #[doc(hidden)]
    pub fn into_record(self) -> wit::Family {
        self.0
    }

    fn of(name: &str, kind: wit::Kind) -> Self {
        let name = name.to_owned();
        Self(wit::Family {
            name,
            help: String::new(),
            unit: String::new(),
            labels: Vec::new(),
            kind,
            times: 1.0,
            per: 1.0,
        })
    }
}
