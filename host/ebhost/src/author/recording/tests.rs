//! Recordings that are written and read again, and the error of each mistake in one.

use std::{borrow::Cow, time::Duration};

use super::{contents::Event, *};
use ebhost_series::schema::{Part, View};
use ebhost_snapshot::{Keys, Snapshot};

fn event(cpu: u32, bytes: &[u8]) -> Event {
    Event { cpu, bytes: bytes.to_vec() }
}

/// Events of different lengths, some of which end in zeros or have no bytes at all.
fn events() -> Vec<Event> {
    vec![event(3, &[7, 0, 0, 9, 0, 0]), event(0, &[1, 0]), event(1, &[]), event(2, &[0, 0, 0])]
}

fn sample() -> Recording {
    let array = Snapshot {
        keys: Keys::Index,
        values: [[0; 8], [1, 0, 2, 0, 0, 0, 0, 0], [0; 8]].concat(),
        value_stride: 8,
        cpus: 1,
        len: 3,
        complete: true,
        ..Snapshot::default()
    };
    let hash = Snapshot {
        keys: Keys::Bytes { size: 2, bytes: vec![9, 9, 1, 2] },
        values: (0..32).collect(),
        value_stride: 8,
        cpus: 2,
        len: 2,
        complete: false,
        ..Snapshot::default()
    };
    let names = vec![((LookupTable::named("cgroup").unwrap(), Box::from([1u8, 0, 0, 0])), Some("/a\"b".to_owned()))];
    let sources = vec![
        ("array".into(), Contents::Table(array)),
        ("hash".into(), Contents::Table(hash)),
        ("events".into(), Contents::Events(events())),
    ];
    let reads = vec![Read { at: Duration::from_millis(5), sources }];
    Recording { package: "p".into(), architecture: Some("aarch64".into()), names, reads }
}

fn text(recording: &Recording) -> String {
    let mut out = Vec::new();
    recording.write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn table(contents: &Contents) -> &Snapshot {
    match contents {
        Contents::Table(snapshot) => snapshot,
        Contents::Events(_) => panic!("a table"),
    }
}

/// A view of events that are at least so long, or of a table with values of that size.
fn view(value_size: usize, key_size: usize) -> View {
    let identity = vec![ebhost_series::schema::Field { part: Part::Value, offset: 0, length: 1 }];
    View { source: "s".into(), key_size, value_size, identity, lookups: Vec::new(), columns: 0, feeds: Vec::new() }
}

#[test]
fn a_written_recording_is_read_again() {
    let (before, written) = (sample(), text(&sample()));
    let after = Recording::parse(&written).unwrap();
    assert_eq!(text(&after), written);
    assert_eq!((&after.names, &after.architecture), (&before.names, &before.architecture));
    let [array, hash] = [0, 1].map(|source| table(&after.reads[0].sources[source].1));
    assert_eq!(array.values, table(&before.reads[0].sources[0].1).values, "zeros come back");
    assert!(matches!(&hash.keys, Keys::Bytes { size: 2, bytes } if *bytes == [1, 2, 9, 9]), "in the keys' order");
    assert_eq!(hash.row(0), (16..32).collect::<Vec<u8>>());
    assert!(written.contains(r#"{"row":{"index":1,"values":["010002"]}}"#), "{written}");
}

/// A buffer was recorded as its first view saw it: a longer view made the replay panic, a shorter one lost events, and events without
/// bytes could not be replayed at all.
#[test]
fn each_view_of_a_recorded_buffer_sees_the_events_that_it_saw_live() {
    let after = Recording::parse(&text(&sample())).unwrap();
    let recorded = &after.reads[0].sources[2].1;
    assert!(matches!(recorded, Contents::Events(found) if *found == events()), "{recorded:?}");
    for (length, cpus, values) in [
        (0, &[3, 0, 1, 2][..], &[][..]),
        (2, &[3, 0, 2], &[7, 0, 1, 0, 0, 0]),
        (3, &[3, 2], &[7, 0, 0, 0, 0, 0]),
        (6, &[3], &[7, 0, 0, 9, 0, 0]),
        (7, &[], &[]),
    ] {
        let seen = recorded.snapshot(&view(length, 0)).expect("a view of events");
        let found = matches!(&seen.keys, Keys::Events { cpus: found } if found == cpus);
        assert!(found && seen.values == values && seen.len == cpus.len(), "{length} bytes: {seen:?}");
    }
    assert!(recorded.snapshot(&view(2, 4)).is_none(), "they are no table");
}

#[test]
fn a_table_is_shown_to_views_of_its_size_alone() {
    let recording = sample();
    let array = &recording.reads[0].sources[0].1;
    let seen = |value_size, key_size| array.snapshot(&view(value_size, key_size)).is_some();
    assert!(seen(8, 4) && seen(6, 4), "rounded up to 8");
    assert!(!seen(16, 4) && !seen(0, 4) && !seen(8, 0));
    assert!(matches!(array.snapshot(&view(8, 4)), Some(Cow::Borrowed(_))), "and is not copied");
}

#[test]
fn the_error_names_the_wrong_line() {
    let good = text(&sample());
    for (from, to, line, says) in [
        ("\"version\":1", "\"version\":2", 1, "found version 2"),
        ("cgroup", "cgroups", 2, "found the table `cgroups`"),
        ("\"010002\"", "\"01000\"", 5, "expected pairs of hex digits"),
        ("\"010002\"", "\"010002\",\"\"", 5, "found 2 values, expected 1"),
        ("\"index\":1", "\"index\":3", 5, "found no index below the 3 rows"),
        ("\"rows\":3", "\"rows\":99999999999", 4, "found 99999999999 rows"),
        ("\"at_ms\"", "\"at_s\"", 3, "unknown field `at_s`"),
        ("\"0102\"", "\"01\"", 7, "found a key of 1 bytes, expected 2"),
        ("\"length\":6,", "", 10, "found no length"),
        ("\"length\":6", "\"length\":2", 10, "found 4 bytes, expected at most the length, 2"),
    ] {
        assert!(good.contains(from), "{from}");
        let (found, why) = Recording::parse(&good.replacen(from, to, 1)).unwrap_err();
        assert!(found == line && why.contains(says), "{from}: {found}: {why}");
    }
    assert_eq!(Recording::parse("").unwrap_err().1, "found an empty file");
}

/// Rows with keys took memory that the line of their source had not announced, and a short line could name a huge event.
#[test]
fn a_short_file_cannot_take_more_memory_than_a_recording_may_have() {
    let good = text(&sample());
    let huge = (limits::RECORDING_BYTES / 2).to_string();
    for (from, to, line) in [
        ("\"value_stride\":8,\"cpus\":2", format!("\"value_stride\":{huge},\"cpus\":2"), 7),
        ("\"length\":6", format!("\"length\":{}", limits::RECORDING_BYTES), 10),
        ("\"length\":6", format!("\"length\":{}", u64::MAX), 10),
    ] {
        assert!(good.contains(from), "{from}");
        let (found, why) = Recording::parse(&good.replacen(from, &to, 1)).unwrap_err();
        assert!(found == line && why.contains("bytes in all"), "{to}: {found}: {why}");
    }
}
