//! Families of samples whose numbers are known already: described to `prometheus-client`, or refreshed in place.

use std::{fmt, iter};

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, LabelSetEncoder, MetricEncoder, NoLabelSet},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

use super::{PackageReport, refresh::Refresh};

/// The labels of a sample in the order in which they print, without an allocation.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Labels<'a> {
    pairs: [(&'static str, &'a str); Labels::MOST],
    count: usize,
}

impl<'a> Labels<'a> {
    /// The most labels that a sample of the host's own metrics has.
    const MOST: usize = 5;

    /// These labels and one more.
    pub(super) fn and(mut self, name: &'static str, value: &'a str) -> Self {
        self.pairs[self.count] = (name, value);
        self.count += 1;
        self
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.pairs[..self.count].iter().map(|&(name, value)| (name, value))
    }
}

impl<'a, const N: usize> From<[(&'static str, &'a str); N]> for Labels<'a> {
    fn from(pairs: [(&'static str, &'a str); N]) -> Self {
        pairs.into_iter().fold(Self::default(), |labels, (name, value)| labels.and(name, value))
    }
}

impl EncodeLabelSet for Labels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder) -> fmt::Result {
        (&self.pairs[..self.count]).encode(encoder)
    }
}

/// The label that every sample about a package has.
pub(super) fn plugin_label(package: &PackageReport) -> Labels<'_> {
    [("plugin", package.name.as_str())].into()
}

/// The description of a family. A counter is named without `_total`, and a family with a unit without it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Description {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    unit: Option<UnitName>,
}

/// The units that the host's own metrics are in.
#[derive(Debug, Clone, Copy)]
pub(super) enum UnitName {
    Seconds,
    Bytes,
    Ratio,
}

impl UnitName {
    fn unit(self) -> Unit {
        match self {
            Self::Seconds => Unit::Seconds,
            Self::Bytes => Unit::Bytes,
            Self::Ratio => Unit::Other("ratio".to_owned()),
        }
    }
}

pub(super) const fn gauge(name: &'static str, help: &'static str) -> Description {
    Description { name, help, kind: MetricType::Gauge, unit: None }
}

pub(super) const fn counter(name: &'static str, help: &'static str) -> Description {
    Description { name, help, kind: MetricType::Counter, unit: None }
}

impl Description {
    pub(super) const fn in_unit(self, unit: UnitName) -> Self {
        Self { unit: Some(unit), ..self }
    }

    pub(super) const fn seconds(self) -> Self {
        self.in_unit(UnitName::Seconds)
    }

    pub(super) const fn bytes(self) -> Self {
        self.in_unit(UnitName::Bytes)
    }
}

/// The number of a sample. The structured encoding has doubles alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Number(pub(super) f64);

impl From<f64> for Number {
    fn from(number: f64) -> Self {
        Self(number)
    }
}

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Self(number as f64)
    }
}

impl From<bool> for Number {
    fn from(number: bool) -> Self {
        Self(if number { 1.0 } else { 0.0 })
    }
}

/// Where a render function puts its families, in the same order each time.
///
/// A family is described even when it has no samples, so that its name can be asked for: names of the host's own families are kept
/// from plugins. The encoders show no family without series.
pub(super) enum Families<'a, 'b> {
    /// Describes each family to `prometheus-client` and encodes its samples.
    Describe(&'a mut DescriptorEncoder<'b>),
    /// Overwrites the numbers of series that were collected before.
    Refresh(&'a mut Refresh<'b>),
}

impl Families<'_, '_> {
    /// A family of counters or gauges.
    pub(super) fn numbers<'l>(
        &mut self,
        family: Description,
        samples: impl IntoIterator<Item = (impl Into<Labels<'l>>, impl Into<Number>)>,
    ) -> fmt::Result {
        let samples = samples.into_iter().map(|(labels, number)| (labels.into(), number.into()));
        match self {
            Self::Refresh(refresh) => refresh.numbers(samples),
            Self::Describe(encoder) => {
                let kind = family.kind;
                describe(encoder, family, samples.map(|(labels, Number(number))| (labels, Sample { kind, number })))
            }
        }
    }

    /// A family with one series, which has no labels.
    pub(super) fn number(&mut self, family: Description, number: impl Into<Number>) -> fmt::Result {
        self.numbers(family, iter::once((Labels::default(), number)))
    }

    /// A family of histograms.
    pub(super) fn histograms<'l>(
        &mut self,
        family: Description,
        samples: impl IntoIterator<Item = (Labels<'l>, Durations<'l>)>,
    ) -> fmt::Result {
        let family = Description { kind: MetricType::Histogram, ..family };
        match self {
            Self::Refresh(refresh) => refresh.histograms(samples.into_iter()),
            Self::Describe(encoder) => describe(encoder, family, samples.into_iter()),
        }
    }
}

fn describe<'l, M: EncodeMetric>(
    encoder: &mut DescriptorEncoder<'_>,
    family: Description,
    samples: impl Iterator<Item = (Labels<'l>, M)>,
) -> fmt::Result {
    let unit = family.unit.map(UnitName::unit);
    let mut encoder = encoder.encode_descriptor(family.name, family.help, unit.as_ref(), family.kind)?;
    for (labels, metric) in samples {
        if labels.count == 0 {
            return metric.encode(encoder);
        }
        metric.encode(encoder.encode_family(&labels)?)?;
    }
    Ok(())
}

/// A counter or a gauge whose number is known.
struct Sample {
    kind: MetricType,
    number: f64,
}

impl EncodeMetric for Sample {
    fn encode(&self, encoder: MetricEncoder) -> fmt::Result {
        match self.kind {
            MetricType::Counter => ConstCounter::new(self.number).encode(encoder),
            _ => ConstGauge::new(self.number).encode(encoder),
        }
    }

    fn metric_type(&self) -> MetricType {
        self.kind
    }
}

/// A histogram whose numbers are known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Durations<'a> {
    pub(super) sum: f64,
    /// Upper bounds without +Inf, ascending.
    pub(super) bounds: &'a [f64],
    /// The number of calls between each bound and the one before, then of those above all. Missing ones are 0.
    pub(super) counts: &'a [u64],
}

impl Durations<'_> {
    /// One count for each bound, and one for +Inf.
    pub(super) fn counts(&self) -> impl Iterator<Item = u64> {
        self.counts.iter().copied().chain(iter::repeat(0)).take(self.bounds.len() + 1)
    }
}

impl EncodeMetric for Durations<'_> {
    fn encode(&self, mut encoder: MetricEncoder) -> fmt::Result {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        let buckets: Vec<_> = bounds.zip(self.counts()).collect();
        encoder.encode_histogram::<NoLabelSet>(self.sum, self.counts().sum(), &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}
