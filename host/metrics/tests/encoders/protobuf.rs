//! What is written, read back by `prost` from messages declared here: the same families as in the text; native buckets exact.

use std::sync::Arc;

use proptest::prelude::*;
use prost::Message;

use crate::oracle::{encoded, ours, samples, size_bound};
use ebhost_metrics::{Created, Family, Format, Kind, Presentation, encode::protobuf::Buckets, labels};
use ebhost_series::schema::*;
use ebhost_series::{Answer, Labels, Table, TableLimits};
use ebhost_snapshot::{Keys, Snapshot};

#[derive(Clone, PartialEq, Message)]
pub(super) struct MetricFamily {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    help: String,
    #[prost(int32, tag = "3")]
    r#type: i32,
    #[prost(message, repeated, tag = "4")]
    pub(super) metric: Vec<Metric>,
    #[prost(string, tag = "5")]
    unit: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Metric {
    #[prost(message, repeated, tag = "1")]
    label: Vec<LabelPair>,
    #[prost(message, optional, tag = "2")]
    gauge: Option<Single>,
    #[prost(message, optional, tag = "3")]
    pub(super) counter: Option<Single>,
    #[prost(message, optional, tag = "7")]
    pub(super) histogram: Option<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct LabelPair {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Single {
    #[prost(double, tag = "1")]
    pub(super) value: f64,
    #[prost(message, optional, tag = "3")]
    pub(super) created_timestamp: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Timestamp {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Histogram {
    #[prost(uint64, tag = "1")]
    pub(super) sample_count: u64,
    #[prost(double, tag = "2")]
    pub(super) sample_sum: f64,
    #[prost(message, repeated, tag = "3")]
    bucket: Vec<Bucket>,
    #[prost(sint32, tag = "5")]
    schema: i32,
    #[prost(double, tag = "6")]
    zero_threshold: f64,
    #[prost(uint64, tag = "7")]
    zero_count: u64,
    #[prost(message, repeated, tag = "12")]
    positive_span: Vec<Span>,
    #[prost(sint64, repeated, tag = "13")]
    positive_delta: Vec<i64>,
    #[prost(message, optional, tag = "15")]
    pub(super) created_timestamp: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Bucket {
    #[prost(uint64, tag = "1")]
    cumulative_count: u64,
    #[prost(double, tag = "2")]
    upper_bound: f64,
    #[prost(message, optional, tag = "3")]
    exemplar: Option<ExemplarMessage>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ExemplarMessage {
    #[prost(message, repeated, tag = "1")]
    label: Vec<LabelPair>,
    #[prost(double, tag = "2")]
    value: f64,
    #[prost(message, optional, tag = "3")]
    timestamp: Option<Timestamp>,
}

/// The bound of a bucket, and labels, value and second of its exemplar.
pub(super) type BucketExemplar = (f64, Vec<(String, String)>, f64, (i64, i32));

impl Histogram {
    /// The exemplars of its buckets.
    pub(super) fn exemplars(&self) -> Vec<BucketExemplar> {
        let exemplar = |bucket: &Bucket| {
            let found = bucket.exemplar.as_ref()?;
            let labels = found.label.iter().map(|pair| (pair.name.clone(), pair.value.clone())).collect();
            let time = found.timestamp.as_ref()?;
            Some((bucket.upper_bound, labels, found.value, (time.seconds, time.nanos)))
        };
        self.bucket.iter().filter_map(exemplar).collect()
    }
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Span {
    #[prost(sint32, tag = "1")]
    offset: i32,
    #[prost(uint32, tag = "2")]
    length: u32,
}

fn decoded(tables: &[Table]) -> Vec<MetricFamily> {
    let tables: Vec<_> = tables.iter().collect();
    decode(&encoded(Format::Protobuf, Created::LeftOut, Presentation::exact(""), &tables))
}

pub(super) fn decode(mut bytes: &[u8]) -> Vec<MetricFamily> {
    let mut families = Vec::new();
    while !bytes.is_empty() {
        families.push(MetricFamily::decode_length_delimited(&mut bytes).unwrap());
    }
    families
}

/// A line of text 0.0.4, taken apart; labels in the order of their names.
pub(super) type Line = (String, Vec<(String, String)>, f64);

pub(super) fn lines_of_text(text: &str) -> Vec<Line> {
    let line = |line: &str| {
        let (series, number) = line.rsplit_once(' ').unwrap();
        let (name, block) = series.split_once('{').unwrap_or((series, ""));
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let block = block.strip_suffix('}').unwrap_or(block);
        let mut pairs: Vec<_> =
            labels::parse_block(block.as_bytes()).map(|(name, value)| (text(name), text(&value))).collect();
        pairs.sort();
        (name.to_owned(), pairs, number.parse().unwrap())
    };
    text.split_terminator('\n').filter(|line| !line.starts_with('#')).map(line).collect()
}

pub(super) fn lines_of(families: &[MetricFamily]) -> Vec<Line> {
    let mut lines = Vec::new();
    for family in families {
        for metric in &family.metric {
            let labels = |more: Option<(&str, f64)>| {
                let mut pairs: Vec<_> =
                    metric.label.iter().map(|pair| (pair.name.clone(), pair.value.clone())).collect();
                pairs.extend(more.map(|(name, bound)| {
                    let bound = if bound.is_infinite() { "+Inf".to_owned() } else { bound.to_string() };
                    (name.to_owned(), bound)
                }));
                pairs.sort();
                pairs
            };
            for number in metric.counter.iter().chain(&metric.gauge) {
                lines.push((family.name.clone(), labels(None), number.value));
            }
            if let Some(histogram) = &metric.histogram {
                let name = |suffix: &str| format!("{}{suffix}", family.name);
                for bucket in &histogram.bucket {
                    let count = bucket.cumulative_count as f64;
                    lines.push((name("_bucket"), labels(Some(("le", bucket.upper_bound))), count));
                }
                lines.push((name("_sum"), labels(None), histogram.sample_sum));
                lines.push((name("_count"), labels(None), histogram.sample_count as f64));
            }
        }
    }
    lines
}

pub(super) fn headings(text: &str) -> Vec<(String, String)> {
    let types = text.split_terminator('\n').filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

/// The type of a family, as the text has it.
pub(super) fn kind_of(family: &MetricFamily) -> &'static str {
    ["counter", "gauge", "summary", "untyped", "histogram"][family.r#type as usize]
}

proptest! {
    #[test]
    fn protobuf_says_what_the_text_says(samples in samples()) {
        let tables: Vec<Table> = samples.iter().enumerate().map(|(index, sample)| sample.table(index)).collect();
        let (text, families) = (ours(&tables, Format::Text004), decoded(&tables));
        prop_assert_eq!(lines_of(&families), lines_of_text(&text));
        let named: Vec<_> = families.iter().map(|family| (family.name.clone(), kind_of(family).to_owned())).collect();
        prop_assert_eq!(named, headings(&text));
        for (family, sample) in families.iter().zip(&samples) {
            prop_assert_eq!((family.help.as_str(), family.unit.as_str()), ("What it counts.", sample.unit()));
        }
    }

    /// Counts that come back out of spans and deltas are those that went in, each in its own bucket.
    #[test]
    fn spans_and_deltas_give_every_bucket_back(
        schema in 0i8..=8,
        first in -300i32..300,
        counts in prop::collection::vec(prop_oneof![4 => Just(0u64), 2 => 1u64..100, 1 => 0..u64::MAX >> 1], 3..80),
    ) {
        let count = counts.len() - 2;
        let mut bytes = Vec::new();
        Buckets { schema, first, count }.write(&counts, &mut bytes);
        let read = Histogram::decode(&bytes[..]).unwrap();
        prop_assert_eq!((read.schema, read.zero_count), (i32::from(schema), counts[0]));
        prop_assert_eq!(read.zero_threshold, (f64::from(first - 1) / f64::from(schema).exp2()).exp2());
        let mut expected: Vec<_> = (first..).zip(counts[1..=count].iter().copied()).collect();
        expected.push(((1024 << schema) + 1, counts[count + 1]));
        expected.retain(|(_, count)| *count > 0);
        let mut found = buckets_of(&read);
        found.retain(|(_, count)| *count > 0);
        prop_assert_eq!(found, expected);
    }
}

/// Index and count of each bucket that spans and deltas give.
fn buckets_of(histogram: &Histogram) -> Vec<(i32, u64)> {
    let mut deltas = histogram.positive_delta.iter();
    let (mut index, mut count, mut buckets) = (0, 0i64, Vec::new());
    for span in &histogram.positive_span {
        index += span.offset;
        for _ in 0..span.length {
            count += deltas.next().expect("a delta for each bucket");
            buckets.push((index, count as u64));
            index += 1;
        }
    }
    assert_eq!(deltas.next(), None, "no delta without a bucket");
    buckets
}

/// Two octaves of four buckets (schema 2) from 1 s on; classic bounds at their ends.
pub(super) fn native() -> Table {
    let number = |offset| Number { offset, size: 8, encoding: Encoding::Unsigned };
    let slots = NativeSlots { offset: 0, schema: 2, first: 1, count: 8, sum: Some(number(80)) };
    let family = Family {
        name: "x_seconds".into(),
        help: "H.".into(),
        unit: "seconds".into(),
        labels: vec![],
        kind: Kind::Histogram(vec![2.0, 4.0]),
        times: 1.0,
        per: 1000.0,
    };
    let feed = Feed { family: 0, labels: vec![], value: Value::NativeSlots(slots) };
    let view = View {
        source: "map".into(),
        key_size: 4,
        value_size: 88,
        identity: vec![],
        lookups: vec![],
        columns: 0,
        feeds: vec![feed],
    };
    let mut table = Table::new(Arc::new(Schema { families: vec![family], views: vec![view] }), TableLimits::default());
    // At or below 1 s: 1; (1, 2]: 0 2 0 0; (2, 4]: 0 3 0 4; above: 5; sum 60 000 ms.
    let values = [1u64, 0, 2, 0, 0, 0, 3, 0, 4, 5, 60_000].iter().flat_map(|n| n.to_le_bytes()).collect();
    let keys = Keys::Bytes { size: 4, bytes: vec![0; 4] };
    let snapshot = Snapshot { keys, values, value_stride: 88, cpus: 1, len: 1, complete: true, ..Snapshot::default() };
    let mut scrape = table.scrape(0.0);
    scrape.observe(0, &snapshot).unwrap();
    let mut labelling = scrape.label();
    for id in labelling.unlabelled(0).to_vec() {
        labelling.answer(0, id, Answer::Series { labels: Labels::Named(&[]), bucket: None });
    }
    let mut settling = labelling.settle();
    settling.count(0, &snapshot).unwrap();
    settling.finish();
    table
}

#[test]
fn native_buckets_take_no_more_bytes_than_the_bound_says() {
    let table = native();
    for format in [Format::Protobuf, Format::OpenMetrics200] {
        let bytes = encoded(format, Created::LeftOut, Presentation::exact("ebhost"), &[&table]).len();
        assert!(bytes <= size_bound(&table), "{format:?}: {bytes}, {}", size_bound(&table));
    }
}

#[test]
fn native_and_classic_buckets_are_of_the_same_counts() {
    let families = decoded(&[native()]);
    let histogram = families[0].metric[0].histogram.as_ref().unwrap();
    let classic: Vec<_> = histogram.bucket.iter().map(|bucket| (bucket.upper_bound, bucket.cumulative_count)).collect();
    assert_eq!(classic, [(2.0, 3), (4.0, 10), (f64::INFINITY, 15)]);
    assert_eq!((histogram.sample_count, histogram.sample_sum), (15, 60.0));
    assert_eq!((histogram.schema, histogram.zero_threshold, histogram.zero_count), (2, 1.0, 1));
    // Bucket 2 ends at 2^(2/4) s, 6 at 2^(6/4), 8 at 4; the one after 1024 octaves at +Inf.
    let spans: Vec<_> = histogram.positive_span.iter().map(|span| (span.offset, span.length)).collect();
    assert_eq!(spans, [(2, 1), (3, 3), (4097 - 9, 1)]);
    assert_eq!(histogram.positive_delta, [2, 1, -3, 4, 1]);
}
