//! The package runqlat against the scheduler's own accounting.

use std::{fs, thread, time::Duration};

use ebhost_tests::{Cgroup, Ebhost, Exposition, Folder, Running, alone, committed, needs, wait_until};
use rustix::process::Signal;

/// The time that a process waited for a CPU in ns, and how often it got one.
fn waited(pid: u32) -> (u64, u64) {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).expect("it runs, and the kernel has schedstat");
    let numbers: Vec<u64> = text.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    (numbers[1], numbers[2])
}

/// The sum and the count of a cgroup's histogram.
fn served(served: &Exposition, cgroup: &Cgroup) -> (f64, f64) {
    let labels = [("cgroup", cgroup.path())];
    let value = |name: &str| served.value(name, &labels).unwrap_or_default();
    (value("ebhost_runqueue_latency_seconds_sum"), value("ebhost_runqueue_latency_seconds_count"))
}

#[test]
fn waits_for_a_cpu_equal_those_in_schedstat() {
    needs!(Root, Cgroup2, Tool("taskset"), Tool("perl"), File("/proc/self/schedstat"));
    let _alone = alone();
    let folder = Folder::new();
    folder.copy(&committed().join("runqlat"));
    let host = Ebhost::start(folder.path());
    let name = format!("ebhost{}", std::process::id());
    let cgroup = Cgroup::new(&name);
    // Three processes without children that want one CPU. Two are preempted, one is woken.
    let (busy, woken) = ("while (1) {}", "while (1) { select undef, undef, undef, 0.002; for (1..20000) {} }");
    let start = |script: &str| Running::start(cgroup.starter().args(["taskset", "-c", "0", "perl", "-e", script]));
    let processes = [start(busy), start(busy), start(woken)];
    let tell = |signal| processes.iter().for_each(|process| process.tell(signal));
    // All stand still while they are looked at. The first look leaves out what they did in the cgroup in which they were started.
    let stop_and_look = || {
        tell(Signal::STOP);
        thread::sleep(Duration::from_millis(300));
        let kernel = processes.iter().map(|process| waited(process.pid()));
        (served(&host.scrape(), &cgroup), kernel.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1)))
    };
    thread::sleep(Duration::from_millis(500));
    let (before, kernel_before) = stop_and_look();
    tell(Signal::CONT);
    thread::sleep(Duration::from_secs(4));
    let (after, kernel_after) = stop_and_look();
    let (sum, count) = (after.0 - before.0, after.1 - before.1);
    let (kernel_sum, kernel_count) = (kernel_after.0 - kernel_before.0, kernel_after.1 - kernel_before.1);
    let kernel_sum = kernel_sum as f64 / 1e9;
    eprintln!("{sum} s in {count} waits; schedstat: {kernel_sum} s in {kernel_count}");
    assert!(kernel_sum > 1.0, "three processes on one CPU wait for it: {kernel_sum}");
    assert!((sum - kernel_sum).abs() <= kernel_sum * 0.01, "{sum} s, schedstat has {kernel_sum} s");
    let difference = (count - kernel_count as f64).abs();
    assert!(difference <= kernel_count as f64 * 0.01 + 6.0, "{count} waits, schedstat has {kernel_count}");
    drop(processes);
    drop(cgroup);
    // A machine that starts a container a second would be full of series otherwise.
    wait_until("the end of the cgroup's series", Duration::from_secs(30), || {
        let served = host.scrape();
        let is_of_it = |label: &String| label.contains(&name);
        let left = served.samples().filter(|sample| sample.labels.get("cgroup").is_some_and(is_of_it)).count();
        (left == 0).then_some(())
    });
    host.stop();
}
