//! Families as OTLP requests.
//!
//! The names are those of `/metrics`, and so are the values: a receiver that is a Prometheus stores the same series from a push as from a
//! scrape. Counters and histograms are cumulative, with the time at which a series was surely 0 as their start time.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{InstrumentationScope, KeyValue},
    metrics::v1::{
        AggregationTemporality, Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
        HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, exemplar,
        exponential_histogram_data_point::Buckets, metric::Data, number_data_point::Value,
    },
    resource::v1::Resource,
};
use prost::Message as _;

use crate::resource::attribute;
use ebhost_handle::{Collection, NamedFamily};
use ebhost_limits as limits;
use ebhost_metrics::{Family, FamilySeries, Kind, Layout, Series, labels, scale::Scale};

/// The requests of one collection.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    /// Each an encoded `ExportMetricsServiceRequest`.
    pub(crate) encoded: Vec<Vec<u8>>,
    /// Families that the bound on bytes had no room for.
    pub(crate) families_left_out: u64,
}

/// Converts a collection, on the agent's thread.
pub(crate) fn requests(collection: &Collection<'_>, resource: &Resource, version: &str) -> Requests {
    let mut writer = Writer::new(resource, version);
    for family in collection.families() {
        writer.family(family);
    }
    writer.finish()
}

/// Collects points into requests of a bounded number, and encodes each when it is full: a million messages at once would take a gigabyte.
struct Writer<'a> {
    resource: &'a Resource,
    version: &'a str,
    time: u64,
    metrics: Vec<Metric>,
    points: usize,
    bytes: usize,
    requests: Requests,
}

impl<'a> Writer<'a> {
    fn new(resource: &'a Resource, version: &'a str) -> Self {
        let time = nanoseconds(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());
        let requests = Requests::default();
        Self { resource, version, time, metrics: Vec::new(), points: 0, bytes: 0, requests }
    }

    fn family(&mut self, named: NamedFamily<'_>) {
        let mut series = named.series.iter().peekable();
        if series.peek().is_some() && self.bytes >= limits::OTLP_BYTES {
            self.requests.families_left_out += 1;
            return;
        }
        let name = named.name();
        while series.peek().is_some() {
            let room = limits::OTLP_POINTS_PER_REQUEST - self.points;
            let part: Vec<_> = series.by_ref().take(room).collect();
            self.points += part.len();
            self.metrics.push(metric(name.clone(), named.series, &part, self.time));
            if self.points >= limits::OTLP_POINTS_PER_REQUEST {
                self.encode();
            }
        }
    }

    fn encode(&mut self) {
        let scope = InstrumentationScope {
            name: "ebhost".to_owned(),
            version: self.version.to_owned(),
            ..InstrumentationScope::default()
        };
        let scope_metrics =
            ScopeMetrics { scope: Some(scope), metrics: std::mem::take(&mut self.metrics), ..ScopeMetrics::default() };
        let resource_metrics = ResourceMetrics {
            resource: Some(self.resource.clone()),
            scope_metrics: vec![scope_metrics],
            ..ResourceMetrics::default()
        };
        let encoded = ExportMetricsServiceRequest { resource_metrics: vec![resource_metrics] }.encode_to_vec();
        self.bytes += encoded.len();
        self.points = 0;
        self.requests.encoded.push(encoded);
    }

    fn finish(mut self) -> Requests {
        if !self.metrics.is_empty() {
            self.encode();
        }
        self.requests
    }
}

/// A family, or a part of its series.
fn metric(name: String, series: FamilySeries<'_>, part: &[Series<'_>], time: u64) -> Metric {
    let family = series.family();
    let points = Points { series, scale: Scale::new(family.times, family.per), time };
    let temporality = AggregationTemporality::Cumulative as i32;
    let data = match (series.layout(), &family.kind) {
        (Layout::Native { schema, first, count, .. }, _) => {
            let range = NativeRange { schema: *schema, first: *first, count: *count };
            let data_points = part.iter().map(|each| points.exponential(each, range)).collect();
            Data::ExponentialHistogram(ExponentialHistogram { data_points, aggregation_temporality: temporality })
        }
        (Layout::Classic { .. }, Kind::Histogram(_)) => {
            let data_points = part.iter().map(|each| points.histogram(each)).collect();
            Data::Histogram(Histogram { data_points, aggregation_temporality: temporality })
        }
        (_, Kind::Gauge(_)) => {
            Data::Gauge(Gauge { data_points: part.iter().map(|each| points.number(each, 0)).collect() })
        }
        (_, Kind::Counter | Kind::Histogram(_)) => Data::Sum(Sum {
            data_points: part.iter().map(|each| points.number(each, points.start(each))).collect(),
            aggregation_temporality: temporality,
            is_monotonic: true,
        }),
    };
    Metric {
        name,
        description: family.help.clone(),
        unit: unit(family).to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

/// The unit by the Unified Code for Units of Measure, for those that families have.
fn unit(family: &Family) -> &'static str {
    match family.unit.as_str() {
        "seconds" => "s",
        "bytes" => "By",
        "ratio" => "1",
        "celsius" => "Cel",
        "joules" => "J",
        "volts" => "V",
        "amperes" => "A",
        "hertz" => "Hz",
        _ => "",
    }
}

/// The data points of a family.
struct Points<'a> {
    series: FamilySeries<'a>,
    scale: Scale,
    time: u64,
}

/// The range of a native histogram's cells, as [`Layout::Native`] has it.
#[derive(Clone, Copy)]
struct NativeRange {
    schema: i8,
    first: i32,
    count: usize,
}

impl Points<'_> {
    fn number(&self, each: &Series<'_>, start: u64) -> NumberDataPoint {
        let value = match self.series.layout() {
            Layout::Single(cell) => cell.value(each.cells[0], self.scale),
            Layout::Classic { .. } | Layout::Native { .. } => f64::NAN,
        };
        NumberDataPoint {
            attributes: attributes(each),
            start_time_unix_nano: start,
            time_unix_nano: self.time,
            value: Some(Value::AsDouble(value)),
            ..NumberDataPoint::default()
        }
    }

    fn histogram(&self, each: &Series<'_>) -> HistogramDataPoint {
        let (mut counts, mut before) = (Vec::new(), 0u64);
        self.series.cumulate(each.cells, |count| {
            counts.push(count.wrapping_sub(before));
            before = count;
        });
        HistogramDataPoint {
            attributes: attributes(each),
            start_time_unix_nano: self.start(each),
            time_unix_nano: self.time,
            count: before,
            sum: self.sum(each),
            bucket_counts: counts,
            explicit_bounds: self.series.bounds().to_vec(),
            exemplars: self.exemplars(each),
            ..HistogramDataPoint::default()
        }
    }

    /// A bucket's index is one less than that of Prometheus, which numbers buckets by their upper bounds.
    fn exponential(&self, each: &Series<'_>, range: NativeRange) -> ExponentialHistogramDataPoint {
        let NativeRange { schema, first, count } = range;
        let (zero, buckets, above) = (each.cells[0], &each.cells[1..=count], each.cells[count + 1]);
        let mut buckets = buckets.to_vec();
        if above > 0 {
            // The bucket that ends at +Inf: what is above the last bucket is in no finite one for sure.
            let end = if schema >= 0 { 1024 << schema } else { 1024 >> -schema };
            let index = usize::try_from(end - (first - 1)).unwrap_or(count).max(count);
            buckets.resize(index + 1, 0);
            buckets[index] += above;
        } else {
            buckets.truncate(buckets.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1));
        }
        let empty = buckets.iter().take_while(|count| **count == 0).count();
        buckets.drain(..empty);
        ExponentialHistogramDataPoint {
            attributes: attributes(each),
            start_time_unix_nano: self.start(each),
            time_unix_nano: self.time,
            count: total(&each.cells[..self.series.layout().buckets()]),
            sum: self.sum(each),
            scale: i32::from(schema),
            zero_count: zero,
            zero_threshold: (f64::from(first - 1) * f64::from(-schema).exp2()).exp2(),
            positive: Some(Buckets { offset: first - 1 + empty as i32, bucket_counts: buckets }),
            ..ExponentialHistogramDataPoint::default()
        }
    }

    fn exemplars(&self, each: &Series<'_>) -> Vec<Exemplar> {
        let exemplar = |bucket| self.series.exemplar(each, bucket);
        let found = (0..self.series.layout().buckets()).filter_map(exemplar);
        let message = |found: &ebhost_metrics::Exemplar| Exemplar {
            time_unix_nano: found.unix_ms * 1_000_000,
            trace_id: found.trace_id.to_vec(),
            span_id: found.span_id.map(|id| id.to_vec()).unwrap_or_default(),
            value: Some(exemplar::Value::AsDouble(found.value(self.series.layout(), self.scale))),
            ..Exemplar::default()
        };
        found.map(message).collect()
    }

    fn sum(&self, each: &Series<'_>) -> Option<f64> {
        self.series.sum().map(|(cell, kind)| kind.value(each.cells[cell], self.scale))
    }

    /// 0: not known.
    fn start(&self, each: &Series<'_>) -> u64 {
        self.series.start_seconds(each).map_or(0, nanoseconds)
    }
}

fn total(counts: &[u64]) -> u64 {
    counts.iter().fold(0, |sum, count| sum.wrapping_add(*count))
}

fn nanoseconds(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}

fn attributes(each: &Series<'_>) -> Vec<KeyValue> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    labels::parse_block(each.labels).map(|(name, value)| attribute(text(name), text(&value))).collect()
}
