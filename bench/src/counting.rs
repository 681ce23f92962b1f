//! The cost of counting with counts.h: by event, beside a hash and a per-CPU hash that count with the same keys on the same hook in the same
//! run; and of a scrape of its banks, beside the kernel's batched read of a hash with the same contents.

use std::{
    os::unix::process::parent_id,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use ebhost_plugin::testing::bank_identity;
use ebhost_tests::{Entries, Folder, Memory, Start, key, workspace};

use crate::{
    cases,
    host::{Host, timed},
    load::Filled,
    report::{Round, line},
    rest::spent_in_programs,
};

/// Numbers of keys that the programs count with: few, as of disks or operations, some, as of cgroups, and many, as of processes.
const KEYS: [u32; 3] = [16, 1000, 10_000];

/// The words of a bank of `COUNTS(calls, struct key, 1)`: head and check, two of the key, one count.
const WORDS: usize = 4;

/// Measures the programs that count, on every system call.
pub(crate) fn cost() {
    KEYS.into_iter().for_each(cost_of);
}

fn cost_of(keys: u32) {
    let folder = Folder::new();
    folder.copy(&workspace().join("bench/packages/counts"));
    for (from, to) in [
        ("programs: []", "programs: [cost_empty, cost_hash, cost_per_cpu_hash, cost_banks]".to_owned()),
        ("targ_ids: 1024", format!("targ_ids: {keys}")),
        (
            " calls: 256, calls_spill: 1",
            format!(" calls: {} per cpu, calls_spill: 1024", (keys + keys / 2).next_power_of_two()),
        ),
        (" hash: 1, per_cpu_hash: 1", format!(" hash: {}, per_cpu_hash: {}", 2 * keys, 2 * keys)),
        ("series: 1000", "series: 100000".to_owned()),
    ] {
        folder.amend("counts", from, &to);
    }
    let host = Start::with(folder.path()).args(&["--strict"]).listening();
    calls(Duration::from_millis(500));
    let spent = spent_in_programs(&host, || calls(Duration::from_secs(4)));
    let each = |name: &str| {
        let program = spent.iter().find(|program| program.name == name).filter(|program| program.runs > 0.0);
        program.map_or(f64::NAN, |program| program.seconds * 1e9 / program.runs)
    };
    let empty = each("cost_empty");
    let [hash, per_cpu, banks] = ["cost_hash", "cost_per_cpu_hash", "cost_banks"].map(|name| each(name) - empty);
    line(
        &format!("counting one event of {keys} keys, ns beside an empty program on the same hook"),
        &format!(
            "counts.h {banks:.0}, hash {hash:.0}, per-CPU hash {per_cpu:.0} (empty program: {empty:.0}); counts.h ÷ hash **{:.2}**, \
             ÷ per-CPU hash {:.2}; with the empty program's cost {:.2}",
            banks / hash,
            banks / per_cpu,
            (banks + empty) / (hash + empty)
        ),
    );
    host.stop();
}

/// System calls that do next to nothing.
fn calls(time: Duration) {
    let began = Instant::now();
    while began.elapsed() < time {
        (0..1000).for_each(|_| _ = parent_id());
    }
}

/// Measures scrapes of this number of banks, each with a series of its own. The floor is the batched read of a hash with the same contents.
pub(crate) fn banks(entries: usize) {
    let mut host = Host::counting(entries);
    let filled = Filled::new(host.map("hash"), entries);
    let memory = host.map("calls").memory();
    fill(&memory, entries);
    let mut read = Entries::default();
    // The guest time of a package in one scrape is limited, so many new keys take several.
    (0..40).take_while(|_| host.scrape() > 0 && host.own("ebhost_plugin_unlabelled") > 0.0).for_each(drop);
    (0..3).for_each(|_| _ = host.scrape());
    let round = |_| {
        filled.count();
        count(&memory);
        let before = timed(|| filled.map.read(&mut read));
        let (spent, bytes) = cases::scraped(&mut host);
        let after = timed(|| filled.map.read(&mut read));
        Round { floor: (before + after) / 2, spent, bytes }
    };
    let rounds: Vec<Round> = (0..(1_000_000 / entries).clamp(9, 101)).map(round).collect();
    cases::show("banks (floor: hash)", entries, "steady", rounds, None, &host);
}

/// Writes banks as counts.h does, with the keys and counts of [`Filled`].
fn fill(memory: &Memory, entries: usize) {
    for (id, bank) in memory.words().chunks_exact(WORDS).take(entries).enumerate() {
        let owner = key(id as u64);
        let identity = bank_identity(&owner);
        let check = u32::from_le_bytes(identity[..4].try_into().expect("4 bytes"));
        let [first, second] = [0, 8].map(|at| u64::from_le_bytes(owner[at..at + 8].try_into().expect("8 bytes")));
        let head = 1 | 1 << 8; // one claim; used
        let words = [head | u64::from(check) << 32, first, second, id as u64 + 1_000_000];
        bank.iter().zip(words).for_each(|(word, value)| word.store(value, Ordering::Relaxed));
    }
}

/// Adds 1 to the count of every bank.
fn count(memory: &Memory) {
    for bank in memory.words().chunks_exact(WORDS) {
        bank[WORDS - 1].fetch_add(1, Ordering::Relaxed);
    }
}
