//! The contract's rules, one case each. `model_test` covers how they combine.

use std::sync::Arc;
use std::time::Duration;

use ebhost_metrics::{CellKind, FamilySeries, Layout};
use ebhost_snapshot::{Keys, Snapshot};

use crate::schema::*;
use crate::{Answer, ExemplarFields, Labels, ShapeMismatch, Table, TableLimits};

pub(super) fn number(offset: usize, size: usize) -> Number {
    Number { offset, size, encoding: Encoding::Unsigned }
}

pub(super) fn family(name: &str, kind: Kind) -> Family {
    let labels = vec!["name".into()];
    Family { name: name.into(), help: "Help.".into(), unit: String::new(), labels, kind, times: 1.0, per: 1.0 }
}

pub(super) fn feed(family: usize, value: Value) -> Feed {
    Feed { family, labels: vec![LabelSource::Column(0)], value }
}

pub(super) fn view(key_size: usize, identity: Field, feeds: Vec<Feed>) -> View {
    View { source: "map".into(), key_size, value_size: 8, identity: vec![identity], lookups: vec![], columns: 1, feeds }
}

pub(super) const FIRST_BYTE: Field = Field { part: Part::Key, offset: 0, length: 1 };

pub(super) fn table(families: Vec<Family>, views: Vec<View>, limits: TableLimits) -> Table {
    Table::new(Arc::new(Schema { families, views }), limits)
}

/// Rows of a hash map with keys of 4 bytes.
pub(super) fn rows(rows: &[([u8; 4], &[u8])]) -> Snapshot {
    Snapshot {
        keys: Keys::Bytes { size: 4, bytes: rows.iter().flat_map(|(key, _)| *key).collect() },
        values: rows.iter().flat_map(|(_, value)| value.to_vec()).collect(),
        value_stride: rows.first().map_or(8, |(_, value)| value.len()),
        cpus: 1,
        len: rows.len(),
        complete: true,
        ..Snapshot::default()
    }
}

/// A scrape of view 0; each identity's label is what `name` makes of its first byte, and its bucket the second.
pub(super) fn scrape(table: &mut Table, snapshot: &Snapshot, name: impl Fn(u8) -> Option<String>) -> usize {
    scrape_since(table, snapshot, 0.0, name)
}

/// The same after an earlier read at `since`.
pub(super) fn scrape_since(
    table: &mut Table,
    snapshot: &Snapshot,
    since: f64,
    name: impl Fn(u8) -> Option<String>,
) -> usize {
    let mut scrape = table.scrape(since);
    scrape.observe(0, snapshot).unwrap();
    let mut labelling = scrape.label();
    let unlabelled = labelling.unlabelled(0).to_vec();
    for &id in &unlabelled {
        let identity = labelling.identity_bytes(0, id).to_vec();
        let bucket = identity.get(1).map(|&bucket| u32::from(bucket));
        match name(identity[0]) {
            Some(label) => labelling.answer(0, id, Answer::Series { labels: Labels::Named(&[&label]), bucket }),
            None => labelling.answer(0, id, Answer::Skip),
        }
    }
    let mut settling = labelling.settle();
    settling.count(0, snapshot).unwrap();
    settling.finish();
    unlabelled.len()
}

pub(super) fn letter(identity: u8) -> Option<String> {
    Some(char::from(identity).to_string())
}

pub(super) fn shown(table: &Table) -> Vec<(String, Vec<u64>)> {
    let series =
        table.families().flat_map(|family| family.iter().map(|each| (each.labels, each.cells)).collect::<Vec<_>>());
    series.map(|(block, cells)| (String::from_utf8(block.to_vec()).unwrap(), cells.to_vec())).collect()
}

pub(super) fn named(series: &[(&str, &[u64])]) -> Vec<(String, Vec<u64>)> {
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
    let mut snapshot = Snapshot {
        keys: Keys::Index,
        values: vec![0; 80_000],
        value_stride: 8,
        cpus: 1,
        len: 10_000,
        complete: true,
        ..Snapshot::default()
    };
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

/// A bucket's count and the sum were read from the same bytes by every test, so exchanging them went unnoticed.
#[test]
fn a_bucket_counts_by_one_number_and_sums_another() {
    let value = Value::Bucket(Bucket { count: number(0, 4), sum: Some(number(4, 4)) });
    let identity = Field { part: Part::Key, offset: 0, length: 2 };
    let histogram = family("x", Kind::Histogram(vec![1.0, 2.0]));
    let mut table = table(vec![histogram], vec![view(4, identity, vec![feed(0, value)])], TableLimits::default());
    let both = |count: u32, sum: u32| [count.to_le_bytes(), sum.to_le_bytes()].concat();
    // Number 3 is behind the bucket above the last bound: the sum.
    let read = |table: &mut Table, first: &[u8], second: &[u8], sum: &[u8]| {
        scrape(table, &rows(&[([b'a', 0, 0, 0], first), ([b'a', 1, 0, 0], second), ([b'a', 3, 0, 0], sum)]), letter);
    };
    read(&mut table, &both(2, 300), &both(5, 7000), &both(11, 13));
    assert_eq!(shown(&table), named(&[("a", &[2, 5, 0, 13])]));
    read(&mut table, &both(3, 400), &both(9, 7001), &both(12, 20));
    assert_eq!(shown(&table), named(&[("a", &[3, 9, 0, 20])]));
}

/// Only one identity field was ever used, so the others could have been ignored.
#[test]
fn every_field_of_an_identity_counts_in_the_manifests_order() {
    let fields = [(Part::Value, 4, 1), (Part::Key, 2, 1), (Part::Key, 0, 2)];
    let identity = fields.map(|(part, offset, length)| Field { part, offset, length }).to_vec();
    let view = View { identity, ..view(4, FIRST_BYTE, vec![feed(0, Value::Number(number(0, 4)))]) };
    let mut table = table(vec![family("x_total", Kind::Counter)], vec![view], TableLimits::default());
    let value = |count: u8, name: u8| [count, 0, 0, 0, name, 0, 0, 0];
    let (one, two, four, eight) = (value(1, b'v'), value(2, b'v'), value(4, b'v'), value(8, b'w'));
    let keys = [*b"ab1-", *b"ab2-", *b"ac1-", *b"ab1+"];
    let snapshot = rows(&[(keys[0], &one), (keys[1], &two), (keys[2], &four), (keys[3], &eight)]);
    let read = |table: &mut Table, snapshot: &Snapshot| {
        let mut scrape = table.scrape(0.0);
        scrape.observe(0, snapshot).unwrap();
        let mut labelling = scrape.label();
        for id in labelling.unlabelled(0).to_vec() {
            let label = String::from_utf8(labelling.identity_bytes(0, id).to_vec()).unwrap();
            labelling.answer(0, id, Answer::Series { labels: Labels::Named(&[&label]), bucket: None });
        }
        let mut settling = labelling.settle();
        settling.count(0, snapshot).unwrap();
        settling.finish();
    };
    read(&mut table, &snapshot);
    assert_eq!(shown(&table), named(&[("v1ab", &[1]), ("v2ab", &[2]), ("v1ac", &[4]), ("w1ab", &[8])]));
    // The field in the value changes: the entry is another series, whose count began at 0.
    let (nine, three) = (value(9, b'v'), value(3, b'x'));
    read(&mut table, &rows(&[(keys[0], &nine), (keys[1], &two), (keys[2], &four), (keys[3], &three)]));
    assert_eq!(shown(&table), named(&[("v1ab", &[9]), ("v2ab", &[2]), ("v1ac", &[4]), ("x1ab", &[3])]));
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
    series.cumulate(series.iter().next().unwrap().cells, |count| cumulated.push(count));
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
    let signed = Number { offset: 0, size: 4, encoding: Encoding::Signed };
    let families = vec![family("least", Kind::Gauge(Fold::Min)), family("most", Kind::Gauge(Fold::Max))];
    let feeds = vec![feed(0, Value::Number(signed)), feed(1, Value::Number(signed))];
    let mut table = table(families, vec![view(4, FIRST_BYTE, feeds)], TableLimits::default());
    let mut snapshot = rows(&[([b'a', 0, 0, 0], &[5, 0, 0, 0, 0, 0, 0, 0])]);
    snapshot.values.extend([0xfe, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    snapshot.cpus = 2;
    scrape(&mut table, &snapshot, letter);
    assert_eq!(shown(&table), named(&[("a", &[-2i64 as u64]), ("a", &[5])]));
}

/// The label `cpu` was never tested on a gauge.
#[test]
fn a_gauge_with_a_cpu_label_folds_the_entries_of_each_cpu() {
    let per_cpu =
        |name: &str, fold| Family { labels: vec!["name".into(), "cpu".into()], ..family(name, Kind::Gauge(fold)) };
    let families = vec![per_cpu("sum", Fold::Sum), per_cpu("most", Fold::Max), per_cpu("least", Fold::Min)];
    let feeds = (0..3).map(|family| Feed {
        family,
        labels: vec![LabelSource::Column(0), LabelSource::Cpu],
        value: Value::Number(Number { offset: 0, size: 8, encoding: Encoding::Signed }),
    });
    let mut table = table(families, vec![view(4, FIRST_BYTE, feeds.collect())], TableLimits::default());
    let values = |numbers: [[i64; 2]; 2]| -> Snapshot {
        let bytes = numbers.map(|row| row.map(i64::to_le_bytes).concat());
        let snapshot = rows(&[([b'a', 0, 0, 0], &bytes[0]), ([b'a', 1, 0, 0], &bytes[1])]);
        Snapshot { value_stride: 8, cpus: 2, ..snapshot }
    };
    let found = |table: &Table| -> Vec<i64> { shown(table).iter().map(|(_, cells)| cells[0] as i64).collect() };
    scrape(&mut table, &values([[5, -7], [3, 20]]), letter);
    let blocks: Vec<_> = shown(&table).into_iter().map(|(block, _)| block).take(2).collect();
    assert_eq!(blocks, ["name=\"a\",cpu=\"0\"", "name=\"a\",cpu=\"1\""]);
    assert_eq!(found(&table), [8, 13, 5, 20, 3, -7]);
    // A gauge is the present value, whether it rose or fell.
    scrape(&mut table, &values([[1, 1], [-3, 2]]), letter);
    assert_eq!(found(&table), [-2, 3, 1, 2, -3, 1]);
}

/// A gauge of events is the last value of each identity, and it stays while no event comes.
#[test]
fn a_gauge_of_events_is_the_last_value_of_each() {
    let identity = Field { part: Part::Value, offset: 0, length: 2 };
    let signed = || Value::Number(Number { offset: 4, size: 4, encoding: Encoding::Signed });
    let families = vec![family("sum", Kind::Gauge(Fold::Sum)), family("least", Kind::Gauge(Fold::Min))];
    let mut table =
        table(families, vec![view(0, identity, vec![feed(0, signed()), feed(1, signed())])], TableLimits::default());
    let levels = |events_and_levels: &[([u8; 2], i32)]| {
        let mut snapshot = events(&vec![0; events_and_levels.len()]);
        for (row, (name, level)) in events_and_levels.iter().enumerate() {
            snapshot.values[row * 8..][..2].copy_from_slice(name);
            snapshot.values[row * 8 + 4..][..4].copy_from_slice(&level.to_le_bytes());
        }
        snapshot
    };
    let found = |table: &Table| -> Vec<i64> { shown(table).iter().map(|(_, cells)| cells[0] as i64).collect() };
    // Two identities of one label: the first has 9 and then 4.
    scrape(&mut table, &levels(&[(*b"a1", 9), (*b"a2", -5), (*b"a1", 4)]), letter);
    assert_eq!(found(&table), [-1, -5]);
    scrape(&mut table, &levels(&[]), letter);
    assert_eq!(found(&table), [-1, -5]);
    scrape(&mut table, &levels(&[(*b"a2", 6)]), letter);
    assert_eq!(found(&table), [10, 4]);
}

/// Events, each named by one byte.
pub(super) fn events(names: &[u8]) -> Snapshot {
    Snapshot {
        keys: Keys::Events { cpus: vec![0; names.len()] },
        values: names.iter().flat_map(|&name| [name, 0, 0, 0, 0, 0, 0, 0]).collect(),
        value_stride: 8,
        cpus: 1,
        len: names.len(),
        complete: true,
        ..Snapshot::default()
    }
}

/// A table that counts events by their names.
pub(super) fn event_table(limits: TableLimits) -> Table {
    let identity = Field { part: Part::Value, offset: 0, length: 1 };
    table(vec![family("x_total", Kind::Counter)], vec![view(0, identity, vec![feed(0, Value::One)])], limits)
}

#[test]
fn beyond_the_limit_the_least_recently_seen_event_identity_makes_way() {
    let mut table = event_table(TableLimits { event_entries: 2, ..TableLimits::default() });
    let name = |identity| if identity == b'-' { None } else { letter(identity) };
    // The oldest had no answer yet: its event is lost.
    scrape(&mut table, &events(b"-aab"), name);
    assert_eq!(shown(&table), named(&[("a", &[2]), ("b", &[1])]));
    assert_eq!((table.stats().lost_events, table.stats().evicted), (1, 1));
    // A series that makes way was counted; it begins again at 0.
    scrape(&mut table, &events(b"ac"), name);
    assert_eq!(shown(&table), named(&[("a", &[3]), ("c", &[1])]));
    scrape(&mut table, &events(b"b"), name);
    assert_eq!(shown(&table), named(&[("b", &[1]), ("c", &[1])]));
    assert_eq!((table.stats().lost_events, table.stats().evicted, table.stats().entries), (1, 3, 2));
}

#[test]
fn every_event_that_there_is_no_room_for_is_tallied_as_lost() {
    let mut table = event_table(TableLimits { event_entries: 0, ..TableLimits::default() });
    scrape(&mut table, &events(b"aab"), letter);
    assert_eq!(shown(&table), []);
    let stats = table.stats();
    assert_eq!((stats.lost_events, stats.evicted, stats.entries), (3, 0, 0));
}

/// The answer to an identity is kept for CPUs that have not written an event yet. It takes memory from the view's entries.
#[test]
fn answers_that_are_kept_for_other_cpus_leave_less_room_for_events() {
    let identity = Field { part: Part::Value, offset: 0, length: 1 };
    let family = Family { labels: vec!["name".into(), "cpu".into()], ..family("x_total", Kind::Counter) };
    let labels = vec![LabelSource::Column(0), LabelSource::Cpu];
    let feeds = vec![Feed { family: 0, labels, value: Value::One }];
    let limits = TableLimits { memory_bytes: 4000, ..TableLimits::default() };
    let entries_beside_a_label_of = |bytes: usize| {
        let mut table = table(vec![family.clone()], vec![view(0, identity, feeds.clone())], limits);
        scrape(&mut table, &events(b"a"), |_| Some("x".repeat(bytes)));
        scrape(&mut table, &events(&Vec::from_iter(0..90)), |_| None);
        let stats = table.stats();
        assert!(stats.memory_bytes <= 4000, "{stats:?}");
        stats.entries
    };
    let (with_short, with_long) = (entries_beside_a_label_of(1), entries_beside_a_label_of(1000));
    assert!(with_long > 10 && with_long + 5 < with_short, "{with_long} and {with_short} entries");
}

#[test]
fn skipped_event_identities_make_way_before_labelled_ones() {
    let mut table = event_table(TableLimits { event_entries: 2, ..TableLimits::default() });
    let name = |identity| if identity == b'-' { None } else { letter(identity) };
    scrape(&mut table, &events(b"a-"), name);
    scrape(&mut table, &events(b"b"), name);
    assert_eq!(shown(&table), named(&[("a", &[1]), ("b", &[1])]));
    assert_eq!((table.stats().lost_events, table.stats().evicted), (0, 0));
}

#[test]
fn an_event_identity_that_was_not_seen_for_its_time_to_live_ends() {
    let limits = TableLimits { event_time_to_live: Duration::from_secs(100), ..TableLimits::default() };
    let mut table = event_table(limits);
    scrape_since(&mut table, &events(b"ab"), 1000.0, letter);
    scrape_since(&mut table, &events(b"b"), 1050.0, letter);
    scrape_since(&mut table, &events(b""), 1100.0, letter);
    assert_eq!(shown(&table), named(&[("a", &[1]), ("b", &[2])]));
    scrape_since(&mut table, &events(b""), 1101.0, letter);
    assert_eq!(shown(&table), named(&[("b", &[2])]));
    assert_eq!((table.stats().expired, table.stats().entries), (1, 1));
    // Seen again, it begins at 0.
    scrape_since(&mut table, &events(b"a"), 1102.0, letter);
    assert_eq!(shown(&table), named(&[("a", &[1]), ("b", &[2])]));
}

#[test]
fn negative_observations_go_into_the_bucket_below_their_bound() {
    let identity = Field { part: Part::Value, offset: 0, length: 1 };
    let value = Value::Observation(Number { offset: 4, size: 4, encoding: Encoding::Signed });
    let histogram = family("x", Kind::Histogram(vec![-10.0, 0.0, 10.0]));
    let mut table = table(vec![histogram], vec![view(0, identity, vec![feed(0, value)])], TableLimits::default());
    let mut snapshot = events(b"aaaa");
    for (row, number) in [-11i32, -5, 7, 20].into_iter().enumerate() {
        snapshot.values[row * 8 + 4..][..4].copy_from_slice(&number.to_le_bytes());
    }
    scrape(&mut table, &snapshot, letter);
    assert_eq!(shown(&table), named(&[("a", &[1, 1, 1, 1, 11])]));
    assert_eq!(table.families().next().unwrap().layout().sum_kind(), Some(CellKind::I64));
}

/// Exemplars of the only family: label, bucket, first byte of the trace and of the span.
fn exemplars(table: &Table) -> Vec<(String, usize, u8, Option<u8>)> {
    let family = table.families().next().unwrap();
    let of_series = |each: ebhost_metrics::Series<'_>| {
        let label = String::from_utf8_lossy(each.labels).into_owned();
        let found = move |bucket| {
            let exemplar = family.exemplar(&each, bucket)?;
            Some((label.clone(), bucket, exemplar.trace_id[0], exemplar.span_id.map(|id| id[0])))
        };
        (0..family.layout().buckets()).filter_map(found).collect::<Vec<_>>()
    };
    family.iter().flat_map(of_series).collect()
}

#[test]
fn the_last_observation_of_a_trace_is_its_buckets_exemplar() {
    let identity = Field { part: Part::Value, offset: 0, length: 1 };
    let histogram = family("x", Kind::Histogram(vec![10.0]));
    let observed = View { value_size: 32, ..view(0, identity, vec![feed(0, Value::Observation(number(4, 4)))]) };
    let mut table = table(vec![histogram], vec![observed], TableLimits::default());
    table.record_exemplars(&[ExemplarFields { view: 0, trace_id: 8, span_id: Some(24) }], 3);
    table.note_reading(1_700_000_000.25);
    let event = |name: u8, number: u8, trace: u8, span: u8| {
        let mut event = vec![0; 32];
        (event[0], event[4], event[8], event[24]) = (name, number, trace, span);
        event
    };
    let scraped = |table: &mut Table, all: &[Vec<u8>], name: fn(u8) -> Option<String>| {
        let keys = Keys::Events { cpus: vec![0; all.len()] };
        let snapshot = Snapshot {
            keys,
            values: all.concat(),
            value_stride: 32,
            cpus: 1,
            len: all.len(),
            complete: true,
            ..Snapshot::default()
        };
        scrape(table, &snapshot, name)
    };
    let all = [event(b'a', 5, 1, 7), event(b'a', 6, 2, 0), event(b'a', 99, 3, 9), event(b'a', 7, 0, 9)];
    scraped(&mut table, &all, |_| None);
    assert!(exemplars(&table).is_empty(), "the series are not known yet");
    table.request_again(0, |_| true);
    scraped(&mut table, &[], letter);
    let a = "name=\"a\"".to_owned();
    assert_eq!(exemplars(&table), [(a.clone(), 0, 2, None), (a.clone(), 1, 3, Some(9))]);
    let family = table.families().next().unwrap();
    let read_at = family.exemplar(&family.iter().next().unwrap(), 0).map(|exemplar| exemplar.unix_ms);
    assert_eq!(read_at, Some(1_700_000_000_250), "when the events were read");
    scraped(&mut table, &[event(b'a', 5, 4, 1), event(b'b', 5, 5, 1), event(b'c', 5, 6, 1)], letter);
    let b = "name=\"b\"".to_owned();
    let expected = [(a.clone(), 0, 4, Some(1)), (a, 1, 3, Some(9)), (b, 0, 5, Some(1))];
    assert_eq!(exemplars(&table), expected, "there is no room for a fourth bucket");
    table.record_exemplars(&[], 3);
    assert_eq!(exemplars(&table), expected, "what was shown stays");
}

/// Seconds at which each series was 0.
pub(super) fn started(table: &Table) -> Vec<f64> {
    let starts = |family: FamilySeries<'_>| {
        family.iter().map(|each| family.start_seconds(&each).unwrap_or_default()).collect::<Vec<_>>()
    };
    table.families().flat_map(starts).collect()
}

#[test]
fn a_counter_that_was_labelled_late_began_when_its_entry_was_first_seen() {
    let feeds = vec![feed(0, Value::Number(number(0, 8)))];
    let mut table =
        table(vec![family("x_total", Kind::Counter)], vec![view(4, FIRST_BYTE, feeds)], TableLimits::default());
    let value = |n: u64| n.to_le_bytes();
    let (five, six) = (value(5), value(6));
    scrape_since(&mut table, &rows(&[([b'a', 0, 0, 0], &five)]), 100.0, |_| None);
    table.request_again(0, |_| true);
    scrape_since(&mut table, &rows(&[([b'a', 0, 0, 0], &six), ([b'b', 0, 0, 0], &six)]), 200.0, letter);
    assert_eq!(shown(&table), named(&[("a", &[6]), ("b", &[6])]));
    assert_eq!(started(&table), [100.0, 200.0]);
    // An identity that was counted until now feeds its new series from now on.
    table.request_again(0, |identity| identity == b"a");
    let rename = |_| Some("c".to_owned());
    scrape_since(&mut table, &rows(&[([b'a', 0, 0, 0], &six), ([b'b', 0, 0, 0], &six)]), 300.0, rename);
    assert_eq!(shown(&table), named(&[("b", &[6]), ("c", &[0])]));
    assert_eq!(started(&table), [200.0, 300.0]);
}

#[test]
fn a_hash_with_more_rows_than_the_memory_limit_allows_is_counted_in_part() {
    let feeds = vec![feed(0, Value::Number(number(0, 8)))];
    let views = vec![view(4, Field { part: Part::Key, offset: 0, length: 4 }, feeds)];
    let mut table = table(
        vec![family("x_total", Kind::Counter)],
        views,
        TableLimits { memory_bytes: 2000, ..TableLimits::default() },
    );
    let one = 1u64.to_le_bytes();
    let two = 2u64.to_le_bytes();
    let keys: Vec<[u8; 4]> = (0..100u8).map(|key| [key, 0, 0, 0]).collect();
    let all = |value| rows(&keys.iter().map(|key| (*key, value)).collect::<Vec<_>>());
    let label = |identity: u8| Some(format!("{}", identity % 2));
    scrape(&mut table, &all(&one[..]), label);
    let stats = table.stats();
    assert!(stats.entries > 10 && stats.entries + stats.rows_left_out == 100, "{stats:?}");
    assert!(stats.memory_bytes <= 2000, "{stats:?}");
    let counted = |table: &Table| shown(table).iter().map(|(_, cells)| cells[0]).sum::<u64>();
    assert_eq!(counted(&table), stats.entries as u64);
    // The same entries are counted in the next scrape, in whatever order they come.
    let mut reversed: Vec<_> = keys.iter().rev().map(|key| (*key, &two[..])).collect();
    scrape(&mut table, &rows(&reversed), label);
    assert_eq!(counted(&table), 2 * stats.entries as u64);
    // Room that entries leave is used.
    reversed.truncate(95);
    let before = counted(&table);
    scrape(&mut table, &rows(&reversed[..50]), label);
    assert_eq!(table.stats().entries, stats.entries);
    assert!(counted(&table) > before);
}

/// 256 views of a map of 100 000 entries took 0.5 GB for rows that had no entry.
#[test]
fn views_that_there_is_no_memory_for_take_none() {
    let feeds = vec![feed(0, Value::Number(number(0, 8)))];
    let views = vec![view(4, Field { part: Part::Key, offset: 0, length: 4 }, feeds); 8];
    let limits = TableLimits { memory_bytes: 20_000, ..TableLimits::default() };
    let mut table = table(vec![family("x_total", Kind::Counter)], views, limits);
    let one = 1u64.to_le_bytes();
    let keys: Vec<[u8; 4]> = (0..100u8).map(|key| [key, 0, 0, 0]).collect();
    let snapshot = rows(&keys.iter().map(|key| (*key, &one[..])).collect::<Vec<_>>());
    for _ in 0..3 {
        let mut scrape = table.scrape(0.0);
        (0..8).for_each(|view| scrape.observe(view, &snapshot).unwrap());
        let mut settling = scrape.label().settle();
        (0..8).for_each(|view| settling.count(view, &snapshot).unwrap());
        settling.finish();
        let stats = table.stats();
        assert_eq!(stats.entries + stats.rows_left_out, 800, "{stats:?}");
        assert!(stats.entries > 100 && stats.memory_bytes <= 20_000, "{stats:?}");
    }
}

#[test]
fn an_array_with_more_rows_than_the_memory_limit_allows_is_counted_in_part() {
    let feeds = vec![feed(0, Value::Number(number(0, 4)))];
    let identity = Field { part: Part::Value, offset: 4, length: 1 };
    let limits = TableLimits { memory_bytes: 2000, ..TableLimits::default() };
    let mut table = table(vec![family("x_total", Kind::Counter)], vec![view(4, identity, feeds)], limits);
    let snapshot = Snapshot {
        keys: Keys::Index,
        values: [1, 0, 0, 0, b'a', 0, 0, 0].repeat(100),
        value_stride: 8,
        cpus: 1,
        len: 100,
        complete: true,
        ..Snapshot::default()
    };
    for _ in 0..2 {
        scrape(&mut table, &snapshot, letter);
        let stats = table.stats();
        assert!(stats.entries > 10 && stats.entries + stats.rows_left_out == 100, "{stats:?}");
        assert_eq!(shown(&table), named(&[("a", &[stats.entries as u64])]));
    }
}

/// 10 000 series with labels of 32 KB were an answer of 20 GB: it was never finished, and no other package was served.
#[test]
fn label_sets_that_would_make_an_answer_too_long_are_folded() {
    let histogram = Kind::Histogram((0..63).map(f64::from).collect());
    let slots = Value::Slots(Slots { offset: 0, size: 8, sum: None });
    let mut view = view(4, FIRST_BYTE, vec![feed(0, slots)]);
    view.value_size = 64 * 8;
    let limits = TableLimits { exposition_bytes: 1 << 20, label_bytes: 1024, ..TableLimits::default() };
    let mut table = table(vec![family("x_seconds", histogram)], vec![view], limits);
    let one: Vec<u8> = 1u64.to_le_bytes().repeat(64);
    let keys: Vec<[u8; 4]> = (0..100u8).map(|key| [key, 0, 0, 0]).collect();
    let some = |keys: &[[u8; 4]]| rows(&keys.iter().map(|key| (*key, &one[..])).collect::<Vec<_>>());
    let label = |identity: u8| Some(format!("{identity:01000}"));
    let counted = |table: &Table| shown(table).iter().map(|(_, cells)| cells[0]).sum::<u64>();
    scrape(&mut table, &some(&keys), label);
    let stats = table.stats();
    assert!(stats.series > 10 && stats.series < 20, "{stats:?}");
    assert!(stats.exposition_bytes > 1 << 19 && stats.exposition_bytes <= 1 << 20, "{stats:?}");
    assert_eq!(table.exposition_bytes(), stats.exposition_bytes);
    assert_eq!((stats.folded, stats.folded_for_exposition), (101 - stats.series as u64, stats.folded), "{stats:?}");
    assert_eq!(counted(&table), 100, "nothing is lost");
    // Asked again, each series keeps its name, although there is room for none.
    let before = shown(&table);
    table.request_again(0, |_| true);
    scrape(&mut table, &some(&keys), label);
    assert_eq!(shown(&table), before);
    // Room that series leave is used.
    scrape(&mut table, &some(&keys[..1]), label);
    let left = table.stats();
    assert!(left.series == 1 && left.exposition_bytes < stats.exposition_bytes / 8, "{left:?}");
    scrape(&mut table, &some(&keys[..10]), label);
    assert_eq!((table.stats().series, table.stats().folded), (10, 2 * stats.folded), "ten have room");
}

#[test]
fn a_manifest_whose_fixed_series_would_make_an_answer_too_long_is_refused() {
    let histogram = Kind::Histogram((0..512).map(f64::from).collect());
    let fixed = |family| Feed {
        family,
        labels: vec![LabelSource::Fixed("x".repeat(1 << 10))],
        value: Value::Slots(Slots { offset: 0, size: 8, sum: None }),
    };
    let families = (0..256).map(|index| family(&format!("x{index}_seconds"), histogram.clone())).collect();
    let schema = Schema { families, views: vec![view(4, FIRST_BYTE, (0..256).map(fixed).collect())] };
    let limits = TableLimits { exposition_bytes: 36 << 20, ..TableLimits::default() };
    let error = limits.check(&schema).unwrap_err();
    assert!(error.found > 2 * error.expected, "{error}");
    assert!(error.to_string().contains("in an answer") && error.to_string().contains("limits.series"), "{error}");
    let limits = TableLimits { exposition_bytes: 1 << 30, ..limits };
    assert_eq!(limits.check(&schema), Ok(()));
    assert!(TableLimits { cpus: 1024, ..limits }.check(&schema).is_ok(), "no series by CPU");
}

#[test]
fn a_manifest_of_long_texts_is_refused_before_memory_is_taken() {
    let text = LabelSource::Fixed("x".repeat(1 << 20));
    let feeds = vec![Feed { family: 0, labels: vec![text], value: Value::Number(number(0, 8)) }; 40];
    let schema = Schema { families: vec![family("x_total", Kind::Counter)], views: vec![view(4, FIRST_BYTE, feeds)] };
    let limits = TableLimits { memory_bytes: 32 << 20, ..TableLimits::default() };
    let error = limits.check(&schema).unwrap_err();
    assert!(error.found > error.expected && error.to_string().contains("limits.series"), "{error}");
}

/// The limit of a package's memory is checked before its table is made, by the bytes that its schema will take.
#[test]
fn a_schema_takes_its_texts_the_plans_of_its_feeds_and_its_fixed_series() {
    let counter = Family { unit: "bytes".into(), ..family("x_total", Kind::Counter) };
    let families = vec![counter, family("y", Kind::Histogram(vec![1.0, 2.0]))];
    let fixed = Feed {
        family: 1,
        labels: vec![LabelSource::Fixed("all".into())],
        value: Value::Slots(Slots { offset: 0, size: 8, sum: None }),
    };
    let feeds = vec![feed(0, Value::Number(number(0, 8))), fixed];
    let schema = Schema { families, views: vec![view(4, FIRST_BYTE, feeds)] };
    let error = TableLimits { memory_bytes: 0, ..TableLimits::default() }.check(&schema).unwrap_err();
    // Name, help, unit and the label `name`.
    let texts = (7 + 5 + 5 + 4) + (1 + 5 + 4);
    // A feed is 256 bytes, 24 for each of its cells, and its fixed texts; a fixed series has 8 for each cell.
    let feeds = (256 + 24) + (256 + 3 + 3 * 24 + 3 * 8);
    assert_eq!(error.found, texts + feeds);
}

#[test]
fn a_paused_scrape_is_not_resumed_after_another_one() {
    let mut table = event_table(TableLimits::default());
    let first = table.scrape(0.0).pause();
    let second = table.scrape(0.0).pause();
    assert!(table.resume(first).is_none());
    let mut labelling = table.resume(second).unwrap().settle();
    assert_eq!(labelling.count(0, &events(b"a")), Err(ShapeMismatch { view: 0 }), "it was not observed");
    labelling.finish();
}

#[test]
fn wrong_answers_cost_their_own_entry_and_long_labels_are_cut() {
    let feeds = vec![feed(0, Value::Number(number(0, 8)))];
    let limits = TableLimits { label_bytes: 4, ..TableLimits::default() };
    let mut table = table(vec![family("x_total", Kind::Counter)], vec![view(4, FIRST_BYTE, feeds)], limits);
    let one = 1u64.to_le_bytes();
    let snapshot = rows(&[([b'a', 0, 0, 0], &one), ([b'b', 0, 0, 0], &one), ([b'c', 0, 0, 0], &one)]);
    let mut scrape = table.scrape(0.0);
    scrape.observe(0, &snapshot).unwrap();
    let mut labelling = scrape.label();
    let [a, b, c] = labelling.unlabelled(0).to_vec()[..] else { panic!() };
    labelling.answer(0, a, Answer::Series { labels: Labels::Named(&[]), bucket: None });
    labelling.answer(0, b, Answer::Unknown);
    labelling.answer(0, c, Answer::Series { labels: Labels::Named(&["longer\u{fffd}"]), bucket: None });
    let mut settling = labelling.settle();
    settling.count(0, &snapshot).unwrap();
    settling.finish();
    assert_eq!(shown(&table), named(&[("long", &[1])]));
    let stats = table.stats();
    assert_eq!((stats.refused, stats.trimmed, stats.replaced), (2, 1, 1));
}

#[test]
fn a_snapshot_of_another_shape_is_refused() {
    let feeds = vec![feed(0, Value::Number(number(0, 8)))];
    let mut table =
        table(vec![family("x_total", Kind::Counter)], vec![view(8, FIRST_BYTE, feeds)], TableLimits::default());
    let mut scrape = table.scrape(0.0);
    assert_eq!(scrape.observe(0, &rows(&[([0; 4], &[0; 8])])), Err(ShapeMismatch { view: 0 }));
}
