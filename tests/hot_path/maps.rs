//! Every type of map, and the corner cases of reading it.

use ebhost_tests::{Ebhost, KernelMap, key, needs};

use crate::{check::value, host};

/// The value of the series with this id.
fn of(host: &Ebhost, map: &str, id: u64) -> Option<u64> {
    let served = host.scrape();
    let samples = &served.families.get(&format!("ebhost_{map}_calls_total"))?.samples;
    samples.iter().find(|sample| sample.labels["id"] == id.to_string()).map(|sample| sample.value as u64)
}

fn put(map: &KernelMap, id: u64, number: u64) {
    assert!(map.update(&key(id), &number.to_le_bytes().repeat(map.cpus())), "there is room");
}

/// All types in one package, with sizes that are no multiple of a batch.
#[test]
fn every_map_type_is_read_completely() {
    needs!(Root);
    const ENTRIES: u64 = 5_003;
    let hashes = ["hash", "per_cpu_hash"];
    let arrays = ["array", "mapped_array", "per_cpu_array"];
    let all: Vec<_> = hashes.iter().chain(&arrays).map(|map| (*map, ENTRIES as u32)).collect();
    let (host, _folder) = host(&all);
    for name in hashes {
        let map = KernelMap::of(host.pid(), name);
        (0..ENTRIES).for_each(|id| put(&map, id, value(id)));
    }
    for name in arrays {
        let map = KernelMap::of(host.pid(), name);
        for slot in 0..ENTRIES {
            assert!(map.update(&(slot as u32).to_le_bytes(), &value(slot).to_le_bytes().repeat(map.cpus())));
        }
    }
    let cpus = KernelMap::of(host.pid(), "per_cpu_hash").cpus() as u64;
    let served = host.scrape();
    for (name, label) in hashes.iter().map(|name| (*name, "id")).chain(arrays.iter().map(|name| (*name, "slot"))) {
        let samples = &served.families[&format!("ebhost_{name}_calls_total")].samples;
        assert_eq!(samples.len() as u64, ENTRIES, "{name}");
        let times = if name.starts_with("per_cpu") { cpus } else { 1 };
        for sample in samples {
            let id: u64 = sample.labels[label].parse().expect("a number");
            assert_eq!(sample.value as u64, value(id) * times, "{name} {id}");
        }
    }
    host.stop();
}

/// A full LRU map evicts entries when others are inserted: the remaining entries are served correctly, the evicted ones
/// are not served.
#[test]
fn an_lru_map_that_evicts_is_served_correctly() {
    needs!(Root);
    let (host, _folder) = host(&[("lru", 1_000)]);
    let map = KernelMap::of(host.pid(), "lru");
    for round in 0..10u64 {
        (round * 700..round * 700 + 700).for_each(|id| put(&map, id, value(id)));
        let served = host.scrape();
        let samples = &served.families["ebhost_lru_calls_total"].samples;
        assert!(!samples.is_empty() && samples.len() <= 1_000, "{}", samples.len());
        let newest = round * 700 + 699;
        assert!(samples.iter().any(|sample| sample.labels["id"] == newest.to_string()), "{newest} was just put in");
        for sample in samples {
            let id: u64 = sample.labels["id"].parse().expect("a number");
            assert_eq!(sample.value as u64, value(id));
            assert!(map.lookup(&key(id), &mut [0; 8]), "{id} was served, and is not in the map");
        }
    }
    host.stop();
}

/// A hash bucket with more entries than fit into a batch: the kernel asks for a larger buffer (ENOSPC) during the walk,
/// and nothing is read twice because of it.
#[test]
fn a_hash_bucket_larger_than_a_batch_is_read() {
    needs!(Root);
    const BUCKETS: u32 = 8_192;
    const BUCKET: u32 = 5_000;
    const CROWD: usize = 4_500;
    let (host, _folder) = host(&[("crowded", BUCKETS)]);
    let map = KernelMap::of(host.pid(), "crowded");
    let in_bucket = |id: &u64| jhash(&key(*id)) & (BUCKETS - 1) == BUCKET;
    let crowd: Vec<u64> = (1_000..).filter(in_bucket).take(CROWD).collect();
    let all: Vec<u64> = (0..1_000).chain(crowd).collect();
    all.iter().for_each(|id| put(&map, *id, value(*id)));
    for _ in 0..3 {
        let served = host.scrape();
        let samples = &served.families["ebhost_crowded_calls_total"].samples;
        let mut found: Vec<(u64, u64)> = samples
            .iter()
            .map(|sample| (sample.labels["id"].parse().expect("a number"), sample.value as u64))
            .collect();
        found.sort_unstable();
        assert_eq!(found.len(), all.len());
        assert!(found.iter().zip(&all).all(|(found, id)| *found == (*id, value(*id))));
        assert_eq!(served.value("ebhost_map_read_errors_total", &[("plugin", "maps"), ("map", "crowded")]), Some(0.0));
    }
    host.stop();
}

/// The kernel's hash of a key of four words in a map without a seed (`jhash2`, by Bob Jenkins).
fn jhash(key: &[u8; 16]) -> u32 {
    let word = |at: usize| u32::from_le_bytes(key[at * 4..][..4].try_into().expect("4 bytes"));
    let start = 0xdead_beef_u32.wrapping_add(16);
    let [mut a, mut b, mut c] = [0, 1, 2].map(|at| start.wrapping_add(word(at)));
    // Each step is the step before with the three words rotated.
    for by in [4, 6, 8, 16, 19, 4] {
        a = a.wrapping_sub(c) ^ c.rotate_left(by);
        c = c.wrapping_add(b);
        [a, b, c] = [b, c, a];
    }
    a = a.wrapping_add(word(3));
    for by in [14, 11, 25, 16, 4, 14, 24] {
        c = (c ^ b).wrapping_sub(b.rotate_left(by));
        [a, b, c] = [b, c, a];
    }
    b // the last step's c, turned once more
}

/// A key that is deleted and inserted again begins a new series; one that remains counts on.
#[test]
fn a_key_that_is_inserted_again_starts_a_new_series() {
    needs!(Root);
    let (host, _folder) = host(&[("hash", 100)]);
    let map = KernelMap::of(host.pid(), "hash");
    let of = |id: u64| of(&host, "hash", id);
    put(&map, 1, 10);
    put(&map, 2, 10);
    assert_eq!((of(1), of(2)), (Some(10), Some(10)));
    map.delete(&key(1));
    put(&map, 2, 15);
    assert_eq!((of(1), of(2)), (None, Some(15)));
    put(&map, 1, 3);
    put(&map, 2, 16);
    assert_eq!((of(1), of(2)), (Some(3), Some(16)));
    host.stop();
}
