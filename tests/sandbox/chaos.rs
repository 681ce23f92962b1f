//! Everything at once: scrapes by several clients, I/O, and packages that are swapped, broken, mended, added and removed.

use std::{
    env, fs,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use ebhost_tests::{Disk, Ebhost, Exposition, Fio, Format, Sample, alone, get, needs};

use crate::rig::{Sinner, replace, scrape, start, state, until, write_config};

/// A minute where EBHOST_CHAOS_SECONDS says so; by default enough for every change to happen more than once.
fn duration() -> Duration {
    let seconds = env::var("EBHOST_CHAOS_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(20))
}

#[test]
fn nothing_falls_and_nothing_leaks() {
    needs!(Root, Tool("fio"));
    let _alone = alone();
    let sinner = Sinner::beside_biolatency("sin: none");
    let disk = Disk::in_memory();
    let host = start(&sinner.folder, &[]);
    // One round first, for what is made once and kept.
    let guest = rounds(&sinner, 1);
    until(&host, "a first round", |served| state(served) == "running" && up(served, "guest").is_none());
    let before = held(host.pid());

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
            rounds(&sinner, round);
            round += 1;
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(scrapes.load(Ordering::Relaxed) > 50);
    assert!(!guest.exists());
    write_config(&sinner.package(), "sin: none", "");
    until(&host, "the end", |served| state(served) == "running" && up(served, "guest").is_none());
    let (mut after, end) = (held(host.pid()), Instant::now() + Duration::from_secs(20));
    // Threads that wait for work, and connections, end a little later.
    while grown(&before, &after) && Instant::now() < end {
        thread::sleep(Duration::from_millis(200));
        after = held(host.pid());
    }
    assert!(!grown(&before, &after), "the process holds {after:?}, and held {before:?}");
    let served = scrape(&host);
    assert_eq!(up(&served, "biolatency"), Some(1.0));
    host.stop();
}

fn up(served: &Exposition, plugin: &str) -> Option<f64> {
    served.value("ebhost_plugin_up", &[("plugin", plugin)])
}

/// Breaks, mends and swaps the sinner, and has a guest come and go; gives the guest's folder.
fn rounds(sinner: &Sinner, round: u32) -> std::path::PathBuf {
    let package = sinner.package();
    let wasm = package.join("sinner.wasm");
    let whole = fs::read(&wasm).expect("our own file");
    let guest = sinner.add("guest", "sin: none, family: guest_total");
    let pause = || thread::sleep(Duration::from_millis(700));
    let sins = ["trap", "spin", "short", "describe-trap", "grow", "family-name"];
    write_config(&package, &format!("sin: {}", sins[round as usize % sins.len()]), "");
    pause();
    replace(&wasm, &whole[..whole.len() / 3]);
    pause();
    pause();
    replace(&wasm, &whole);
    write_config(&package, &format!("sin: none, round: {round}"), "");
    pause();
    pause();
    fs::remove_dir_all(&guest).expect("our own folder");
    pause();
    pause();
    guest
}

/// Scrapes all the time: none is answered otherwise than 200, and no counter of biolatency ever falls.
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
            let now = now.unwrap_or_else(|| panic!("{} {:?} is gone", sample.name, sample.labels));
            assert!(now.value >= sample.value, "{} {:?} fell", sample.name, sample.labels);
        }
        last = Some(served);
        scrapes.fetch_add(1, Ordering::Relaxed);
        thread::sleep(Duration::from_millis(30 + 20 * client));
    }
}

/// The disk of the test alone: others may come and go.
fn is_counter_of_the_healthy(sample: &&Sample) -> bool {
    let is_counter =
        sample.name.starts_with("ebhost_bio_latency_lost") || sample.name.starts_with("ebhost_bio_latency_seconds_");
    is_counter && sample.labels.get("device").is_none_or(|device| device.starts_with("loop"))
}

/// File descriptors by kind, and threads.
fn held(pid: u32) -> Vec<(String, usize)> {
    let mut held = std::collections::BTreeMap::new();
    let folder = format!("/proc/{pid}/fd");
    for entry in fs::read_dir(Path::new(&folder)).expect("it runs").flatten() {
        if let Ok(target) = fs::read_link(entry.path()) {
            let target = target.to_string_lossy().into_owned();
            let kind = target.split(|c: char| c == '[' || c.is_ascii_digit()).next().unwrap_or_default().to_owned();
            let kind = if target.starts_with("anon_inode:") { target } else { kind };
            *held.entry(kind).or_insert(0) += 1;
        }
    }
    held.insert("threads".into(), fs::read_dir(format!("/proc/{pid}/task")).expect("it runs").count());
    held.insert("children".into(), children(pid));
    held.into_iter().collect()
}

/// Whether the process holds more of anything than before. It may hold less: a thread for odd work ends when there is none.
fn grown(before: &[(String, usize)], after: &[(String, usize)]) -> bool {
    let held = |kind: &str| before.iter().find(|(of, _)| of == kind).map_or(0, |(_, count)| *count);
    after.iter().any(|(kind, count)| *count > held(kind))
}

fn children(pid: u32) -> usize {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs").flatten();
    tasks
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .map(|text| text.split_whitespace().count())
        .sum()
}
