//! Machines with many disks, and disks that come and go: every request is counted, under the name of its disk, and no disk begins with
//! the counts of another.

use std::{env, thread, time::Duration};

use ebhost_tests::{Disks, Ebhost, Exposition, Folder, Stat, alone, committed, needs};

use crate::counted;

/// The kernel hides a request from every program now and then; see counts.rs. Such a try is repeated.
const ROUNDS: usize = 5;

/// 60 disks, or as many as EBHOST_DISKS says. Two CPUs have banks for some thirty.
fn number_of_disks() -> u32 {
    env::var("EBHOST_DISKS").map_or(60, |number| number.parse().expect("EBHOST_DISKS is a number"))
}

#[test]
fn many_disks_are_counted_exactly_and_so_are_those_that_replace_them() {
    needs!(Root);
    let _alone = alone();
    for _ in 0..ROUNDS {
        // A host of its own for each try: `banks_spill` has room for twice 1 000 disks within the two minutes for which it keeps what is gone.
        let host = Ebhost::start(&committed());
        let first = host.scrape();
        let is_exact = is_round_exact(&host) && is_round_exact(&host);
        let last = host.scrape();
        host.stop();
        let grown = |sum: fn(&Exposition) -> u64| sum(&last) - sum(&first);
        eprintln!("{} requests were lost, {} runs skipped by the kernel", grown(lost), grown(skipped));
        // A lost request of these disks would be missing from their counts: any others are those of disks that others use.
        if is_exact {
            return;
        }
    }
    panic!("in {ROUNDS} tries never two rounds in a row in which every request was counted; the last ones are above");
}

/// Months of volumes that come and go, in a minute: the maps have room for a fraction of the disks that are plugged in over time, and must be
/// used again.
#[test]
fn disks_that_come_and_go_never_fill_the_maps() {
    needs!(Root);
    let _alone = alone();
    let folder = Folder::with_biolatency();
    // 20 disks with 4 operations each take 80 entries of `banks_spill` a round, beside 8 banks on each CPU.
    folder.set("plugins: { biolatency: { banks: 8, spill: 400, parts: 16, keep: 1s } }");
    folder.amend(
        "biolatency",
        "targ_counts_keep_ns: $keep",
        "targ_counts_keep_ns: $keep\n    targ_part_keep_ns: 1000000000",
    );
    let host = Ebhost::start(folder.path());
    let mut exact = 0;
    for _ in 0..20 {
        let disks = Disks::plug_in(20);
        let names: Vec<_> = disks.names().collect();
        disks.exercise();
        let served = scrape(&host);
        exact += u32::from(is_as_counted(&names, &served, &stats(&names)));
        assert_eq!(without_room(&served), 0, "400 disks came and went, 20 at a time");
        drop(disks);
        host.scrape();
        host.scrape();
        thread::sleep(Duration::from_millis(1500));
    }
    assert!(exact >= 15, "in {exact} of 20 rounds every request was counted");
    host.stop();
}

/// Plugs disks in, uses them, and unplugs them again, scraping in between. Whether every request was counted.
fn is_round_exact(host: &Ebhost) -> bool {
    let disks = Disks::plug_in(number_of_disks());
    let names: Vec<_> = disks.names().collect();
    disks.exercise();
    let present = is_as_counted(&names, &scrape(host), &stats(&names));

    // I/O since the last scrape is counted although the disks are gone at the next.
    disks.exercise();
    thread::sleep(Duration::from_millis(100));
    let last = stats(&names);
    drop(disks);
    let gone = is_as_counted(&names, &scrape(host), &last);

    let served = host.scrape();
    let still_there: Vec<_> = counted(&served).into_keys().filter(|name| names.contains(name)).collect();
    assert!(still_there.is_empty(), "unplugged and scraped once, but still served: {still_there:?}");
    assert_eq!(without_room(&served), 0);
    present && gone
}

/// Requests that were not counted, for whatever reason.
fn lost(served: &Exposition) -> u64 {
    sum(served, "ebhost_bio_latency_lost_total")
}

/// Runs of programs that the kernel left out, because an interrupt came while the program was running on that CPU.
fn skipped(served: &Exposition) -> u64 {
    sum(served, "ebhost_program_recursion_misses_total")
}

fn sum(served: &Exposition, name: &str) -> u64 {
    served.samples().filter(|sample| sample.name == name).map(|sample| sample.value as u64).sum()
}

/// Requests that were not counted because a map was full. The other losses may be those of other disks, which the kernel hid.
fn without_room(served: &Exposition) -> u64 {
    let reasons = ["banks_full", "starts_full"];
    let lost =
        |reason| served.value("ebhost_bio_latency_lost_total", &[("reason", reason)]).expect("it is always served");
    reasons.map(|reason| lost(reason) as u64).iter().sum()
}

fn scrape(host: &Ebhost) -> Exposition {
    // BPF programs see a request a moment before or after the kernel counts it.
    thread::sleep(Duration::from_millis(100));
    host.scrape()
}

fn stats(names: &[String]) -> Vec<Stat> {
    names.iter().map(|name| Stat::of(name)).collect()
}

/// Whether the counts of each disk are those of the kernel, which began at 0 when the disk was added.
fn is_as_counted(names: &[String], served: &Exposition, stats: &[Stat]) -> bool {
    let counted = counted(served);
    let mut is_exact = true;
    for (name, stat) in names.iter().zip(stats) {
        let counted = counted.get(name).copied().unwrap_or_default();
        let kernel = Stat { in_flight: 0, ..*stat };
        let pairs = [(counted.reads, kernel.reads), (counted.writes, kernel.writes), (counted.flushes, kernel.flushes)];
        assert!(kernel.reads >= 4 && kernel.writes >= 6 && kernel.flushes >= 2, "{name}: {kernel:?}");
        assert!(pairs.iter().all(|(counted, kernel)| counted <= kernel), "{name}: {counted:?} of {kernel:?}");
        if counted != kernel {
            eprintln!("{name}: {counted:?} served, {kernel:?} completed");
            is_exact = false;
        }
    }
    is_exact
}
