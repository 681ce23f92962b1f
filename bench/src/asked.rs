//! Scrapes as Prometheus asks for them: OpenMetrics, compressed, with as many values changed since the last scrape as on a real host.
//!
//! Times are the best of all scrapes (the [tenth part](crate::report::tenth) of them is below) beside the [warm floor](crate::floor), and ratios those
//! of the two.

use std::io::Write as _;

use ebhost_limits::PREPARED_LINES_PER_ANSWER;
use ebhost_tests::{Folder, Start, workspace};
use flate2::{Compression, write::GzEncoder};

use crate::{
    cases, floor,
    host::{Accepted, BUILTIN_COUNTER, Host, Labeller, Spent},
    load::Filled,
    report::{AskedRow, line, median, tenth},
};

/// Shares of the values that change between two scrapes, in percent.
const CHANGED: [usize; 3] = [100, 10, 1];

/// Measures a hash map, in which every key has a series of its own.
pub(crate) fn hash(entries: usize) {
    let mut host = Host::reading("hash", entries, Labeller::Builtin);
    let filled = Filled::new(host.map("hash"), entries);
    // The guest time of a package in one scrape is limited, so many new keys take several.
    (0..40).take_while(|_| host.scrape() > 0 && host.own("ebhost_plugin_unlabelled") > 0.0).for_each(drop);
    let rounds = (2_000_000 / entries).clamp(15, 101);
    for changed in CHANGED {
        for accepted in [Accepted::Plain, Accepted::Gzip] {
            host.accept(accepted);
            let count = || filled.count_some(entries * changed / 100);
            // Series are prepared for compression in several answers, and forgotten after some that were not compressed.
            (0..4 + entries.div_ceil(PREPARED_LINES_PER_ANSWER)).for_each(|_| {
                count();
                host.scrape();
            });
            let floor = floor::warm(host.pid(), "hash");
            let scrapes: Vec<(Spent, usize)> = (0..rounds)
                .map(|_| {
                    count();
                    cases::scraped(&mut host)
                })
                .collect();
            let floor = floor.min(floor::warm(host.pid(), "hash"));
            AskedRow {
                entries,
                changed,
                accepted,
                floor,
                scrapes,
                level_6: zipped(host.text()),
                text_bytes: host.text().len(),
                memory: host.memory(),
            }
            .print();
        }
    }
}

/// The length of a text compressed by level 6 of zlib's format.
fn zipped(text: &[u8]) -> usize {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(text).expect("a vector takes everything");
    encoder.finish().expect("a vector takes everything").len()
}

/// Series of each of many packages.
const SERIES: usize = 64;

/// Measures a host with many small packages: memory before the first scrape and after many, and CPU time of a scrape.
pub(crate) fn packages(count: usize) {
    let folder = Folder::new();
    let from = folder.copy(&workspace().join("bench/packages/maps"));
    for number in 0..count {
        let name = format!("maps{number}");
        ebhost_tests::copy_package(&from, &folder.path().join(&name));
        let counter = BUILTIN_COUNTER.replace("array_calls_total", &format!("array_{number}_calls_total"));
        for (from, to) in [
            ("name: maps\n", format!("name: {name}\n")),
            (" array: 1", format!(" array: {SERIES}")),
            ("component: maps.wasm", "component: builtin".to_owned()),
            ("read: [hash]", counter),
        ] {
            folder.amend(&name, from, &to);
        }
    }
    std::fs::remove_dir_all(&from).expect("a folder of our own");
    let mut host = Host::started(folder);
    let started = host.memory();
    (0..20).for_each(|_| _ = host.scrape());
    for accepted in [Accepted::Plain, Accepted::Gzip] {
        let times = cases::times(&mut host, accepted, 101);
        let best = tenth(times.iter().copied());
        line(
            &format!("{count} packages of {SERIES} series, a scrape, {accepted}"),
            &format!("**{}** µs of CPU at best, {} µs median", best.as_micros(), median(times.into_iter()).as_micros()),
        );
    }
    line(
        &format!("{count} packages of {SERIES} series, RSS"),
        &format!("{:.1} MB at the start, **{:.1}** MB after these scrapes", started.0, host.memory().0),
    );
}

/// Measures a host with the drop-in configurations of a folder, which the environment names: `EBHOST_BENCH_DROP_INS=FOLDER:NAME,NAME,…`.
pub(crate) fn drop_ins() {
    let Ok(asked) = std::env::var("EBHOST_BENCH_DROP_INS") else { return };
    let (folder, names) = asked.split_once(':').expect("FOLDER:NAME,NAME,…");
    let mut host = Host::of(Start::drop_ins(folder.as_ref(), names).listening());
    let started = host.memory();
    (0..20).for_each(|_| _ = host.scrape());
    for accepted in [Accepted::Plain, Accepted::Gzip] {
        let times = cases::times(&mut host, accepted, 101);
        line(
            &format!("{} drop-in configurations, a scrape, {accepted}", names.split(',').count()),
            &format!("**{}** µs of CPU at best", tenth(times.iter().copied()).as_micros()),
        );
    }
    line("RSS", &format!("{:.1} MB at the start, **{:.1}** MB after these scrapes", started.0, host.memory().0));
}
