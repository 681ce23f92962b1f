//! Costs that do not depend on the number of entries: start-up, an idle host, biolatency as shipped, llcstat's cost per context switch.

use std::{
    fs,
    sync::mpsc,
    thread::{self, sleep},
    time::{Duration, Instant},
};

use ebhost_tests::{Disk, Ebhost, Fio, Folder, Start, llcstat};

use crate::{
    host::{cpu, memory},
    native,
    report::{line, median},
};

const STATISTICS: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// Measures the time from the start of the process, with biolatency, until it listens; with an empty cache, and with a filled one.
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

/// The cost of a BPF program during an activity.
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) seconds: f64,
    pub(crate) runs: f64,
}

/// The cost of the BPF programs while `act` runs, from the kernel's run statistics. Empty if they cannot be enabled.
pub(crate) fn spent_in_programs(host: &Ebhost, act: impl FnOnce()) -> Vec<Program> {
    let programs = || {
        let served = host.scrape();
        let all = |name: &str| {
            let samples = served.families.get(name).map_or(&[][..], |family| &family.samples);
            samples.iter().map(|sample| (sample.labels["program"].clone(), sample.value)).collect::<Vec<_>>()
        };
        (all("ebhost_program_run_seconds_total"), all("ebhost_program_runs_total"))
    };
    let statistics = fs::read_to_string(STATISTICS).unwrap_or_default();
    if fs::write(STATISTICS, "1").is_err() {
        return Vec::new();
    }
    let before = programs();
    act();
    let after = programs();
    let _ = fs::write(STATISTICS, statistics.trim());
    let grown = |after: f64, before: Option<&(String, f64)>| after - before.map_or(0.0, |(_, before)| *before);
    let each = after.0.into_iter().zip(after.1).enumerate().map(|(at, ((name, seconds), (_, runs)))| Program {
        name,
        seconds: grown(seconds, before.0.get(at)),
        runs: grown(runs, before.1.get(at)),
    });
    each.collect()
}

/// Measures the cost per context switch of llcstat's program that attributes two events.
pub(crate) fn switches() {
    for by in ["pid", "comm", "cgroup"] {
        let events = "software/page-faults, software/context-switches";
        let folder = llcstat::switched(by, events, "page_faults, context_switches");
        let host = Start::with(folder.path()).args(&["--strict"]).listening();
        let spent = spent_in_programs(&host, || ping_pong(Duration::from_secs(3)));
        if let Some(program) = spent.iter().find(|program| program.name == "sched_switch" && program.runs > 0.0) {
            line(
                &format!("llcstat's sched_switch by {by}, two events, ns a switch by the kernel's statistics"),
                &format!("**{:.0}** ({} switches)", program.seconds * 1e9 / program.runs, program.runs),
            );
        }
        host.stop();
    }
}

/// Runs two threads that wait for each other in turns.
pub(crate) fn ping_pong(time: Duration) {
    let (ping, pinged) = mpsc::sync_channel::<()>(0);
    let (pong, ponged) = mpsc::sync_channel::<()>(0);
    let other = thread::spawn(move || while pinged.recv().is_ok() && pong.send(()).is_ok() {});
    let began = Instant::now();
    while began.elapsed() < time {
        ping.send(()).expect("the other thread takes it");
        ponged.recv().expect("the other thread answers");
    }
    drop(ping);
    other.join().expect("the other thread ends");
}

/// Measures biolatency, idle and under load.
pub(crate) fn biolatency() {
    let folder = Folder::with_biolatency();
    let host = Start::with(folder.path()).args(&["--strict"]).listening();
    sleep(Duration::from_millis(500));
    let before = cpu(host.pid());
    sleep(Duration::from_secs(10));
    line("CPU while nobody scrapes, 10 s", &format!("{} µs", (cpu(host.pid()) - before).as_micros()));
    line("RSS, idle", &format!("{:.1} MB", memory(host.pid()).0));

    let disk = Disk::file_backed();
    let mut load = None;
    let spent = spent_in_programs(&host, || {
        load = Some(Fio::run(&disk.device(), &["--rw=randread", "--bs=4k", "--time_based", "--runtime=4s"]));
    });
    let requests = load.map_or(0, |load| load.reads.count) as f64;
    if !spent.is_empty() {
        let sum: f64 = spent.iter().map(|program| program.seconds * 1e9 / requests).sum();
        let each = spent.iter().map(|program| format!("{} {:.0}", program.name, program.seconds * 1e9 / requests));
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

/// Numbers of possible CPUs.
const CPUS: [usize; 4] = [1, 16, 64, 256];

/// The keys of a map that is read on hosts with so many CPUs.
const KEYS: usize = 1_000;

/// Measures how a per-CPU map's part of a scrape grows with the number of possible CPUs.
pub(crate) fn cpus() {
    for cpus in CPUS {
        let took = native::with_cpus(cpus, KEYS);
        line(
            &format!("a per-CPU map of {KEYS} keys on {cpus} possible CPUs, simulated: to count and print"),
            &format!("**{}** µs, {} KiB of memory for its values", took.as_micros(), KEYS * cpus * 8 / 1024),
        );
    }
}
