//! The package of forty lines of C and forty of Rust that `ebhost new --from runqlat` writes, against the scheduler's own accounting.

use std::{fs, thread, time::Duration};

use ebhost_tests::{Cgroup, Ebhost, Running, needs};
use rustix::process::Signal;

use crate::kit::runqlat;

/// The time that a process waited for a CPU in seconds, and how often it got one.
fn waited(pid: u32) -> [f64; 2] {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).expect("it runs");
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    [numbers[1] / 1e9, numbers[2]]
}

#[test]
fn the_package_of_forty_lines_counts_what_schedstat_has() {
    needs!(Root, Cgroup2, Tool("clang-19"), Tool("cargo"), Tool("taskset"), Tool("perl"), File("/proc/self/schedstat"));
    let (folder, _) = runqlat();
    let host = Ebhost::start(folder.path());
    let cgroup = Cgroup::new(&format!("ebhost-forty-{}", std::process::id()));
    // Two processes that want one CPU.
    let start = || Running::start(cgroup.starter().args(["taskset", "-c", "0", "perl", "-e", "while (1) {}"]));
    let processes = [start(), start()];
    let tell = |signal| processes.iter().for_each(|process| process.tell(signal));
    // Both stand still while they are looked at. The first look leaves out what they did in the cgroup in which they were started.
    let stop_and_look = || {
        tell(Signal::STOP);
        thread::sleep(Duration::from_millis(300));
        let served = host.scrape();
        let value = |name: &str| served.value(name, &[("cgroup", cgroup.path())]).unwrap_or_default();
        let counted = [value("ebhost_runqlat_latency_seconds_sum"), value("ebhost_runqlat_latency_seconds_count")];
        let kernel = processes.each_ref().map(|process| waited(process.pid()));
        (counted, [kernel[0][0] + kernel[1][0], kernel[0][1] + kernel[1][1]])
    };
    thread::sleep(Duration::from_millis(500));
    let (counted_before, kernel_before) = stop_and_look();
    tell(Signal::CONT);
    thread::sleep(Duration::from_secs(3));
    let (counted_after, kernel_after) = stop_and_look();
    let [sum, count] = [0, 1].map(|at| counted_after[at] - counted_before[at]);
    let [kernel_sum, kernel_count] = [0, 1].map(|at| kernel_after[at] - kernel_before[at]);
    assert!(kernel_sum > 1.0, "two processes on one CPU wait for it: {kernel_sum}");
    assert!((sum - kernel_sum).abs() <= kernel_sum * 0.01, "{sum} s, schedstat has {kernel_sum} s");
    let difference = (count - kernel_count).abs();
    assert!(difference <= kernel_count * 0.01 + 4.0, "{count} waits, schedstat has {kernel_count}");
    drop(processes);
    host.stop();
}
