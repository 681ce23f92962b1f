//! A table that replaces another: no counter decreases except by a reset to 0.

use std::sync::Arc;

use ebhost_snapshot::{Keys, Snapshot};

use super::cases::{
    FIRST_BYTE, event_table, events, family, feed, letter, named, number, rows, scrape, scrape_since, shown, started,
    view,
};
use crate::schema::*;
use crate::{Table, TableLimits};

/// A counter of the first number of a hash's values, by the first byte of its keys.
fn schema() -> Schema {
    let feeds = vec![feed(0, Value::Number(number(0, 8)))];
    Schema { families: vec![family("x_total", Kind::Counter)], views: vec![view(4, FIRST_BYTE, feeds)] }
}

fn table(schema: Schema) -> Table {
    Table::new(Arc::new(schema), TableLimits::default())
}

/// Replaces the table by one of another schema, as an exchanged component does.
fn exchange(table: &mut Table, schema: Schema) {
    let previous = std::mem::replace(table, self::table(schema));
    table.inherit(previous);
}

fn value(numbers: [u64; 2]) -> [u8; 16] {
    let mut value = [0; 16];
    value[..8].copy_from_slice(&numbers[0].to_le_bytes());
    value[8..].copy_from_slice(&numbers[1].to_le_bytes());
    value
}

/// A hash with these keys and their numbers.
fn hash(entries: &[(u8, [u64; 2])]) -> Snapshot {
    let values: Vec<_> = entries.iter().map(|(_, numbers)| value(*numbers)).collect();
    let all: Vec<_> = entries.iter().zip(&values).map(|((key, _), value)| ([*key, 0, 0, 0], &value[..])).collect();
    rows(&all)
}

#[test]
fn lowering_the_series_limit_does_not_make_a_counter_fall() {
    let mut table = Table::new(Arc::new(schema()), TableLimits { series: 3, ..TableLimits::default() });
    scrape(&mut table, &hash(&[(b'a', [1, 0]), (b'b', [2, 0]), (b'c', [3, 0]), (b'd', [4, 0])]), letter);
    // Most of what `other` counted is no longer in the map.
    scrape(&mut table, &hash(&[(b'a', [1, 0]), (b'b', [2, 0]), (b'c', [3, 0]), (b'e', [5, 0])]), letter);
    assert_eq!(shown(&table), named(&[("a", &[1]), ("b", &[2]), ("c", &[3]), ("other", &[9])]));
    let unchanged = Arc::new(schema());
    table.update(unchanged, TableLimits { series: 2, ..TableLimits::default() }).unwrap();
    scrape(&mut table, &hash(&[(b'a', [1, 0]), (b'b', [2, 0]), (b'c', [3, 0]), (b'e', [6, 0])]), letter);
    let other = shown(&table).into_iter().find(|(name, _)| name.contains("other")).unwrap();
    assert!(other.1[0] >= 10, "{other:?}");
    assert!(shown(&table).len() <= 3);
    // Raised again, there is room for the names; what was counted as `other` stays there.
    table.update(Arc::new(schema()), TableLimits::default()).unwrap();
    scrape(&mut table, &hash(&[(b'a', [1, 0]), (b'b', [2, 0]), (b'c', [3, 0]), (b'e', [7, 0])]), letter);
    let e = shown(&table).into_iter().find(|(name, _)| name.contains("\"e\"")).unwrap();
    assert_eq!(e.1, [0], "its last increase was counted before the answer came");
}

#[test]
fn nothing_is_lost_when_a_lower_limit_folds_series() {
    let mut table = table(schema());
    let snapshot = hash(&[(b'a', [1, 0]), (b'b', [2, 0]), (b'c', [3, 0]), (b'd', [4, 0])]);
    scrape_since(&mut table, &snapshot, 100.0, letter);
    table.update(Arc::new(schema()), TableLimits { series: 2, ..TableLimits::default() }).unwrap();
    scrape_since(&mut table, &snapshot, 200.0, letter);
    let series = shown(&table);
    assert!(series.len() <= 3 && series.iter().any(|(name, _)| name.contains("other")), "{series:?}");
    assert_eq!(series.iter().map(|(_, cells)| cells[0]).sum::<u64>(), 10, "{series:?}");
    assert!(started(&table).iter().all(|start| *start == 100.0));
    // A series that was there before does not grow by what others counted.
    table.update(Arc::new(schema()), TableLimits { series: 1, ..TableLimits::default() }).unwrap();
    let other =
        |table: &Table| shown(table).into_iter().find(|(name, _)| name.contains("other")).map(|(_, cells)| cells[0]);
    let before = other(&table);
    scrape_since(&mut table, &snapshot, 300.0, letter);
    assert_eq!(other(&table), before);
}

#[test]
fn mending_a_help_text_does_not_make_a_counter_fall() {
    let mut table = table(schema());
    scrape(&mut table, &hash(&[(b'a', [10, 0]), (b'b', [20, 0])]), letter);
    scrape(&mut table, &hash(&[(b'a', [12, 0])]), |_| panic!("it is labelled"));
    let mut mended = schema();
    mended.families[0].help = "Bytes.".into();
    table.update(Arc::new(mended), TableLimits::default()).unwrap();
    assert_eq!(table.families().next().unwrap().family().help, "Bytes.");
    assert_eq!(scrape(&mut table, &hash(&[(b'a', [13, 0])]), letter), 1, "it is asked about again");
    assert_eq!(shown(&table), named(&[("a", &[13])]));
}

#[test]
fn another_family_in_the_manifest_does_not_make_a_counter_fall() {
    let mut table = table(schema());
    let one = |_| Some("all".to_owned());
    scrape_since(&mut table, &hash(&[(b'a', [10, 1]), (b'b', [20, 2])]), 100.0, one);
    scrape_since(&mut table, &hash(&[(b'a', [11, 1])]), 200.0, one);
    assert_eq!(shown(&table), [("name=\"all\"".to_owned(), vec![31])]);
    let mut more = schema();
    more.families.push(family("y_total", Kind::Counter));
    more.views[0].feeds.push(feed(1, Value::Number(number(8, 8))));
    assert!(table.update(Arc::new(more.clone()), TableLimits::default()).is_err());
    exchange(&mut table, more);
    assert_eq!(shown(&table), [("name=\"all\"".to_owned(), vec![31])], "it is shown until it is labelled again");
    // The plugin is not up yet.
    let snapshot = hash(&[(b'a', [13, 3]), (b'c', [5, 7])]);
    let mut pending = table.scrape(300.0);
    pending.observe(0, &snapshot).unwrap();
    pending.label().settle().finish();
    assert_eq!(shown(&table), [("name=\"all\"".to_owned(), vec![31])]);
    scrape_since(&mut table, &snapshot, 400.0, one);
    // Entry `a` goes on from 11; the new family counts all that is in the map.
    assert_eq!(shown(&table), [("name=\"all\"".to_owned(), vec![38]), ("name=\"all\"".to_owned(), vec![10])]);
    assert_eq!(started(&table), [100.0, 100.0]);
    // An inherited series that nothing feeds any more ends.
    scrape_since(&mut table, &hash(&[]), 500.0, one);
    assert_eq!(shown(&table), []);
}

#[test]
fn series_that_the_new_component_names_otherwise_end() {
    let mut table = table(schema());
    scrape(&mut table, &hash(&[(b'a', [10, 0])]), letter);
    let mut more = schema();
    more.families.push(family("y_total", Kind::Counter));
    more.views[0].feeds.push(feed(1, Value::Number(number(8, 8))));
    exchange(&mut table, more);
    let upper = |identity: u8| letter(identity.to_ascii_uppercase());
    scrape(&mut table, &hash(&[(b'a', [12, 4])]), upper);
    assert_eq!(shown(&table), named(&[("A", &[2]), ("A", &[4])]));
}

#[test]
fn inherited_series_end_even_if_the_plugin_never_answers() {
    let mut table = table(schema());
    scrape(&mut table, &hash(&[(b'a', [10, 0])]), letter);
    let mut more = schema();
    more.families.push(family("y_total", Kind::Counter));
    more.views[0].feeds.push(feed(1, Value::Number(number(8, 8))));
    exchange(&mut table, more);
    for _ in 0..8 {
        assert_eq!(shown(&table), named(&[("a", &[10])]));
        let mut scrape = table.scrape(0.0);
        scrape.observe(0, &hash(&[(b'a', [12, 0])])).unwrap();
        scrape.label().settle().finish();
    }
    assert_eq!(shown(&table), []);
    // A late label brings what came since the entry was counted.
    scrape(&mut table, &hash(&[(b'a', [13, 0])]), letter);
    assert_eq!(shown(&table), named(&[("a", &[3]), ("a", &[0])]));
}

#[test]
fn a_histogram_with_other_bounds_begins_at_0() {
    let histogram = |bounds: &[f64]| {
        let slots = Slots { offset: 0, size: 8, sum: None };
        Schema {
            families: vec![family("x", Kind::Histogram(bounds.to_vec()))],
            views: vec![view(4, FIRST_BYTE, vec![feed(0, Value::Slots(slots))])],
        }
    };
    let mut table = table(histogram(&[1.0]));
    scrape(&mut table, &hash(&[(b'a', [10, 20])]), letter);
    assert_eq!(shown(&table), named(&[("a", &[10, 20])]));
    exchange(&mut table, histogram(&[2.0]));
    assert_eq!(shown(&table), [], "other bounds are another layout");
    scrape(&mut table, &hash(&[(b'a', [11, 25]), (b'b', [1, 2])]), letter);
    assert_eq!(shown(&table), named(&[("a", &[1, 5]), ("b", &[1, 2])]));
}

#[test]
fn a_counter_that_reads_another_number_does_not_jump() {
    let mut table = table(schema());
    scrape(&mut table, &hash(&[(b'a', [10, 1000])]), letter);
    let mut other = schema();
    other.views[0].feeds[0].value = Value::Number(number(8, 8));
    exchange(&mut table, other);
    scrape(&mut table, &hash(&[(b'a', [11, 1001])]), letter);
    assert_eq!(shown(&table), named(&[("a", &[10])]), "the number's present value is its baseline");
    scrape(&mut table, &hash(&[(b'a', [12, 1004])]), letter);
    assert_eq!(shown(&table), named(&[("a", &[13])]));
}

#[test]
fn entries_of_an_incomplete_reading_are_found_again_later() {
    let mut table = table(schema());
    let both = [(b'a', [10, 0]), (b'b', [20, 0])];
    scrape(&mut table, &hash(&both), letter);
    let mut more = schema();
    more.families.push(family("y_total", Kind::Counter));
    more.views[0].feeds.push(feed(1, Value::Number(number(8, 8))));
    exchange(&mut table, more.clone());
    let mut part = hash(&both[..1]);
    part.complete = false;
    scrape(&mut table, &part, letter);
    // Exchanged once more before every entry was found.
    more.families[1].labels = vec!["other".into()];
    exchange(&mut table, more);
    scrape(&mut table, &hash(&[(b'a', [10, 0]), (b'b', [21, 0])]), letter);
    let x: Vec<_> = shown(&table).into_iter().filter(|(name, _)| name.starts_with("name")).collect();
    assert_eq!(x, named(&[("a", &[10]), ("b", &[21])]));
}

#[test]
fn an_array_goes_on_where_it_was() {
    let identity = Field { part: Part::Value, offset: 4, length: 1 };
    let array = |extra: bool| {
        let mut schema = Schema {
            families: vec![family("x_total", Kind::Counter)],
            views: vec![view(4, identity, vec![feed(0, Value::Number(number(0, 4)))])],
        };
        if extra {
            schema.families.push(family("level", Kind::Gauge(Fold::Max)));
            schema.views[0].feeds.push(feed(1, Value::Number(number(0, 4))));
        }
        schema
    };
    let snapshot = |count: u8| Snapshot {
        keys: Keys::Index,
        values: vec![count, 0, 0, 0, b'a', 0, 0, 0],
        value_stride: 8,
        cpus: 1,
        len: 1,
        complete: true,
        ..Snapshot::default()
    };
    let mut table = table(array(false));
    scrape(&mut table, &snapshot(200), letter);
    // The count wraps while the table is exchanged: a reset.
    exchange(&mut table, array(true));
    scrape(&mut table, &snapshot(3), letter);
    assert_eq!(shown(&table), named(&[("a", &[203]), ("a", &[3])]));
}

#[test]
fn exchanging_a_component_does_not_reset_the_counters_of_events() {
    let mut table = event_table(TableLimits::default());
    let identity = Field { part: Part::Value, offset: 0, length: 1 };
    let skip_b = |identity| if identity == b'b' { None } else { letter(identity) };
    scrape(&mut table, &events(b"aaab"), skip_b);
    assert_eq!(shown(&table), named(&[("a", &[3])]));
    let more = Schema {
        families: vec![family("x_total", Kind::Counter), family("y_total", Kind::Counter)],
        views: vec![view(0, identity, vec![feed(1, Value::One), feed(0, Value::One)])],
    };
    exchange(&mut table, more);
    assert_eq!(shown(&table), named(&[("a", &[3])]));
    assert_eq!(scrape(&mut table, &events(b"a"), letter), 2, "identities are remembered and asked about");
    assert_eq!(shown(&table), named(&[("a", &[4]), ("b", &[1]), ("a", &[1]), ("b", &[0])]));
}

#[test]
fn tallies_go_on_in_the_table_that_replaces_another() {
    let mut table = Table::new(Arc::new(schema()), TableLimits { series: 0, ..TableLimits::default() });
    scrape(&mut table, &hash(&[(b'a', [10, 0])]), letter);
    assert_eq!(table.stats().folded, 1);
    let mut more = schema();
    more.families[0].labels = vec!["other".into()];
    exchange(&mut table, more);
    assert_eq!(table.stats().folded, 1);
    let mut restarted = self::table(schema());
    restarted.inherit_tallies(&table);
    assert_eq!(restarted.stats().folded, 1);
}

/// Events of CPUs above 0 were found only by chance: every test of inherited events had one CPU.
#[test]
fn the_counters_of_every_cpu_go_on_when_a_component_that_reads_events_is_exchanged() {
    let by_cpu = |help: &str| {
        let labels = vec!["name".into(), "cpu".into()];
        let family = Family { labels, help: help.into(), ..family("x_total", Kind::Counter) };
        let labels = vec![LabelSource::Column(0), LabelSource::Cpu];
        let identity = Field { part: Part::Value, offset: 0, length: 1 };
        let feeds = vec![Feed { family: 0, labels, value: Value::One }];
        Schema { families: vec![family], views: vec![view(0, identity, feeds)] }
    };
    let on_cpus =
        |cpus: &[u32]| Snapshot { keys: Keys::Events { cpus: cpus.to_vec() }, ..events(&vec![b'a'; cpus.len()]) };
    let block = |cpu: u32| format!("name=\"a\",cpu=\"{cpu}\"");
    let mut table = table(by_cpu("Before."));
    scrape(&mut table, &on_cpus(&[3, 1, 3]), letter);
    exchange(&mut table, by_cpu("After."));
    // The next event is of a lower CPU, so that it makes no room for those that were taken over.
    scrape(&mut table, &on_cpus(&[0]), letter);
    let mut found = shown(&table);
    found.sort();
    assert_eq!(found, [(block(0), vec![1]), (block(1), vec![1]), (block(3), vec![2])]);
}
