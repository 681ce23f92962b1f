//! Measures the cost of a scrape relative to the kernel's own read of the same map: `cargo xtask bench`.
//!
//! It scrapes the real binary over HTTP, with the package `bench/packages/maps`, whose maps this process fills. For every scrape it measures
//! the floor: the time in which this process reads the map in batches (or copies it from memory) and does nothing else. Times are CPU
//! time, so that other work on the machine disturbs them less; ratios are more reliable than times. Rows `asked` are scrapes as Prometheus asks
//! for them, beside the floor that a process of its own reads at its best.
//!
//! `cargo xtask bench cost [PACKAGE]` measures the programs of the packages instead, and `cargo xtask bench overhead [PACKAGE=on|off]` what all packages
//! that are on by default cost together, or with one more or less.

mod asked;
mod cases;
mod cost;
mod counting;
mod floor;
mod host;
mod load;
mod native;
mod overhead;
mod report;
mod rest;
mod scale;
mod sending;

use host::Labeller;
use report::text;

fn main() {
    let only: Vec<String> = std::env::args().skip(1).collect();
    if let Some((floor::ARGUMENT, arguments)) = only.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return text(&floor::measure(arguments).to_string());
    }
    if let Some(("cost", packages)) = only.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        text(&format!("Machine: {}", native::machine()));
        return cost::packages(packages.first().map(String::as_str));
    }
    if let Some((overhead::ARGUMENT, arguments)) = only.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return overhead::work(arguments);
    }
    if let Some(("overhead", choice)) = only.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        text(&format!("Machine: {}", native::machine()));
        return overhead::defaults(choice.first().map(String::as_str));
    }
    let wanted = |row: &str| {
        only.is_empty() || only.iter().any(|only| row == only || row.split('/').next() == Some(only.as_str()))
    };
    text(&format!("Machine: {}\n", native::machine()));
    text("Medians of CPU time, ns an entry. Floor: the map's batched read (or copy) alone.\n");
    report::head();
    for (map, entries) in [("hash", 10_000), ("hash", 100_000), ("hash", 1_000_000), ("per_cpu_hash", 100_000)] {
        if wanted(&format!("{map}/{entries}")) {
            cases::hash(map, entries, Labeller::Own);
        }
    }
    if wanted("builtin/100000") {
        cases::hash("hash", 100_000, Labeller::Builtin);
    }
    if wanted("mapped_array/100000") {
        cases::mapped_array(100_000);
    }
    for entries in [1_000, 10_000, 100_000, 1_000_000] {
        if wanted(&format!("banks/{entries}")) {
            counting::banks(entries);
        }
    }
    report::asked_head();
    for entries in [10_000, 100_000, 1_000_000] {
        if wanted(&format!("asked/{entries}")) {
            asked::hash(entries);
        }
    }
    text("\n| | measured |\n|---|---|");
    if wanted("start") {
        rest::start_up();
    }
    if wanted("biolatency") {
        rest::biolatency();
    }
    for count in [1, 10, 30, 100] {
        if wanted(&format!("packages/{count}")) {
            asked::packages(count);
        }
    }
    for count in [10, 100, 1_000] {
        if wanted(&format!("disks/{count}")) {
            scale::disks(count);
        }
    }
    for count in [10, 100, 1_000, 10_000] {
        if wanted(&format!("cgroups/{count}")) {
            scale::cgroups(count);
        }
    }
    if wanted("drop_ins") {
        asked::drop_ins();
    }
    if wanted("cpus") {
        rest::cpus();
    }
    if wanted("sending") {
        sending::cost();
    }
    if wanted("counting") {
        counting::cost();
    }
    if wanted("llcstat") {
        rest::switches();
    }
}
