//! What the contract says of single cases; `model_test` covers how they mix.

use std::sync::Arc;

use super::schema::*;
use super::{Answer, Labels, Misfit, Table, TableLimits};
use ebhost_metrics::Layout;
use ebhost_snapshot::{Keys, Snapshot};

fn number(offset: usize, size: usize) -> Number {
    Number { offset, size, is_signed: false }
}

fn family(name: &str, kind: Kind) -> Family {
    let labels = vec!["name".into()];
    Family { name: name.into(), help: "Help.".into(), unit: String::new(), labels, kind, times: 1.0, per: 1.0 }
}

fn feed(family: usize, value: Value) -> Feed {
    Feed { family, labels: vec![LabelSource::Column(0)], value }
}

fn view(key_size: usize, identity: Field, feeds: Vec<Feed>) -> View {
    View { source: "map".into(), key_size, value_size: 8, identity: vec![identity], lookups: vec![], columns: 1, feeds }
}

const FIRST_BYTE: Field = Field { part: Part::Key, offset: 0, length: 1 };

fn table(families: Vec<Family>, views: Vec<View>, limits: TableLimits) -> Table {
    Table::new(Arc::new(Schema { families, views }), limits)
}

/// Rows of a hash map with keys of 4 bytes.
fn rows(rows: &[([u8; 4], &[u8])]) -> Snapshot {
    Snapshot {
        keys: Keys::Bytes { size: 4, bytes: rows.iter().flat_map(|(key, _)| *key).collect() },
        values: rows.iter().flat_map(|(_, value)| value.to_vec()).collect(),
        value_stride: rows.first().map_or(8, |(_, value)| value.len()),
        cpus: 1,
        len: rows.len(),
        complete: true,
    }
}

/// A scrape of view 0; each identity's label is what `name` makes of its first byte, and its bucket the second.
fn scrape(table: &mut Table, snapshot: &Snapshot, name: impl Fn(u8) -> Option<String>) -> usize {
    table.begin();
    table.observe(0, snapshot).unwrap();
    let unseen = table.unseen(0).to_vec();
    for &id in &unseen {
        let identity = table.identity_bytes(0, id).to_vec();
        let bucket = identity.get(1).map(|&bucket| u32::from(bucket));
        match name(identity[0]) {
            Some(label) => table.answer(0, id, Answer::Series { labels: Labels::Named(&[&label]), bucket }),
            None => table.answer(0, id, Answer::Skip),
        }
    }
    table.settle(0, snapshot).unwrap();
    table.finish();
    unseen.len()
}

fn letter(identity: u8) -> Option<String> {
    Some(char::from(identity).to_string())
}

fn shown(table: &Table) -> Vec<(String, Vec<u64>)> {
    let series =
        table.families().flat_map(|family| family.iter().map(|each| (each.labels, each.cells)).collect::<Vec<_>>());
    series.map(|(block, cells)| (String::from_utf8(block.to_vec()).unwrap(), cells.to_vec())).collect()
}

fn named(series: &[(&str, &[u64])]) -> Vec<(String, Vec<u64>)> {
    series.iter().map(|(name, cells)| (format!("name=\"{name}\""), cells.to_vec())).collect()
}

#[test]
fn ten_thousand_empty_banks_are_one_question() {
    let banks = Field { part: Part::Value, offset: 4, length: 4 };
    let value = Value::Number(number(0, 4));
    let mut table = table(
        vec![family("x_total", Kind::Counter)],
        vec![view(4, banks, vec![feed(0, value)])],
        TableLimits::default(),
    );
    let mut snapshot =
        Snapshot { keys: Keys::Index, values: vec![0; 80_000], value_stride: 8, cpus: 1, len: 10_000, complete: true };
    let name = |identity| if identity == 0 { None } else { letter(identity) };
    assert_eq!(scrape(&mut table, &snapshot, name), 1);
    assert_eq!(shown(&table), []);
    // A bank is taken into use: header and count appear together.
    snapshot.values[800..805].copy_from_slice(&[7, 0, 0, 0, b'a']);
    assert_eq!(scrape(&mut table, &snapshot, name), 1);
    assert_eq!(shown(&table), named(&[("a", &[7])]));
    assert_eq!(scrape(&mut table, &snapshot, name), 0);
    // Used anew for something else, its count began at 0 again.
    snapshot.values[800..805].copy_from_slice(&[2, 0, 0, 0, b'b']);
    assert_eq!(scrape(&mut table, &snapshot, name), 1);
    assert_eq!(shown(&table), named(&[("b", &[2])]));
}

#[test]
fn entries_that_are_buckets_and_a_sum() {
    let value = Value::Bucket(Bucket { count: number(0, 8), sum: Some(number(0, 8)) });
    let identity = Field { part: Part::Key, offset: 0, length: 2 };
    let histogram = family("x", Kind::Histogram(vec![1.0, 2.0]));
    let mut table = table(vec![histogram], vec![view(4, identity, vec![feed(0, value)])], TableLimits::default());
    let count = |n: u64| n.to_le_bytes();
    let (a, b, c) = (count(5), count(6), count(70));
    // Bucket 0, above the last bound, the sum; and one that does not exist.
    let snapshot = rows(&[([b'a', 0, 0, 0], &a), ([b'a', 2, 0, 0], &b), ([b'a', 3, 0, 0], &c), ([b'a', 4, 0, 0], &c)]);
    scrape(&mut table, &snapshot, letter);
    assert_eq!(shown(&table), named(&[("a", &[5, 0, 6, 70])]));
    assert_eq!(table.stats().refused, 1);
}

#[test]
fn native_slots_make_the_classic_buckets() {
    // Schema 0, buckets 0 … 3 end at 1, 2, 4, 8; slot 0 is what is at or below 0.5, slot 5 above 8.
    let native = NativeSlots { offset: 0, schema: 0, first: 0, count: 4, sum: None };
    let feeds = vec![feed(0, Value::NativeSlots(native))];
    let bounds = Kind::Histogram(vec![0.5, 2.0, 8.0]);
    let mut alone =
        table(vec![family("x", bounds.clone())], vec![view(4, FIRST_BYTE, feeds.clone())], TableLimits::default());
    let value: Vec<u8> = [1u64, 2, 3, 4, 5, 6].iter().flat_map(|n| n.to_le_bytes()).collect();
    let snapshot = rows(&[([b'a', 0, 0, 0], &value)]);
    scrape(&mut alone, &snapshot, letter);
    assert_eq!(shown(&alone), named(&[("a", &[1, 2, 3, 4, 5, 6])]));
    let series = alone.families().next().unwrap();
    assert!(matches!(series.layout(), Layout::Native { schema: 0, first: 0, count: 4, .. }));
    let mut cumulated = Vec::new();
    series.layout().cumulate(series.iter().next().unwrap().cells, |count| cumulated.push(count));
    assert_eq!(cumulated, [1, 6, 15, 21]);

    // Beside a feed of classic slots the same numbers go straight to classic buckets.
    let slots = feed(0, Value::Slots(Slots { offset: 0, size: 8, sum: None }));
    let mut mixed = table(
        vec![family("x", bounds)],
        vec![view(4, FIRST_BYTE, feeds), view(4, FIRST_BYTE, vec![slots])],
        TableLimits::default(),
    );
    scrape(&mut mixed, &snapshot, letter);
    assert_eq!(shown(&mixed), named(&[("a", &[1, 5, 9, 6])]));
}

#[test]
fn beyond_the_limit_series_are_folded_into_other() {
    let feeds = vec![feed(0, Value::Number(number(0, 8)))];
    let limits = TableLimits { series: 2, ..TableLimits::default() };
    let mut table = table(vec![family("x_total", Kind::Counter)], vec![view(4, FIRST_BYTE, feeds)], limits);
    let one = 1u64.to_le_bytes();
    let all: Vec<([u8; 4], &[u8])> = b"abcd".iter().map(|&name| ([name, 0, 0, 0], &one[..])).collect();
    scrape(&mut table, &rows(&all), letter);
    assert_eq!(shown(&table), named(&[("a", &[1]), ("b", &[1]), ("other", &[2])]));
    assert_eq!((table.stats().folded, table.stats().series), (2, 3));
    // Room again, for later label sets; what was folded stays.
    let two = 2u64.to_le_bytes();
    scrape(&mut table, &rows(&[([b'c', 0, 0, 0], &two), ([b'd', 0, 0, 0], &two)]), letter);
    assert_eq!(shown(&table), named(&[("other", &[4])]));
}

#[test]
fn an_info_metric_is_one_and_a_sum_counts_entries() {
    let families = vec![family("info", Kind::Gauge(Fold::Max)), family("entries", Kind::Gauge(Fold::Sum))];
    let feeds = vec![feed(0, Value::One), feed(1, Value::One)];
    let mut table = table(families, vec![view(4, FIRST_BYTE, feeds)], TableLimits::default());
    let zero = [0u8; 8];
    scrape(&mut table, &rows(&[([b'a', 0, 0, 0], &zero), ([b'a', 1, 0, 0], &zero)]), letter);
    assert_eq!(shown(&table), named(&[("a", &[1]), ("a", &[2])]));
}

#[test]
fn a_gauge_folds_signed_values_over_cpus() {
    let signed = Number { offset: 0, size: 4, is_signed: true };
    let families = vec![family("least", Kind::Gauge(Fold::Min)), family("most", Kind::Gauge(Fold::Max))];
    let feeds = vec![feed(0, Value::Number(signed)), feed(1, Value::Number(signed))];
    let mut table = table(families, vec![view(4, FIRST_BYTE, feeds)], TableLimits::default());
    let mut snapshot = rows(&[([b'a', 0, 0, 0], &[5, 0, 0, 0, 0, 0, 0, 0])]);
    snapshot.values.extend([0xfe, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    snapshot.cpus = 2;
    scrape(&mut table, &snapshot, letter);
    assert_eq!(shown(&table), named(&[("a", &[-2i64 as u64]), ("a", &[5])]));
}

#[test]
fn events_beyond_the_limit_are_counted_as_lost() {
    let identity = Field { part: Part::Value, offset: 0, length: 1 };
    let limits = TableLimits { event_entries: 2, ..TableLimits::default() };
    let mut table =
        table(vec![family("x_total", Kind::Counter)], vec![view(0, identity, vec![feed(0, Value::One)])], limits);
    let events = |names: &[u8]| Snapshot {
        keys: Keys::Events { cpus: vec![0; names.len()] },
        values: names.iter().flat_map(|&name| [name, 0, 0, 0, 0, 0, 0, 0]).collect(),
        value_stride: 8,
        cpus: 1,
        len: names.len(),
        complete: true,
    };
    let name = |identity| if identity == b'-' { None } else { letter(identity) };
    scrape(&mut table, &events(b"-aab"), name);
    assert_eq!(shown(&table), named(&[("a", &[2])]));
    assert_eq!(table.stats().lost_events, 1);
    // What is skipped makes way.
    scrape(&mut table, &events(b"bc"), name);
    assert_eq!(shown(&table), named(&[("a", &[2]), ("b", &[1])]));
    assert_eq!((table.stats().lost_events, table.stats().entries), (2, 2));
}

#[test]
fn wrong_answers_cost_their_own_entry_and_long_labels_are_cut() {
    let feeds = vec![feed(0, Value::Number(number(0, 8)))];
    let limits = TableLimits { label_bytes: 4, ..TableLimits::default() };
    let mut table = table(vec![family("x_total", Kind::Counter)], vec![view(4, FIRST_BYTE, feeds)], limits);
    let one = 1u64.to_le_bytes();
    let snapshot = rows(&[([b'a', 0, 0, 0], &one), ([b'b', 0, 0, 0], &one), ([b'c', 0, 0, 0], &one)]);
    table.begin();
    table.observe(0, &snapshot).unwrap();
    let [a, b, c] = table.unseen(0).to_vec()[..] else { panic!() };
    table.answer(0, a, Answer::Series { labels: Labels::Named(&[]), bucket: None });
    table.answer(0, b, Answer::Unknown);
    table.answer(0, c, Answer::Series { labels: Labels::Named(&["longer\u{fffd}"]), bucket: None });
    table.settle(0, &snapshot).unwrap();
    table.finish();
    assert_eq!(shown(&table), named(&[("long", &[1])]));
    let stats = table.stats();
    assert_eq!((stats.refused, stats.trimmed, stats.replaced), (2, 1, 1));
}

#[test]
fn a_snapshot_of_another_shape_is_not_looked_at() {
    let feeds = vec![feed(0, Value::Number(number(0, 8)))];
    let mut table =
        table(vec![family("x_total", Kind::Counter)], vec![view(8, FIRST_BYTE, feeds)], TableLimits::default());
    table.begin();
    assert_eq!(table.observe(0, &rows(&[([0; 4], &[0; 8])])), Err(Misfit { view: 0 }));
}
