//! What a user waits for and pays without any entry: start-up, idling, biolatency as it ships.

use std::{
    fs,
    thread::sleep,
    time::{Duration, Instant},
};

use ebhost_tests::{Disk, Ebhost, Fio, Folder, Start};

use crate::{
    host::{cpu, memory},
    report::{line, median},
};

const STATISTICS: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// From the start of the process to `listening`, biolatency attached; with nothing in the cache, and with it filled.
pub(crate) fn start_up() {
    let folder = Folder::with_biolatency();
    let cache = folder.path().join("cache");
    let start = || {
        let cache = cache.to_str().expect("a temporary folder has a plain name");
        let began = Instant::now();
        let host = Start::with(folder.path()).args(&["--strict", "--cache.dir", cache]).listening();
        let (took, spent) = (began.elapsed(), cpu(host.pid()));
        host.stop();
        (took, spent)
    };
    let show = |what: &str, times: &[(Duration, Duration)]| {
        let took = median(times.iter().map(|time| time.0));
        let spent = median(times.iter().map(|time| time.1));
        line(what, &format!("{} ms until it listens, {} ms of CPU", took.as_millis(), spent.as_millis()));
    };
    let cold = || {
        let _ = fs::remove_dir_all(&cache);
        start()
    };
    show("start-up, nothing cached", &[cold(), cold(), cold()]);
    let warm: Vec<_> = (0..9).map(|_| start()).collect();
    show("start-up, compiled component cached", &warm);
}

/// biolatency, idle and under load.
pub(crate) fn biolatency() {
    let folder = Folder::with_biolatency();
    let host = Start::with(folder.path()).args(&["--strict"]).listening();
    sleep(Duration::from_millis(500));
    let before = cpu(host.pid());
    sleep(Duration::from_secs(10));
    line("CPU while nobody scrapes, 10 s", &format!("{} µs", (cpu(host.pid()) - before).as_micros()));
    line("RSS, idle", &format!("{:.1} MB", memory(host.pid()).0));

    let disk = Disk::file_backed();
    let statistics = fs::read_to_string(STATISTICS).unwrap_or_default();
    let counted = fs::write(STATISTICS, "1").is_ok();
    let programs = |host: &Ebhost| {
        let served = host.scrape();
        let all = |name: &str| {
            let samples = served.families.get(name).map_or(&[][..], |family| &family.samples);
            samples.iter().map(|sample| (sample.labels["program"].clone(), sample.value)).collect::<Vec<_>>()
        };
        (all("ebhost_program_run_seconds_total"), all("ebhost_program_runs_total"))
    };
    let before = programs(&host);
    let load = Fio::run(&disk.device(), &["--rw=randread", "--bs=4k", "--time_based", "--runtime=4s"]);
    let after = programs(&host);
    let _ = fs::write(STATISTICS, statistics.trim());
    let requests = load.reads.count as f64;
    if counted && !after.0.is_empty() {
        let mut sum = 0.0;
        let each = after.0.iter().zip(&before.0).map(|((name, after), (_, before))| {
            let ns = (after - before) * 1e9 / requests;
            sum += ns;
            format!("{name} {ns:.0}")
        });
        let each: Vec<String> = each.collect();
        line(
            "biolatency's programs, ns a request by the kernel's statistics",
            &format!("{} = **{sum:.0}** ({requests} requests)", each.join(" + ")),
        );
    }

    (0..5).for_each(|_| _ = host.scrape());
    let stages = |host: &Ebhost| {
        let served = host.scrape();
        let samples = &served.families["ebhost_scrape_cpu_seconds_total"].samples;
        samples.iter().map(|sample| sample.value).sum::<f64>()
    };
    let rounds = 200u32;
    let (before, spent) = (stages(&host), cpu(host.pid()));
    (0..rounds - 1).for_each(|_| _ = host.get("/metrics", &[]));
    let (after, spent) = (stages(&host), cpu(host.pid()) - spent);
    let inside = Duration::from_secs_f64((after - before) / f64::from(rounds));
    line(
        "biolatency, a scrape under no load",
        &format!("**{}** µs of CPU in all stages, {} µs with HTTP", inside.as_micros(), (spent / rounds).as_micros()),
    );
    line("RSS after that", &format!("{:.1} MB", memory(host.pid()).0));
    host.stop();
}
