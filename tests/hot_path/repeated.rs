//! Tables with the same keys in every scrape, which a program reads (see `host/kernel/src/read/repeat`).

use std::{
    collections::HashMap,
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use ebhost_tests::{Counting, Ebhost, KernelMap, key, needs};

use crate::{check::series, host};

/// More than a batch, and more than the buckets of one.
const ENTRIES: u64 = 5_003;

/// A host whose map `hash` has the ids from 0 on, each with its id for a value.
fn filled() -> (Ebhost, impl Sized, KernelMap) {
    let (host, folder) = host(&[("hash", 8_192)]);
    let map = KernelMap::of(host.pid(), "hash");
    let ids = || 0..ENTRIES;
    map.update_all(&ids().flat_map(key).collect::<Vec<_>>(), &ids().flat_map(u64::to_le_bytes).collect::<Vec<_>>());
    (host, folder, map)
}

fn scraped(host: &Ebhost) -> HashMap<u64, u64> {
    series(&host.scrape()).expect("a complete family")
}

/// Programs of the type `BPF_PROG_TYPE_SYSCALL` of a process.
fn reading_programs(host: &Ebhost) -> usize {
    let files = fs::read_dir(format!("/proc/{}/fdinfo", host.pid())).expect("it runs").flatten();
    let texts = files.filter_map(|file| fs::read_to_string(file.path()).ok());
    texts.filter(|text| text.lines().any(|line| line.split_whitespace().eq(["prog_type:", "31"]))).count()
}

#[test]
fn counts_of_a_table_that_gains_and_loses_keys_are_exact_in_every_scrape() {
    needs!(Root);
    let (host, _folder, map) = filled();
    let counting = Counting::of(&map);
    let mut expected: HashMap<u64, u64> = (0..ENTRIES).map(|id| (id, id)).collect();
    for round in 0..60 {
        counting.add(0, u32::try_from(2 * ENTRIES).expect("a small number"));
        expected.values_mut().for_each(|value| *value += 1);
        if round % 20 == 7 {
            let new = ENTRIES + round;
            assert!(map.update(&key(new), &5u64.to_le_bytes()));
            expected.insert(new, 5);
        }
        if round % 20 == 13 {
            map.delete(&key(round));
            expected.remove(&round);
        }
        assert!(scraped(&host) == expected, "round {round}");
    }
    if cfg!(target_arch = "x86_64") {
        assert_eq!(reading_programs(&host), 1);
    }
    host.stop();
}

/// An update gives the memory of an entry to whatever is updated next on that CPU.
#[test]
fn entries_that_are_replaced_while_they_are_read_keep_their_own_values() {
    needs!(Root);
    let (host, _folder, map) = filled();
    // Each pass sets the value of each id to its id and the number of the pass.
    let value = |pass: u64, id: u64| pass * 10_000 + id;
    let begun = Arc::new(AtomicU64::new(0));
    let stop = Arc::new(AtomicU64::new(0));
    let writer = thread::spawn({
        let (begun, stop) = (begun.clone(), stop.clone());
        move || {
            while stop.load(Ordering::SeqCst) == 0 {
                let pass = begun.fetch_add(1, Ordering::SeqCst) + 1;
                (0..ENTRIES).for_each(|id| assert!(map.update(&key(id), &value(pass, id).to_le_bytes())));
                // Scrapes in between find the same keys.
                thread::yield_now();
            }
        }
    });
    for scrape in 0..300 {
        let before = begun.load(Ordering::SeqCst);
        let found = scraped(&host);
        let after = begun.load(Ordering::SeqCst);
        assert_eq!(found.len() as u64, ENTRIES, "scrape {scrape}");
        for (id, found) in found {
            let (own, pass) = (found % 10_000, found / 10_000);
            assert!(
                own == id && (before.saturating_sub(1)..=after).contains(&pass),
                "scrape {scrape}: {id} is {found}"
            );
        }
    }
    stop.store(1, Ordering::SeqCst);
    writer.join().expect("the writer does not panic");
    host.stop();
}
