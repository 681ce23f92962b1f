//! Turns the configured metrics into the contract's manifest: one family and one view for each metric.

use ebhost_plugin::exported::bindings::exports::ebhost::plugin::decoder as wit;

use crate::label::Label;
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
    let lookups = metric
        .all_labels()
        .enumerate()
        .filter_map(|(field, label)| Some(wit::Lookup { table: label.lookup()?.table().into(), field: field as u32 }));
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
        lookups: lookups.collect(),
        identity,
        columns,
        series: vec![wit::Series { family: index, labels, value }],
    }
}

/// The identity: the bytes of every label, or the whole key if the metric has no labels.
fn fields(metric: &Metric, part: wit::Part) -> Vec<wit::Field> {
    if metric.reads_only_key_0() {
        return vec![wit::Field { part, offset: 0, length: metric.map.key_size }];
    }
    let mut offset = 0;
    let field = |label: &Label| {
        let field = wit::Field { part, offset, length: label.size };
        offset += label.size + label.padding;
        field
    };
    metric.all_labels().map(field).collect()
}
