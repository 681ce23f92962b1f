//! The package of forty lines of C and forty of Rust that `ebhost new --from runqlat` writes, against the scheduler's own accounting.

use std::{fs, thread, time::Duration};

use ebhost_tests::{Cgroup, Ebhost, Running, needs};
use rustix::process::Signal;

use crate::kit::runqlat;

#[test]
fn the_package_of_forty_lines_counts_what_schedstat_has() {
    needs!(Root, Cgroup2, Tool("clang-19"), Tool("cargo"), Tool("taskset"), Tool("perl"), File("/proc/self/schedstat"));
    let (folder, _) = runqlat();
    let host = Ebhost::start(folder.path());
    let cgroup = Cgroup::new(&format!("ebhost-forty-{}", std::process::id()));
    // Two processes that want one CPU.
    let start = || Running::start(cgroup.starter().args(["taskset", "-c", "0", "perl", "-e", "while (1) {}"]));
    let processes = [start(), start()];
    thread::sleep(Duration::from_secs(3));
    processes.iter().for_each(|process| process.tell(Signal::STOP));
    thread::sleep(Duration::from_millis(300));
    let served = host.scrape();
    let value = |name: &str| served.value(name, &[("cgroup", cgroup.path())]).unwrap_or_default();
    let (sum, count) = (value("ebhost_runqlat_latency_seconds_sum"), value("ebhost_runqlat_latency_seconds_count"));
    let kernel = processes.each_ref().map(|process| {
        let text = fs::read_to_string(format!("/proc/{}/schedstat", process.pid())).expect("it runs");
        let numbers: Vec<f64> = text.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        (numbers[1] / 1e9, numbers[2])
    });
    let (kernel_sum, kernel_count) = (kernel[0].0 + kernel[1].0, kernel[0].1 + kernel[1].1);
    assert!(kernel_sum > 1.0, "two processes on one CPU wait for it: {kernel_sum}");
    assert!((sum - kernel_sum).abs() <= kernel_sum * 0.01, "{sum} s, schedstat has {kernel_sum} s");
    // Their first waits were counted for the cgroup in which they were started.
    let difference = (count - kernel_count).abs();
    assert!(difference <= kernel_count * 0.01 + 20.0, "{count} waits, schedstat has {kernel_count}");
    drop(processes);
    host.stop();
}
