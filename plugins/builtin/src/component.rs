//! Turns the configured metrics into the contract's manifest: one family and one view for each metric.

use ebhost_plugin::exported::bindings::exports::ebhost::plugin::decoder as wit;

use crate::machine::Kind;
use crate::metric::Metric;

/// The value of an entry of any table: one `u64`.
const VALUE: wit::Number = wit::Number { offset: 0, size: 8, is_signed: false };

/// The families and views of all metrics, in the order of the metrics.
pub(crate) fn manifest(metrics: &[Metric]) -> wit::Manifest {
    wit::Manifest {
        families: metrics.iter().map(family).collect(),
        views: metrics.iter().enumerate().map(|(index, metric)| view(index as u32, metric)).collect(),
    }
}

fn family(metric: &Metric) -> wit::Family {
    let cpu = metric.by_cpu.then(|| "cpu".to_owned());
    let (kind, times) = match &metric.buckets {
        None => (wit::Kind::Counter, 1.0),
        Some(buckets) => (wit::Kind::Histogram(buckets.keys.bounds(buckets.multiplier)), buckets.multiplier),
    };
    wit::Family {
        name: metric.name.clone(),
        help: metric.help.clone(),
        unit: String::new(),
        labels: metric.labels.iter().map(|label| label.name.clone()).chain(cpu).collect(),
        kind,
        times,
        per: 1.0,
    }
}

fn view(index: u32, metric: &Metric) -> wit::View {
    let map = metric.map;
    let is_events = map.kind == Kind::Events;
    let (part, key_size) = if is_events { (wit::Part::Value, 0) } else { (wit::Part::Key, map.key_size) };
    let identity = fields(metric, part);
    let columns = metric.labels.len() as u32;
    let value = match (&metric.buckets, is_events) {
        (Some(_), _) => wit::Value::Bucket(wit::Bucket { count: VALUE, sum: Some(VALUE) }),
        (None, true) => wit::Value::One,
        (None, false) => wit::Value::Number(VALUE),
    };
    let labels = (0..columns).map(wit::Label::Column).chain(metric.by_cpu.then_some(wit::Label::Cpu)).collect();
    wit::View {
        source: metric.source.clone(),
        key_size,
        value_size: if is_events { metric.labels.iter().map(|label| label.size + label.padding).sum() } else { 8 },
        lookups: lookups(metric),
        identity,
        columns,
        series: vec![wit::Series { family: index, labels, value }],
    }
}

/// The identity: the fields of every label, or the whole key if the metric has no labels.
fn fields(metric: &Metric, part: wit::Part) -> Vec<wit::Field> {
    if metric.reads_only_key_0() {
        return vec![wit::Field { part, offset: 0, length: metric.map.key_size }];
    }
    let (mut start, mut fields) = (0, Vec::new());
    for label in metric.all_labels() {
        fields.extend(label.fields().map(|(offset, length)| wit::Field { part, offset: start + offset, length }));
        start += label.size + label.padding;
    }
    fields
}

fn lookups(metric: &Metric) -> Vec<wit::Lookup> {
    let (mut first, mut lookups) = (0, Vec::new());
    for label in metric.all_labels() {
        lookups.extend(label.tables().zip(first..).map(|(table, field)| wit::Lookup { table: table.into(), field }));
        first += label.fields().count() as u32;
    }
    lookups
}
