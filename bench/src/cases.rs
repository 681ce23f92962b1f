//! The maps and the states that they are scraped in.

use std::time::Duration;

use ebhost_tests::{Entries, KernelMap};

use crate::{
    host::{Host, Labeller, Spent, timed},
    load::{Filled, count_array},
    native::Pair,
    report::{Measured, Round, median, text},
};

/// Deletes and inserts a second in the last state.
const CHURN: u32 = 5_000;

/// The row of the map `hash` whose entries the host's own component labels.
pub(crate) const BUILTIN: &str = "hash (builtin)";

/// A hash of keys that have a series each, in all states.
pub(crate) fn hash(map: &str, entries: usize, labeller: Labeller) {
    let mut host = Host::reading(map, entries + 1024, labeller);
    let mut filled = Filled::new(host.map(map), entries);
    let mut read = Entries::default();
    let mut pair = (map == "hash" && labeller == Labeller::Own).then(|| Pair::new(entries + entries / 5));
    // Small maps are over soon, and what slows the machine for a moment is a greater part of them.
    let rounds = (1_000_000 / entries).clamp(9, 101);
    let row = match labeller {
        Labeller::Own => map,
        Labeller::Builtin => BUILTIN,
    };
    // The first makes every series; the second settles their order.
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
    // A package's guest time in one scrape is bounded: of very many new keys some wait, and lose nothing by it.
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

/// An array in shared memory.
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

/// A scrape between two reads of the map alone.
fn one(host: &mut Host, map: &KernelMap, read: &mut Entries) -> Round {
    let before = timed(|| map.read(read));
    let (spent, bytes) = scraped(host);
    let after = timed(|| map.read(read));
    Round { floor: (before + after) / 2, spent, bytes }
}

fn scraped(host: &mut Host) -> (Spent, usize) {
    let before = host.spent();
    let bytes = host.scrape();
    // The thread that wrote the last byte may still be closing the connection.
    std::thread::sleep(Duration::from_millis(5));
    let after = host.spent();
    let stages = std::array::from_fn(|stage| after.stages[stage].saturating_sub(before.stages[stage]));
    (Spent { all: after.all - before.all, stages, guest: after.guest - before.guest }, bytes)
}

fn show(
    map: &str,
    entries: usize,
    state: &'static str,
    rounds: Vec<Round>,
    pair: Option<(Duration, Duration)>,
    host: &Host,
) {
    Measured { map: map.to_owned(), entries, state, rounds, pair, memory: host.memory() }.print();
}
