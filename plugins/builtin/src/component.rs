//! Turns the configuration into the contract's manifest: one family and one view for each metric, and the families and views of tables.

use ebhost_plugin::exported::banks::{lost_family, spill_entries_family, spilled_family};
use ebhost_plugin::exported::bindings::exports::ebhost::plugin::decoder as wit;

use crate::ViewRows;
use crate::config::Config;
use crate::machine::Kind;
use crate::metric::Metric;
use crate::table::{self, StatFamilies, Table};

/// The value of an entry of any table: one `u64`.
const VALUE: wit::Number = wit::Number { offset: 0, size: 8, is_signed: false };

/// The families and views of all metrics and then of all tables, in the order of the configuration; and how the rows of each view are
/// decoded.
pub(crate) fn manifest(config: &Config) -> (wit::Manifest, Vec<ViewRows>) {
    let Config { metrics, tables, prefix, spans: _ } = config;
    let mut families: Vec<_> = metrics.iter().map(family).collect();
    let metric_views = metrics.iter().enumerate().map(|(index, metric)| view(index as u32, metric));
    let mut views: Vec<_> = metric_views.zip((0..).map(ViewRows::Metric)).collect();
    let first_family = families.len() as u32;
    families.extend(tables.families.iter().cloned());
    let spilled = families.len() as u32;
    if tables.tables.iter().any(Table::has_statistics) {
        let statistics = [spilled_family(prefix), spill_entries_family(prefix), lost_family(prefix)];
        families.extend(statistics.map(ebhost_plugin::Family::into_record));
    }
    let stats = StatFamilies { spilled, entries: spilled + 1, lost: spilled + 2 };
    for (index, table) in tables.tables.iter().enumerate() {
        views.extend(table::views(table, index, first_family, stats));
    }
    let (views, rows) = views.into_iter().unzip();
    (wit::Manifest { families, views }, rows)
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
