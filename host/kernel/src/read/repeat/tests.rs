//! Reads of real maps, which need CAP_BPF.

use super::*;
use crate::{
    read::{MapHints, MapReader, pause::LONGEST},
    sys::MapAttr,
};
use ebhost_snapshot::ReadNumber;
use std::time::{Duration, Instant};

const LEN: usize = 1_500;

/// A map of this shape with `LEN` entries, whose values are one byte again and again; none: this process may not create maps.
fn filled(key_size: usize, value_size: usize) -> Option<Arc<KernelMap>> {
    filled_of(HASH, key_size, value_size)
}

const HASH: u32 = aya_obj::generated::bpf_map_type::BPF_MAP_TYPE_HASH as u32;
const ARRAY: u32 = aya_obj::generated::bpf_map_type::BPF_MAP_TYPE_ARRAY as u32;

fn filled_of(kind: u32, key_size: usize, value_size: usize) -> Option<Arc<KernelMap>> {
    let max_entries = if kind == ARRAY { LEN as u32 } else { 4_096 };
    let (key_size, value_size) = (key_size as u32, value_size as u32);
    let shape = MapShape { kind, key_size, value_size, max_entries, flags: 0 };
    let attr = MapAttr { shape, extra: 0, numa_node: 0, inner: None, types: None };
    let map = KernelMap::create("repeated", &attr).ok()?;
    let (key_size, value_size) = (key_size as usize, value_size as usize);
    let fill = |entry| map.update(&key_of(kind, entry, key_size), &vec![entry as u8; value_size]).unwrap();
    (0..LEN).for_each(fill);
    Some(Arc::new(map))
}

fn key_of(kind: u32, entry: usize, size: usize) -> Vec<u8> {
    if kind == ARRAY { (entry as u32).to_ne_bytes().to_vec() } else { key(entry, size) }
}

/// Counting compares the keys of each read unless the reader knows that they are those of the last one.
#[test]
fn a_batched_read_knows_whether_it_found_the_keys_of_the_last_one_again() {
    let until = || Instant::now() + Duration::from_secs(60);
    let Some(map) = filled(16, 8) else {
        eprintln!("skipped: a_batched_read_knows_whether_it_found_the_keys_of_the_last_one_again needs CAP_BPF");
        return;
    };
    let mut reader = MapReader::new("repeated", map.clone(), MapHints::default()).unwrap();
    if let super::super::ReadStrategy::Batches(batches) = &mut reader.strategy {
        (batches.repeats, batches.room) = (None, 600);
    }
    let mut read = || {
        let snapshot = reader.read(until()).unwrap();
        let Keys::Bytes { size, bytes } = &snapshot.keys else { panic!("a hash has keys") };
        (snapshot.complete_keys().unwrap(), bytes[..snapshot.len * size].to_vec(), snapshot.values[..8].to_vec())
    };
    let (keys, bytes, _) = read();
    (0..LEN).for_each(|entry| map.update(&key(entry, 16), &[9; 8]).unwrap());
    assert_eq!(read(), (keys, bytes.clone(), vec![9; 8]));

    // Another key in the place of one, one key less, and the first keys again.
    map.delete(&key(1_499, 16)).unwrap();
    map.update(&key(LEN, 16), &[9; 8]).unwrap();
    let (other, other_bytes, _) = read();
    assert!(other != keys && other.rows() == LEN && other_bytes != bytes);
    let is_listed = |bytes: &[u8], entry: usize| bytes.chunks_exact(16).any(|listed| listed == key(entry, 16));
    assert!(is_listed(&other_bytes, LEN) && !is_listed(&other_bytes, 1_499));
    map.delete(&key(LEN, 16)).unwrap();
    let (fewer, fewer_bytes, _) = read();
    assert!(fewer != other && fewer.rows() == LEN - 1 && !is_listed(&fewer_bytes, LEN));
    assert_eq!(read().0, fewer);
    map.update(&key(1_499, 16), &[9; 8]).unwrap();
    let (again, again_bytes, _) = read();
    assert!(again != keys && again.rows() == LEN && is_listed(&again_bytes, 1_499));
}

/// Counting fetches the numbers of all rows, and what it remembers of them, unless the reader knows which are others.
#[test]
fn a_batched_read_knows_which_values_are_others_than_in_the_last_one() {
    let until = || Instant::now() + Duration::from_secs(60);
    // An update by user space puts the entry of a hash before others with the same hash, so the values of an array are changed.
    for (kind, key_size, value_size) in [(ARRAY, 4, 8), (ARRAY, 4, 24), (HASH, 16, 12)] {
        let Some(map) = filled_of(kind, key_size, value_size) else {
            eprintln!("skipped: a_batched_read_knows_which_values_are_others_than_in_the_last_one needs CAP_BPF");
            return;
        };
        let mut reader = MapReader::new("repeated", map.clone(), MapHints::default()).unwrap();
        if let super::super::ReadStrategy::Batches(batches) = &mut reader.strategy {
            (batches.repeats, batches.room) = (None, 600);
        }
        // The rows that changed since the read before, as far as that is known, and the values.
        let mut last: Option<(Option<ReadNumber>, Vec<u8>)> = None;
        let mut read = || {
            let snapshot = reader.read(until()).unwrap();
            let changed = last.take().and_then(|(read, before)| {
                let changed: Vec<_> = snapshot.changes.since(read?)?.collect();
                let differs = |row: &usize| snapshot.row(*row) != &before[row * value_size..][..value_size];
                assert_eq!(changed, (0..LEN).filter(differs).collect::<Vec<_>>());
                Some(changed.len())
            });
            last = Some((snapshot.read, snapshot.values.clone()));
            changed
        };
        let set = |entries: &[usize], byte: u8| {
            let update = |entry: usize| map.update(&key_of(kind, entry, key_size), &vec![byte; value_size]).unwrap();
            entries.iter().copied().for_each(update);
        };
        assert_eq!((read(), read()), (None, Some(0)), "there is nothing to compare the first with");
        if kind == HASH {
            map.delete(&key(9, key_size)).unwrap();
            set(&[LEN, 6], 4);
            assert_eq!((read(), read()), (None, Some(0)), "other keys");
            continue;
        }
        set(&[0, 700, 1_499], 0x77);
        assert_eq!((read(), read()), (Some(3), Some(0)));

        // Where all change, some reads are not compared.
        let all: Vec<_> = (0..LEN).collect();
        set(&all, 1);
        assert!(read().is_some_and(|changed| changed > LEN / 2), "a few had this value before");
        set(&all, 2);
        assert_eq!(read(), None);
        set(&[5], 3);
        assert_eq!((read(), read()), (Some(1), Some(0)));
    }
}

fn key(entry: usize, size: usize) -> Vec<u8> {
    let mut key = vec![0xaa; size];
    key[size - 2..].copy_from_slice(&(entry as u16).to_le_bytes());
    key
}

fn is_read_again(reader: &mut MapReader) -> bool {
    let super::super::ReadStrategy::Batches(batches) = &mut reader.strategy else { panic!("a hash") };
    batches.has_read_again(&mut reader.snapshot, LEN)
}

fn assert_values(reader: &MapReader, expected: impl Fn(u16) -> u8) {
    let Keys::Bytes { size, bytes } = &reader.snapshot.keys else { panic!("a hash has keys") };
    assert_eq!(reader.snapshot.len, LEN);
    for (row, key) in bytes.chunks_exact(*size).take(LEN).enumerate() {
        let entry = u16::from_le_bytes([key[size - 2], key[size - 1]]);
        let value = reader.snapshot.row(row);
        assert!(value.iter().all(|byte| *byte == expected(entry)), "{entry}: {value:?} in {:?}", reader.shape());
    }
}

#[test]
fn keys_and_values_of_any_size_are_read_whole() {
    let until = || Instant::now() + Duration::from_secs(60);
    for (key_size, value_size) in [(2, 1), (3, 2), (4, 4), (5, 8), (7, 12), (8, 15), (13, 31), (16, 64), (64, 64)] {
        let Some(map) = filled(key_size, value_size) else {
            eprintln!("skipped: keys_and_values_of_any_size_are_read_whole needs CAP_BPF");
            return;
        };
        let mut reader = MapReader::new("repeated", map.clone(), MapHints::default()).unwrap();
        reader.read(until()).unwrap();
        assert_values(&reader, |entry| entry as u8);
        if cfg!(target_arch = "x86_64") {
            assert!(is_read_again(&mut reader), "keys of {key_size} bytes, values of {value_size}");
        }
        assert_values(&reader, |entry| entry as u8);

        // One entry more is another table, and so is one other key in the place of one.
        map.update(&key(LEN, key_size), &vec![1; value_size]).unwrap();
        assert!(!is_read_again(&mut reader));
        map.delete(&key(LEN, key_size)).unwrap();
        map.delete(&key(700, key_size)).unwrap();
        map.update(&key(LEN + 700, key_size), &vec![7; value_size]).unwrap();
        for _ in 0..LONGEST {
            assert!(!is_read_again(&mut reader));
        }
        reader.read(until()).unwrap();
        assert_values(&reader, |entry| if usize::from(entry) == LEN + 700 { 7 } else { entry as u8 });
    }
}
