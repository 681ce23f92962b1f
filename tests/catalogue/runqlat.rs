//! The package runqlat against the scheduler's own accounting, wait by wait and in all.

use std::time::Duration;

use ebhost_tests::{
    Cgroup, Ebhost, Exposition, Folder, Running, Waits, alone, committed, needs, waits_served_and_of_kernel,
};

fn host(settings: &str) -> (Folder, Ebhost) {
    let folder = Folder::new();
    folder.copy(&committed().join("runqlat"));
    folder.set(settings);
    let host = Ebhost::start(folder.path());
    (folder, host)
}

/// Two processes that are preempted and one that is woken, on one CPU; and the sum and count of what they waited when all are stopped, in
/// the histogram that `served` reads, and in the kernel.
fn measured(cgroup: &Cgroup, host: &Ebhost, cpus: &str, served: impl Fn(&Exposition) -> Waits) -> [Waits; 2] {
    let (busy, woken) = ("while (1) {}", "while (1) { select undef, undef, undef, 0.002; for (1..20000) {} }");
    // `taskset` becomes perl. The shell before it waits, too, but in the test's own cgroup until it moves itself.
    let start = |script: &str| Running::start(cgroup.starter().args(["taskset", "-c", cpus, "perl", "-e", script]));
    let processes = [start(busy), start(busy), start(woken)];
    waits_served_and_of_kernel(&processes, Duration::from_secs(2), have_equal_sums, || served(&host.scrape()))
}

fn have_equal_sums([served, kernel]: &[Waits; 2]) -> bool {
    (served.seconds - kernel.seconds).abs() < 1e-6
}

/// The sums are equal. The kernel counts a few more arrivals on a CPU than it reports switches to the task, one in fifty at most.
fn assert_equal(waits: [Waits; 2]) {
    let [served, kernel] = waits;
    // On two CPUs that nobody else uses they hardly wait.
    assert!(kernel.seconds > 0.01 && kernel.count > 100.0, "three processes wait for a CPU: {kernel:?}");
    assert!(have_equal_sums(&waits), "found {} s, schedstat has {} s", served.seconds, kernel.seconds);
    let difference = kernel.count - served.count;
    assert!(
        (0.0..=kernel.count * 0.02 + 5.0).contains(&difference),
        "{} waits, schedstat has {}",
        served.count,
        kernel.count
    );
}

#[test]
fn waits_equal_those_in_schedstat_to_the_nanosecond() {
    needs!(Root, Cgroup2, Tool("taskset"), Tool("perl"), File("/proc/self/schedstat"));
    let _alone = alone();
    let (_folder, host) = host("plugins: { runqlat: on }\n");
    let cgroup = Cgroup::new(&format!("ebhost-waits-{}", std::process::id()));
    let served = |served: &Exposition| {
        let value = |name: &str| served.value(name, &[("cgroup", cgroup.path())]).unwrap_or_default();
        let (sum, count) = ("ebhost_runqueue_latency_seconds_sum", "ebhost_runqueue_latency_seconds_count");
        Waits { seconds: value(sum), count: value(count) }
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
        let (sum, count) = ("ebhost_runqueue_latency_seconds_sum", "ebhost_runqueue_latency_seconds_count");
        Waits { seconds: value(sum), count: value(count) }
    };
    assert_equal(measured(&cgroup, &host, "0", served));
    host.stop();
}
