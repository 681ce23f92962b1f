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
pub(super) fn plugin_label(package: &PackageReport) -> Labels<'_> {
    vec![("plugin", package.name.as_str())]
}

/// Where the families of a collector are described and given their samples.
///
/// A family is described even when it has no samples, so that its name can be asked for: names of the host's own families are kept
/// from plugins. The encoders show no family without series.
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
        let samples = samples.into_iter().map(|(labels, value)| (labels, ConstGauge::new(value)));
        self.family(name, help, unit, MetricType::Gauge, samples)
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
        let samples = samples.into_iter().map(|(labels, value)| (labels, ConstCounter::new(value)));
        self.family(name, help, unit, MetricType::Counter, samples)
    }

    pub(super) fn histogram<'l>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        samples: impl IntoIterator<Item = (Labels<'l>, Durations)>,
    ) -> fmt::Result {
        self.family(name, help, unit, MetricType::Histogram, samples.into_iter())
    }

    fn family<'l, M: EncodeMetric>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        kind: MetricType,
        samples: impl Iterator<Item = (Labels<'l>, M)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, unit, kind)?;
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
    /// Upper bounds, the last of them +Inf, each with the number of calls between it and the one before.
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
