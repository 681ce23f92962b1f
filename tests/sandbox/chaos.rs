//! Everything at once: several clients scrape, a disk is under load, and packages are replaced, broken, repaired, added and removed.

use std::{
    env, fs,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use ebhost_tests::{Disk, Ebhost, Exposition, Fio, Format, Sample, alone, get, needs};

use crate::rig::{Misbehaving, replace, scrape, scrape_until, start, state, write_config};

/// The duration of the test: EBHOST_CHAOS_SECONDS, or by default long enough for every change to happen more than once.
fn duration() -> Duration {
    let seconds = env::var("EBHOST_CHAOS_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(20))
}

#[test]
fn no_counter_decreases_and_nothing_leaks() {
    needs!(Root, Tool("fio"));
    let _alone = alone();
    let misbehaving = Misbehaving::beside_biolatency("fault: none");
    let disk = Disk::in_memory();
    let host = start(&misbehaving.folder, &[]);
    // A first round, after which everything that is allocated only once exists.
    let guest = rounds(&misbehaving, 1);
    scrape_until(&host, "a first round", |served| state(served) == "running" && up(served, "guest").is_none());
    let before = resources(host.pid());

    let (is_over, scrapes) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for client in 0..3 {
            let (host, is_over, scrapes) = (&host, &is_over, &scrapes);
            scope.spawn(move || watch(host, client, is_over, scrapes));
        }
        let device = disk.device();
        let load = &is_over;
        scope.spawn(move || {
            while !load.load(Ordering::Relaxed) {
                Fio::run(&device, &["--rw=randrw", "--bs=4k", "--number_ios=500"]);
            }
        });
        let end = Instant::now() + duration();
        let mut round = 2;
        while Instant::now() < end {
            rounds(&misbehaving, round);
            round += 1;
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(scrapes.load(Ordering::Relaxed) > 50);
    assert!(!guest.exists());
    write_config(&misbehaving.package(), "fault: none", "");
    scrape_until(&host, "the end", |served| state(served) == "running" && up(served, "guest").is_none());
    let (mut after, end) = (resources(host.pid()), Instant::now() + Duration::from_secs(20));
    // Idle threads and connections end a little later.
    while grown(&before, &after) && Instant::now() < end {
        thread::sleep(Duration::from_millis(200));
        after = resources(host.pid());
    }
    assert!(!grown(&before, &after), "the process has {after:?}, and had {before:?}");
    let served = scrape(&host);
    assert_eq!(up(&served, "biolatency"), Some(1.0));
    host.stop();
}

fn up(served: &Exposition, plugin: &str) -> Option<f64> {
    served.value("ebhost_plugin_up", &[("plugin", plugin)])
}

/// Breaks, replaces and repairs the misbehaving package, and adds and removes the package `guest`; returns its folder.
fn rounds(misbehaving: &Misbehaving, round: u32) -> std::path::PathBuf {
    let package = misbehaving.package();
    let wasm = package.join("misbehaving.wasm");
    let whole = fs::read(&wasm).expect("our own file");
    let guest = misbehaving.add("guest", "fault: none, family: guest_total");
    let pause = || thread::sleep(Duration::from_millis(700));
    let faults = ["trap", "spin", "short", "describe-trap", "grow", "family-name"];
    write_config(&package, &format!("fault: {}", faults[round as usize % faults.len()]), "");
    pause();
    replace(&wasm, &whole[..whole.len() / 3]);
    pause();
    pause();
    replace(&wasm, &whole);
    write_config(&package, &format!("fault: none, round: {round}"), "");
    pause();
    pause();
    fs::remove_dir_all(&guest).expect("our own folder");
    pause();
    pause();
    guest
}

/// Scrapes continuously: every answer must be 200, and no counter of biolatency may decrease.
fn watch(host: &Ebhost, client: u64, is_over: &AtomicBool, scrapes: &AtomicU64) {
    let mut last: Option<Exposition> = None;
    while !is_over.load(Ordering::Relaxed) {
        let answer = get(host.address(), "/metrics", &[("X-Prometheus-Scrape-Timeout-Seconds", "5")]);
        let answer = answer.unwrap_or_else(|error| panic!("client {client}: {error}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let served = Exposition::parse(answer.text(), Format::Text).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(up(&served, "biolatency"), Some(1.0));
        for sample in last.iter().flat_map(Exposition::samples).filter(is_counter_of_the_healthy) {
            let now = served.samples().find(|now| now.name == sample.name && now.labels == sample.labels);
            let now = now.unwrap_or_else(|| panic!("{} {:?} disappeared", sample.name, sample.labels));
            assert!(now.value >= sample.value, "{} {:?} decreased", sample.name, sample.labels);
        }
        last = Some(served);
        scrapes.fetch_add(1, Ordering::Relaxed);
        thread::sleep(Duration::from_millis(30 + 20 * client));
    }
}

/// Only the disk of the test: others may come and go.
fn is_counter_of_the_healthy(sample: &&Sample) -> bool {
    let is_counter =
        sample.name.starts_with("ebhost_bio_latency_lost") || sample.name.starts_with("ebhost_bio_latency_seconds_");
    is_counter && sample.labels.get("device").is_none_or(|device| device.starts_with("loop"))
}

/// The process's file descriptors by kind, threads and children.
fn resources(pid: u32) -> Vec<(String, usize)> {
    let mut counts = std::collections::BTreeMap::new();
    let folder = format!("/proc/{pid}/fd");
    for entry in fs::read_dir(Path::new(&folder)).expect("it runs").flatten() {
        if let Ok(target) = fs::read_link(entry.path()) {
            let target = target.to_string_lossy().into_owned();
            let kind = target.split(|c: char| c == '[' || c.is_ascii_digit()).next().unwrap_or_default().to_owned();
            let kind = if target.starts_with("anon_inode:") { target } else { kind };
            *counts.entry(kind).or_insert(0) += 1;
        }
    }
    counts.insert("threads".into(), fs::read_dir(format!("/proc/{pid}/task")).expect("it runs").count());
    counts.insert("children".into(), children(pid));
    counts.into_iter().collect()
}

/// Whether the process has more of anything than before. Less is fine: idle threads end.
fn grown(before: &[(String, usize)], after: &[(String, usize)]) -> bool {
    let count_before = |kind: &str| before.iter().find(|(name, _)| name == kind).map_or(0, |(_, count)| *count);
    after.iter().any(|(kind, count)| *count > count_before(kind))
}

fn children(pid: u32) -> usize {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs").flatten();
    tasks
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .map(|text| text.split_whitespace().count())
        .sum()
}
