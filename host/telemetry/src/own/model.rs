//! From `prometheus-client`'s structured encoding to the metric model that all families share.

use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model::{
    Histogram, Metric, MetricFamily, MetricType,
};

use ebhost_metrics::{CellKind, Family, Fold, Kind, Layout, OwnedFamily};

/// Up to here every whole number is an `f64`.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A family of a registry from one or more runs of collecting it; it may be without series. None: there was no run.
pub(super) fn family(runs: &[&MetricFamily]) -> Option<OwnedFamily> {
    let encoded = *runs.first()?;
    let (kind, layout) = match encoded.r#type() {
        MetricType::Counter => (Kind::Counter, Layout::Single(cell_kind(runs))),
        MetricType::Histogram => {
            let bounds = bounds(runs);
            let layout = Layout::Classic { bounds: bounds.len(), sum: Some(CellKind::F64) };
            (Kind::Histogram(bounds), layout)
        }
        // The host registers counters, gauges and histograms alone.
        _ => (Kind::Gauge(Fold::Sum), Layout::Single(cell_kind(runs))),
    };
    let description = Family {
        name: encoded.name.clone(),
        help: encoded.help.clone(),
        unit: encoded.unit.clone(),
        labels: Vec::new(),
        kind,
        times: 1.0,
        per: 1.0,
    };
    let width = layout.width();
    let cells_are = if let Layout::Single(kind) = layout { kind } else { CellKind::F64 };
    let mut family = OwnedFamily::new(description, layout);
    let mut cells = Vec::with_capacity(width);
    for metric in metrics(runs) {
        cells.clear();
        match &metric.histogram {
            Some(histogram) => append_histogram(histogram, &mut cells),
            None => cells.extend(cell(number(metric), cells_are)),
        }
        debug_assert_eq!(cells.len(), width, "{}: a series that is not like the first one", encoded.name);
        if cells.len() == width {
            let labels = metric.label.iter().map(|label| (label.name.as_str(), label.value.as_str()));
            family.push(labels, &cells, None);
        }
    }
    Some(family)
}

fn metrics<'a>(runs: &[&'a MetricFamily]) -> impl Iterator<Item = &'a Metric> {
    runs.iter().flat_map(|run| &run.metric)
}

/// The structured encoding has doubles alone. Whole numbers become integers again, so that they print with all their digits.
fn cell_kind(runs: &[&MetricFamily]) -> CellKind {
    if metrics(runs).all(|metric| is_whole(number(metric))) { CellKind::I64 } else { CellKind::F64 }
}

/// Whether a number of the structured encoding may be an integer's.
pub(super) fn is_whole(number: f64) -> bool {
    number.abs() <= EXACT && number == number.trunc()
}

/// The raw cell of a number; none if cells of that kind do not hold it.
pub(super) fn cell(number: f64, kind: CellKind) -> Option<u64> {
    match kind {
        CellKind::F64 => Some(number.to_bits()),
        CellKind::I64 | CellKind::U64 => is_whole(number).then_some(number as i64 as u64),
    }
}

/// Whether a family of histograms has these upper bounds, +Inf left out.
pub(super) fn has_bounds(family: &Family, bounds: &[f64]) -> bool {
    matches!(&family.kind, Kind::Histogram(known) if known == bounds)
}

fn number(metric: &Metric) -> f64 {
    let counter = metric.counter.as_ref().map(|counter| counter.value);
    counter.or(metric.gauge.map(|gauge| gauge.value)).unwrap_or_default()
}

/// Upper bounds without +Inf, which all series of a family have alike.
fn bounds(runs: &[&MetricFamily]) -> Vec<f64> {
    let first = metrics(runs).next().and_then(|metric| metric.histogram.as_ref());
    let buckets = first.map_or(&[][..], |histogram| &histogram.bucket);
    buckets.iter().map(|bucket| bucket.upper_bound).filter(|bound| bound.is_finite()).collect()
}

/// Appends the counts, which are cumulative there and not in a cell, and the sum.
fn append_histogram(histogram: &Histogram, cells: &mut Vec<u64>) {
    let mut before = 0;
    for bucket in &histogram.bucket {
        cells.push(bucket.cumulative_count.saturating_sub(before));
        before = bucket.cumulative_count;
    }
    cells.push(histogram.sample_sum.to_bits());
}
