//! Readers with the faults of real exporters: the checks find each fault, and accept a correct reader.

use std::collections::HashMap;

use ebhost_tests::{Entries, KernelMap, needs};

use crate::{
    check::Check,
    host,
    writer::{Writers, fill},
};

/// Reads the map of a running host and returns series by id, as an exporter would.
type Reader = fn(&KernelMap) -> HashMap<u64, u64>;

/// The result of the checks after this number of reads while two writers run.
fn verdict(reader: Reader, reads: usize) -> Result<(), String> {
    let (host, _folder) = host(&[("hash", 4_096)]);
    let open = || KernelMap::of(host.pid(), "hash");
    let map = open();
    fill(&map);
    let _writers = Writers::none().and(open(), 500, Some(5_000)).and(open(), 500, None);
    let mut check = Check::default();
    (0..reads).try_for_each(|_| check.see(&reader(&map)))
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes"))
}

fn collected(entries: &Entries) -> HashMap<u64, u64> {
    let rows = entries.keys.chunks(16).zip(entries.values.chunks(8)).take(entries.len);
    let mut series = HashMap::new();
    for (key, value) in rows {
        // Values with equal labels are added up, as in exporters: a key that is read twice counts twice.
        *series.entry(number(key)).or_default() += number(value);
    }
    series
}

/// The walk of most exporters: get the next key, then look up its value. If the current key is deleted, the walk
/// restarts from the first.
fn key_by_key(map: &KernelMap) -> HashMap<u64, u64> {
    let (mut key, mut value, mut series) = ([0; 16], [0; 8], HashMap::new());
    let mut after: Option<[u8; 16]> = None;
    while map.next_key(after.as_ref().map(<[u8; 16]>::as_slice), &mut key) {
        if map.lookup(&key, &mut value) {
            *series.entry(number(&key)).or_default() += number(&value);
        }
        after = Some(key);
    }
    series
}

/// The same, but the whole map is abandoned if one entry is deleted before its value is read.
fn all_or_nothing(map: &KernelMap) -> HashMap<u64, u64> {
    let (mut key, mut value, mut series) = ([0; 16], [0; 8], HashMap::new());
    let (mut after, mut steps): (Option<[u8; 16]>, _) = (None, 0);
    while map.next_key(after.as_ref().map(<[u8; 16]>::as_slice), &mut key) && steps < 20_000 {
        if !map.lookup(&key, &mut value) {
            return HashMap::new();
        }
        series.insert(number(&key), number(&value));
        (after, steps) = (Some(key), steps + 1);
    }
    series
}

/// Reads batches until one is shorter than asked for; but the kernel returns whole hash buckets, so that is not the
/// end.
fn until_a_short_batch(map: &KernelMap) -> HashMap<u64, u64> {
    let mut entries = Entries::default();
    map.read_by(&mut entries, 64, |count, room| count < room);
    collected(&entries)
}

/// Reads the keys in one walk and the values in another.
fn keys_then_values(map: &KernelMap) -> HashMap<u64, u64> {
    let (mut keys, mut values) = (Entries::default(), Entries::default());
    map.read(&mut keys);
    map.read(&mut values);
    keys.len = keys.len.min(values.len);
    keys.values = values.values;
    collected(&keys)
}

fn right(map: &KernelMap) -> HashMap<u64, u64> {
    let mut entries = Entries::default();
    map.read_by(&mut entries, 64, |_, _| false);
    collected(&entries)
}

#[test]
fn the_checks_find_faulty_readers() {
    needs!(Root);
    let wrong: [(&str, Reader); 4] = [
        ("key by key", key_by_key),
        ("all or nothing", all_or_nothing),
        ("until a short batch", until_a_short_batch),
        ("keys, then values", keys_then_values),
    ];
    for (name, reader) in wrong {
        let why = verdict(reader, 1_000).expect_err(name);
        assert!(why.starts_with("entry ") || why.starts_with("the family "), "{name}: {why}");
    }
}

#[test]
fn the_checks_accept_a_correct_reader() {
    needs!(Root);
    assert_eq!(verdict(right, 300), Ok(()));
}
