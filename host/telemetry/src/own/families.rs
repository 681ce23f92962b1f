//! Families of samples whose numbers are known already, for `prometheus-client`'s encoder.

use std::fmt;

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

use super::PackageReport;

pub(super) type Labels<'a> = Vec<(&'static str, &'a str)>;

/// The label that every sample about a package has.
pub(super) fn of(package: &PackageReport) -> Labels<'_> {
    vec![("plugin", package.name.as_str())]
}

pub(super) struct Families<'a, 'b>(pub(super) &'a mut DescriptorEncoder<'b>);

impl Families<'_, '_> {
    pub(super) fn gauge<'l, N>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        samples: impl IntoIterator<Item = (Labels<'l>, N)>,
    ) -> fmt::Result
    where
        ConstGauge<N>: EncodeMetric,
    {
        self.family(name, help, unit, samples.into_iter().map(|(labels, value)| (labels, ConstGauge::new(value))))
    }

    pub(super) fn counter<'l, N>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        samples: impl IntoIterator<Item = (Labels<'l>, N)>,
    ) -> fmt::Result
    where
        ConstCounter<N>: EncodeMetric,
    {
        self.family(name, help, unit, samples.into_iter().map(|(labels, value)| (labels, ConstCounter::new(value))))
    }

    pub(super) fn family<'l, M: EncodeMetric>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        samples: impl Iterator<Item = (Labels<'l>, M)>,
    ) -> fmt::Result {
        let mut samples = samples.peekable();
        let Some((_, first)) = samples.peek() else { return Ok(()) };
        let mut family = self.0.encode_descriptor(name, help, unit, first.metric_type())?;
        for (labels, metric) in samples {
            if labels.is_empty() {
                return metric.encode(family);
            }
            metric.encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

/// A histogram whose numbers are known.
pub(super) struct Durations {
    pub(super) sum: f64,
    pub(super) buckets: Vec<(f64, u64)>,
}

impl EncodeMetric for Durations {
    fn encode(&self, mut encoder: MetricEncoder) -> fmt::Result {
        let count = self.buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(self.sum, count, &self.buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}
