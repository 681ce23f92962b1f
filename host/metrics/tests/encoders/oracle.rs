//! Our OpenMetrics against that of `prometheus-client`, byte for byte, for random families.
//!
//! Where the two are not comparable the test stays within what both define, or says what it changes: the library puts
//! `_sum` and `_count` before the buckets and `le` before other labels, escapes no HELP, adds unit and `_total` to names by itself, and writes floats
//! as `1e-6` and `1000000.0` where Go's form is `1e-06` and `1e+06`.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use proptest::prelude::*;
use std::sync::Arc;

use ebhost_metrics::{Created, Family, Fold, Format, Integers, Kind, Presentation, SeriesSize, encoder};
use ebhost_series::schema::*;
use ebhost_series::{Answer, Labels, Table, TableLimits};
use ebhost_snapshot::{Keys, Snapshot};

/// One random family: what is in it, by label values.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    kind: u8,
    unit: bool,
    labels: usize,
    scaled: bool,
    series: Vec<(Vec<String>, Vec<u32>)>,
}

const BOUNDS: [f64; 3] = [0.001, 0.5, 20.0];

impl Sample {
    fn name(&self, index: usize) -> String {
        let unit = if self.unit { "_seconds" } else { "" };
        format!("family{index}{unit}{}", if self.kind == 0 { "_total" } else { "" })
    }

    pub(super) fn unit(&self) -> &'static str {
        if self.unit { "seconds" } else { "" }
    }

    /// A schema of one hash map whose key is the row's number.
    fn schema(&self, index: usize) -> Schema {
        let encoding = if self.kind == 1 { Encoding::Signed } else { Encoding::Unsigned };
        let number = |offset| Number { offset, size: 4, encoding };
        let kind = match self.kind {
            0 => Kind::Counter,
            1 => Kind::Gauge(Fold::Sum),
            _ => Kind::Histogram(BOUNDS.to_vec()),
        };
        let value = match self.kind {
            0 | 1 => Value::Number(number(0)),
            _ => Value::Slots(Slots { offset: 0, size: 4, sum: Some(number(16)) }),
        };
        let family = Family {
            name: self.name(index),
            help: "What it counts.".into(),
            unit: if self.unit { "seconds".into() } else { String::new() },
            labels: (0..self.labels).map(|label| format!("l{label}")).collect(),
            kind,
            times: 1.0,
            per: if self.scaled { 1000.0 } else { 1.0 },
        };
        let view = View {
            source: "map".into(),
            key_size: 4,
            value_size: 20,
            identity: vec![Field { part: Part::Key, offset: 0, length: 4 }],
            lookups: vec![],
            columns: self.labels,
            feeds: vec![Feed { family: 0, labels: (0..self.labels).map(LabelSource::Column).collect(), value }],
        };
        Schema { families: vec![family], views: vec![view] }
    }

    pub(super) fn table(&self, index: usize) -> Table {
        self.table_since(index, 0.0)
    }

    fn table_since(&self, index: usize, since: f64) -> Table {
        self.table_of(self.schema(index), since)
    }

    fn table_of(&self, schema: Schema, since: f64) -> Table {
        let mut table = Table::new(Arc::new(schema), TableLimits::default());
        let numbers =
            |(_, numbers): &(Vec<String>, Vec<u32>)| numbers.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<_>>();
        let snapshot = Snapshot {
            keys: Keys::Bytes { size: 4, bytes: (0..self.series.len() as u32).flat_map(u32::to_le_bytes).collect() },
            values: self.series.iter().flat_map(numbers).collect(),
            value_stride: 20,
            cpus: 1,
            len: self.series.len(),
            complete: true,
            ..Snapshot::default()
        };
        let mut scrape = table.scrape(since);
        scrape.observe(0, &snapshot).unwrap();
        let mut labelling = scrape.label();
        for id in labelling.unlabelled(0).to_vec() {
            let row = u32::from_le_bytes(labelling.identity_bytes(0, id).try_into().unwrap());
            let labels: Vec<&str> = self.series[row as usize].0.iter().map(String::as_str).collect();
            labelling.answer(0, id, Answer::Series { labels: Labels::Named(&labels), bucket: None });
        }
        let mut settling = labelling.settle();
        settling.count(0, &snapshot).unwrap();
        settling.finish();
        table
    }
}

#[derive(Debug)]
struct Oracle(Vec<Sample>);

impl Collector for Oracle {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for (index, sample) in self.0.iter().enumerate() {
            let unit = Unit::Seconds;
            let kind = match sample.kind {
                0 => MetricType::Counter,
                1 => MetricType::Gauge,
                _ => MetricType::Histogram,
            };
            let name = format!("family{index}");
            let mut family = encoder.encode_descriptor(&name, "What it counts.", sample.unit.then_some(&unit), kind)?;
            for (values, numbers) in &sample.series {
                let labels: Vec<(String, &str)> =
                    values.iter().enumerate().map(|(label, value)| (format!("l{label}"), value.as_str())).collect();
                // Without labels the library is to be asked without a label set, or it prints empty braces.
                if labels.is_empty() {
                    encode_one(sample, numbers, &mut family)?;
                } else {
                    encode_one(sample, numbers, &mut family.encode_family(&labels)?)?;
                }
            }
        }
        Ok(())
    }
}

fn encode_one(sample: &Sample, numbers: &[u32], metric: &mut MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
    let scaled = |number: f64| if sample.scaled { number / 1000.0 } else { number };
    match (sample.kind, sample.scaled) {
        (0, false) => metric.encode_counter::<NoLabelSet, _, f64>(&u64::from(numbers[0]), None),
        (0, true) => metric.encode_counter::<NoLabelSet, _, f64>(&scaled(f64::from(numbers[0])), None),
        (1, false) => metric.encode_gauge(&i64::from(numbers[0] as i32)),
        (1, true) => metric.encode_gauge(&scaled(f64::from(numbers[0] as i32))),
        _ => {
            let counts = numbers[..4].iter().map(|&n| u64::from(n));
            let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = bounds.zip(counts.clone()).collect();
            metric.encode_histogram::<NoLabelSet>(scaled(f64::from(numbers[4])), counts.sum(), &buckets, None)
        }
    }
}

/// Ours in the library's order: sum and count before the buckets, `le` before the other labels.
fn in_their_order(text: &str) -> String {
    let mut lines: Vec<String> = text.split_terminator('\n').map(le_first).collect();
    let is_of = |line: &str, suffix: &str| line.split(['{', ' ']).next().is_some_and(|name| name.ends_with(suffix));
    for at in 0..lines.len() {
        if is_of(&lines[at], "_sum") {
            lines[at - BOUNDS.len() - 1..at + 2].rotate_right(2);
        }
    }
    lines.join("\n") + "\n"
}

fn le_first(line: &str) -> String {
    let parts = line.rsplit_once(",le=").and_then(|(head, le)| {
        let ((name, labels), (le, count)) = (head.split_once('{')?, le.split_once('}')?);
        Some(format!("{name}{{le={le},{labels}}}{count}"))
    });
    parts.unwrap_or_else(|| line.to_owned())
}

/// The answer that the encoder of a format gives for tables.
pub(super) fn encoded(format: Format, created: Created, presentation: Presentation<'_>, tables: &[&Table]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = encoder(format, created, &mut out);
    for series in tables.iter().flat_map(|table| table.families()) {
        encoder.family(presentation, series).unwrap();
    }
    encoder.finish().unwrap();
    out
}

pub(super) fn ours(tables: &[Table], format: Format) -> String {
    let tables: Vec<_> = tables.iter().collect();
    String::from_utf8(encoded(format, Created::LeftOut, Presentation::exact(""), &tables)).unwrap()
}

pub(super) fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let value = prop_oneof!["[a-z]{0,6}", "[\\\\\"\n a-zλ\r]{0,8}"];
    // Numbers that both write without an exponent, when divided by a thousand too.
    let series = move |labels| {
        let numbers = prop::collection::vec(0u32..200_000, 5);
        prop::collection::btree_map(prop::collection::vec(value.clone(), labels), numbers, 1..5)
    };
    let sample =
        (0usize..4).prop_flat_map(move |labels| (0u8..3, any::<bool>(), any::<bool>(), Just(labels), series(labels)));
    let sample = sample.prop_map(|(kind, unit, scaled, labels, series)| Sample {
        kind,
        unit,
        labels,
        scaled,
        series: series.into_iter().collect(),
    });
    prop::collection::vec(sample, 0..4)
}

proptest! {
    #[test]
    fn openmetrics_equals_the_reference_library(samples in samples()) {
        let tables: Vec<Table> = samples.iter().enumerate().map(|(index, sample)| sample.table(index)).collect();
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Oracle(samples)));
        let mut expected = String::new();
        encode(&mut expected, &registry).unwrap();
        prop_assert_eq!(in_their_order(&ours(&tables, Format::OpenMetrics100)), expected);
    }
}

#[test]
fn the_two_formats_of_one_histogram() {
    let sample = Sample {
        kind: 2,
        unit: true,
        labels: 1,
        scaled: true,
        series: vec![(vec!["v\"a".into()], vec![1, 2, 3, 4, 5_000_000])],
    };
    let tables = [sample.table(7)];
    let expected = r#"# HELP family7_seconds What it counts.
# TYPE family7_seconds histogram
family7_seconds_bucket{l0="v\"a",le="0.001"} 1
family7_seconds_bucket{l0="v\"a",le="0.5"} 3
family7_seconds_bucket{l0="v\"a",le="20"} 6
family7_seconds_bucket{l0="v\"a",le="+Inf"} 10
family7_seconds_sum{l0="v\"a"} 5000
family7_seconds_count{l0="v\"a"} 10
"#;
    assert_eq!(ours(&tables, Format::Text004), expected);
    let expected = expected
        .replace("le=\"20\"", "le=\"20.0\"")
        .replace("} 5000\n", "} 5000.0\n")
        .replace(" histogram\n", " histogram\n# UNIT family7_seconds seconds\n");
    assert_eq!(ours(&tables, Format::OpenMetrics100), expected + "# EOF\n");
}

#[test]
fn counters_help_and_namespace() {
    let sample =
        Sample { kind: 0, unit: false, labels: 0, scaled: false, series: vec![(vec![], vec![1_287_408, 0, 0, 0, 0])] };
    let mut schema = sample.schema(0);
    schema.families[0].help = "A \\ and a \"quote\"\nand a line.".into();
    let table = sample.table(0);
    let print = |format, presentation| {
        let mut out = Vec::new();
        let mut encoder = encoder(format, Created::LeftOut, &mut out);
        table.families().for_each(|series| encoder.family(presentation, series).unwrap());
        encoder.fragment(b"# TYPE up gauge\nup 1\n").unwrap();
        encoder.finish().unwrap();
        String::from_utf8(out).unwrap()
    };
    let presentation = Presentation { namespace: "ebpf_exporter", integers: Integers::AsGoFloat };
    let text = print(Format::Text004, presentation);
    assert!(
        text.contains("# TYPE ebpf_exporter_family0_total counter\nebpf_exporter_family0_total 1.287408e+06\n"),
        "{text}"
    );
    assert!(text.ends_with("# TYPE up gauge\nup 1\n"), "{text}");
    let text = print(Format::OpenMetrics100, Presentation::exact("ns"));
    assert!(text.contains("# TYPE ns_family0 counter\nns_family0_total 1287408\n"), "{text}");
    assert!(text.ends_with("# TYPE up gauge\nup 1\n# EOF\n"), "{text}");
    // A counter of a drop-in keeps its name where OpenMetrics has no such counter.
    let mut unended = sample.schema(0);
    unended.families[0].name = "family0".into();
    let unended = ours(&[sample.table_of(unended, 0.0)], Format::OpenMetrics100);
    assert!(unended.ends_with("# TYPE family0 unknown\nfamily0 1287408\n# EOF\n"), "{unended}");
    // A family without series leaves no trace.
    let empty = Table::new(Arc::new(schema), TableLimits::default());
    assert_eq!(ours(&[empty], Format::Text004), "");
}

#[test]
fn creation_is_told_to_who_asks_for_it() {
    let sample = |kind| Sample {
        kind,
        unit: false,
        labels: 1,
        scaled: false,
        series: vec![(vec!["v".into()], vec![1, 2, 3, 4, 5])],
    };
    let print = |table: &Table, format| {
        String::from_utf8(encoded(format, Created::Printed, Presentation::exact(""), &[table])).unwrap()
    };
    for (kind, line) in [(0, Some("_created")), (1, None), (2, Some("_created"))] {
        let text = print(&sample(kind).table_since(0, 1_763_819_000.25), Format::OpenMetrics100);
        let expected = line.map(|suffix| format!("\nfamily0{suffix}{{l0=\"v\"}} 1.76381900025e+09\n# EOF\n"));
        assert_eq!(text.contains("_created"), expected.is_some(), "{text}");
        assert!(expected.is_none_or(|line| text.ends_with(&line)), "{text}");
    }
    let text = print(&sample(0).table_since(0, 1_763_819_000.25), Format::Text004);
    assert!(!text.contains("_created"), "text 0.0.4 has no such thing: {text}");
}

/// The most bytes that the families of a table take in any format.
pub(super) fn size_bound(table: &Table) -> usize {
    table.families().map(|series| SeriesSize::of_heading(series.family())).sum::<usize>() + table.exposition_bytes()
}

proptest! {
    /// The bytes that a package may add to an answer are checked before anything is encoded.
    #[test]
    fn no_format_is_longer_than_the_bound_of_its_series(samples in samples(), scale in 0..3u8) {
        for sample in samples {
            let mut schema = sample.schema(0);
            // The longest numbers are fractions.
            (schema.families[0].times, schema.families[0].per) = [(1.0, 1.0), (1e-200, 7.0), (1e200, 3.0)][scale as usize];
            let table = sample.table_of(schema, 1_763_819_000.123_456_7);
            for format in [Format::Text004, Format::OpenMetrics100, Format::OpenMetrics200, Format::Protobuf] {
                let bytes = encoded(format, Created::LeftOut, Presentation::exact("ebhost"), &[&table]).len();
                let bound = size_bound(&table) + "# EOF\n".len();
                prop_assert!(bytes <= bound, "{format:?}: {bytes}, {bound}");
            }
        }
    }
}
