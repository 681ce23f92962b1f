//! The package runqlat against the scheduler's own accounting, wait by wait and in all.

use std::{fs, thread, time::Duration};

use ebhost_tests::{Cgroup, Ebhost, Exposition, Folder, Running, alone, committed, needs};
use rustix::process::Signal;

/// The time that a process waited for a CPU in ns, and how often it got one.
fn waited(pid: u32) -> (u64, u64) {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).expect("it runs, and the kernel has schedstat");
    let numbers: Vec<u64> = text.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    (numbers[1], numbers[2])
}

fn host(settings: &str) -> (Folder, Ebhost) {
    let folder = Folder::new();
    folder.copy(&committed().join("runqlat"));
    folder.set(settings);
    let host = Ebhost::start(folder.path());
    (folder, host)
}

/// Two processes that are preempted and one that is woken, on one CPU; and the sum and count of what they waited when all are stopped, in
/// the histogram that `served` reads, and in the kernel.
fn measured(cgroup: &Cgroup, host: &Ebhost, cpus: &str, served: impl Fn(&Exposition) -> (f64, f64)) -> [(f64, f64); 2] {
    let (busy, woken) = ("while (1) {}", "while (1) { select undef, undef, undef, 0.002; for (1..20000) {} }");
    // `taskset` becomes perl. The shell before it waits, too, but in the test's own cgroup until it moves itself.
    let start = |script: &str| Running::start(cgroup.starter().args(["taskset", "-c", cpus, "perl", "-e", script]));
    let processes = [start(busy), start(busy), start(woken)];
    thread::sleep(Duration::from_millis(500));
    let stopped = || {
        processes.iter().for_each(|process| process.tell(Signal::STOP));
        thread::sleep(Duration::from_millis(300));
        let kernel = processes.iter().map(|process| waited(process.pid()));
        let kernel = kernel.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        (served(&host.scrape()), (kernel.0 as f64 / 1e9, kernel.1 as f64))
    };
    let before = stopped();
    processes.iter().for_each(|process| process.tell(Signal::CONT));
    thread::sleep(Duration::from_secs(2));
    let after = stopped();
    let difference = |before: (f64, f64), after: (f64, f64)| (after.0 - before.0, after.1 - before.1);
    [difference(before.0, after.0), difference(before.1, after.1)]
}

/// The sums are equal. The kernel counts a few more arrivals on a CPU than it reports switches to the task, one in fifty at most.
fn assert_equal([served, kernel]: [(f64, f64); 2]) {
    eprintln!("{served:?}; schedstat: {kernel:?}");
    // On two CPUs that nobody else uses they hardly wait.
    assert!(kernel.0 > 0.01 && kernel.1 > 100.0, "three processes wait for a CPU: {kernel:?}");
    assert!((served.0 - kernel.0).abs() < 1e-6, "found {} s, schedstat has {} s", served.0, kernel.0);
    let difference = kernel.1 - served.1;
    assert!((0.0..=kernel.1 * 0.02 + 5.0).contains(&difference), "{} waits, schedstat has {}", served.1, kernel.1);
}

#[test]
fn waits_equal_those_in_schedstat_to_the_nanosecond() {
    needs!(Root, Cgroup2, Tool("taskset"), Tool("perl"), File("/proc/self/schedstat"));
    let _alone = alone();
    let (_folder, host) = host("");
    let cgroup = Cgroup::new(&format!("ebhost-waits-{}", std::process::id()));
    let served = |served: &Exposition| {
        let value = |name: &str| served.value(name, &[("cgroup", cgroup.path())]).unwrap_or_default();
        (value("ebhost_runqueue_latency_seconds_sum"), value("ebhost_runqueue_latency_seconds_count"))
    };
    assert_equal(measured(&cgroup, &host, "0", served));
    // The kernel accounts a wait that ends on another CPU in pieces: with two CPUs tasks are moved while they wait.
    assert_equal(measured(&cgroup, &host, "0,1", served));
    host.stop();
}

#[test]
fn native_histograms_by_unit_equal_schedstat_too() {
    needs!(Root, Cgroup2, Tool("taskset"), Tool("perl"), File("/proc/self/schedstat"));
    let _alone = alone();
    let (_folder, host) = host("plugins: { runqlat: { cg: unit, histograms: native } }\n");
    let unit = format!("ebhost-waits-{}.service", std::process::id());
    let cgroup = Cgroup::new(&unit);
    let served = |served: &Exposition| {
        let value = |name: &str| served.value(name, &[("unit", unit.as_str())]).unwrap_or_default();
        (value("ebhost_runqueue_latency_seconds_sum"), value("ebhost_runqueue_latency_seconds_count"))
    };
    assert_equal(measured(&cgroup, &host, "0", served));
    host.stop();
}
