//! The package runqlat against the scheduler's own accounting.

use std::time::Duration;

use ebhost_tests::{
    Cgroup, Ebhost, Exposition, Folder, Running, Waits, alone, assert_waits_are_counted, committed, needs, wait_until,
};

/// The sum and the count of a cgroup's histogram.
fn served(served: &Exposition, cgroup: &Cgroup) -> Waits {
    let labels = [("cgroup", cgroup.path())];
    let value = |name: &str| served.value(name, &labels).unwrap_or_default();
    Waits {
        seconds: value("ebhost_runqueue_latency_seconds_sum"),
        count: value("ebhost_runqueue_latency_seconds_count"),
    }
}

#[test]
fn waits_for_a_cpu_equal_those_in_schedstat() {
    needs!(Root, Cgroup2, Tool("taskset"), Tool("perl"), File("/proc/self/schedstat"));
    let _alone = alone();
    let folder = Folder::new();
    folder.copy(&committed().join("runqlat"));
    folder.set("plugins: { runqlat: on }\n");
    let host = Ebhost::start(folder.path());
    let name = format!("ebhost{}", std::process::id());
    let cgroup = Cgroup::new(&name);
    // Three processes without children that want one CPU. Two are preempted, one is woken.
    let (busy, woken) = ("while (1) {}", "while (1) { select undef, undef, undef, 0.002; for (1..20000) {} }");
    let start = |script: &str| Running::start(cgroup.starter().args(["taskset", "-c", "0", "perl", "-e", script]));
    let processes = [start(busy), start(busy), start(woken)];
    assert_waits_are_counted(&processes, Duration::from_secs(4), || served(&host.scrape(), &cgroup));
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
