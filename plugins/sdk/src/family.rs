//! Metric families: names, kinds, units. Whether they are well formed is checked by the host, at load.

use crate::bindings::exports::ebhost::plugin::decoder as wit;
use crate::bounds::Bounds;

/// One metric family, as it will be printed.
#[derive(Clone, Debug)]
pub struct Family(pub(crate) wit::Family);

/// A family of a [`Manifest`](crate::Manifest); views name by it what they feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FamilyId(pub(crate) u32);

/// How present values with equal labels become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fold {
    /// Their sum.
    Sum,
    /// The least.
    Min,
    /// The greatest.
    Max,
}

impl Family {
    /// Only rises: the host adds up the increases of its entries. The name ends in `_total`.
    pub fn counter(name: &str) -> Self {
        Self::of(name, wit::Kind::Counter)
    }

    /// Present values, folded over entries of equal labels and over CPUs.
    pub fn gauge(name: &str, fold: Fold) -> Self {
        let fold = match fold {
            Fold::Sum => wit::Fold::Sum,
            Fold::Min => wit::Fold::Min,
            Fold::Max => wit::Fold::Max,
        };
        Self::of(name, wit::Kind::Gauge(fold))
    }

    /// Observations in buckets with these upper bounds, in the family's unit.
    pub fn histogram(name: &str, bounds: Bounds) -> Self {
        Self::of(name, wit::Kind::Histogram(bounds.into_vec()))
    }

    /// One sentence: what is counted, where it begins and ends.
    pub fn help(mut self, sentence: &str) -> Self {
        self.0.help = sentence.into();
        self
    }

    /// OpenMetrics unit (`seconds`, `bytes`), which then ends the name, `_total` aside.
    pub fn unit(mut self, unit: &str) -> Self {
        self.0.unit = unit.into();
        self
    }

    /// Label names in the order of printing.
    pub fn labels<'n>(mut self, names: impl IntoIterator<Item = &'n str>) -> Self {
        self.0.labels = names.into_iter().map(Into::into).collect();
        self
    }

    /// Raw numbers are multiplied by this when printed; 1 unless said.
    pub fn times(mut self, factor: f64) -> Self {
        self.0.times = factor;
        self
    }

    /// Raw numbers are divided by this when printed: `per(1e9)` makes nanoseconds seconds, exact to the last digit.
    pub fn per(mut self, divisor: f64) -> Self {
        self.0.per = divisor;
        self
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
