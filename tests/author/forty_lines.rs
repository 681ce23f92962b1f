//! The package of forty lines of C and forty of Rust that `ebhost new --from runqlat` writes, against the scheduler's own accounting.

use std::time::Duration;

use ebhost_tests::{Cgroup, Ebhost, Running, Waits, assert_waits_are_counted, needs};

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
    assert_waits_are_counted(&processes, Duration::from_secs(3), || {
        let served = host.scrape();
        let value = |name: &str| served.value(name, &[("cgroup", cgroup.path())]).unwrap_or_default();
        Waits {
            seconds: value("ebhost_runqlat_latency_seconds_sum"),
            count: value("ebhost_runqlat_latency_seconds_count"),
        }
    });
    drop(processes);
    host.stop();
}
