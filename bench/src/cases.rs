//! The measured maps, and the states in which they are scraped.

use std::time::Duration;

use ebhost_tests::{Entries, KernelMap};

use crate::{
    host::{Accepted, Host, Labeller, Spent, between, threads, timed},
    load::{Filled, count_array},
    native::Pair,
    report::{Measured, Round, median, text},
};

/// Deletions and insertions per second in the last state.
const CHURN: u32 = 5_000;

/// The row of the map `hash` with the builtin component.
pub(crate) const BUILTIN: &str = "hash (builtin)";

/// Measures a hash map, in which every key has a series of its own, in all states.
pub(crate) fn hash(map: &str, entries: usize, labeller: Labeller) {
    let mut host = Host::reading(map, entries + 1024, labeller);
    let mut filled = Filled::new(host.map(map), entries);
    let mut read = Entries::default();
    let mut pair = (map == "hash" && labeller == Labeller::Own).then(|| Pair::new(entries + entries / 5));
    // More rounds for small maps: they are fast, and a short disturbance of the machine affects them more.
    let rounds = (1_000_000 / entries).clamp(9, 101);
    let row = match labeller {
        Labeller::Own => map,
        Labeller::Builtin => BUILTIN,
    };
    // The first scrape creates the series; the second one establishes their order.
    (0..3).for_each(|_| _ = host.scrape());
    if let Some(pair) = &mut pair {
        filled.map.read(&mut read);
        (0..3).for_each(|round| _ = pair.scrape(&read, round));
    }

    let mut measure = |state, rounds: usize, host: &mut Host, filled: &mut Filled, change: &dyn Fn(&mut Filled)| {
        let mut pairs = Vec::new();
        let measured = (0..rounds).map(|round| {
            change(filled);
            let done = one(host, &filled.map, &mut read);
            if let Some(pair) = &mut pair {
                let (sandboxed, native) = pair.scrape(&read, round);
                pairs.push((sandboxed + done.floor, native + done.floor));
            }
            done
        });
        let rounds: Vec<Round> = measured.collect();
        let both = (!pairs.is_empty())
            .then(|| (median(pairs.iter().map(|pair| pair.0)), median(pairs.iter().map(|pair| pair.1))));
        show(row, entries, state, rounds, both, host);
    };
    measure("steady", rounds, &mut host, &mut filled, &|filled| filled.count());
    measure("1 % new", rounds, &mut host, &mut filled, &|filled| {
        filled.count();
        filled.replace(entries / 100);
    });
    measure("all new", rounds, &mut host, &mut filled, &|filled| filled.replace(entries));
    // The guest time of a package in one scrape is limited: some of very many new keys are labelled later, without losing counts.
    let waiting = host.own("ebhost_plugin_unlabelled");
    if waiting > 0.0 {
        text(&format!("<!-- {waiting} of {entries} keys had no labels yet when the last of these scrapes ended -->"));
        (0..10).for_each(|_| _ = host.scrape());
    }

    (0..3).for_each(|_| _ = host.scrape());
    let second = KernelMap::of(host.pid(), map);
    let churning = filled.churned(CHURN);
    let rounds: Vec<Round> = (0..rounds).map(|_| one(&mut host, &second, &mut read)).collect();
    churning.stop();
    show(row, entries, "5 000 del+ins/s", rounds, None, &host);
}

/// Measures an array in shared memory.
pub(crate) fn mapped_array(entries: usize) {
    let map = "mapped_array";
    let mut host = Host::reading(map, entries, Labeller::Own);
    let memory = host.map(map).memory();
    let mut words = Vec::new();
    (0..3).for_each(|_| _ = host.scrape());
    let round = |_| {
        count_array(&memory);
        let mut floor = || timed(|| memory.read(&mut words));
        let before = floor();
        let (spent, bytes) = scraped(&mut host);
        Round { floor: (before + floor()) / 2, spent, bytes }
    };
    let rounds: Vec<Round> = (0..21).map(round).collect();
    show(map, entries, "steady", rounds, None, &host);
}

/// One scrape, and the floor as the mean of a read of the map before it and one after it.
fn one(host: &mut Host, map: &KernelMap, read: &mut Entries) -> Round {
    let before = timed(|| map.read(read));
    let (spent, bytes) = scraped(host);
    let after = timed(|| map.read(read));
    Round { floor: (before + after) / 2, spent, bytes }
}

/// Scrapes once. Returns what it cost, and the bytes of the response.
pub(crate) fn scraped(host: &mut Host) -> (Spent, usize) {
    loop {
        let (before, threads) = (host.spent(), threads(host.pid()));
        let bytes = host.scrape();
        // Wait until the thread that wrote the last byte has finished with the response.
        std::thread::sleep(Duration::from_millis(5));
        // A thread that ended takes its time with it; then this scrape is not measured.
        let Some(all) = between(&threads, &crate::host::threads(host.pid())) else { continue };
        let after = host.spent();
        let stages = std::array::from_fn(|stage| after.stages[stage].saturating_sub(before.stages[stage]));
        return (Spent { all, stages, guest: after.guest - before.guest }, bytes);
    }
}

/// The CPU time of each of so many scrapes in one format, after some that are not measured.
pub(crate) fn times(host: &mut Host, accepted: Accepted, scrapes: usize) -> Vec<Duration> {
    host.accept(accepted);
    (0..5).for_each(|_| _ = host.scrape());
    (0..scrapes).map(|_| scraped(host).0.all).collect()
}

pub(crate) fn show(
    map: &str,
    entries: usize,
    state: &'static str,
    rounds: Vec<Round>,
    pair: Option<(Duration, Duration)>,
    host: &Host,
) {
    Measured { map: map.to_owned(), entries, state, rounds, pair, memory: host.memory() }.print();
}
