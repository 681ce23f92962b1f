//! The package sched against /proc/stat, and against what the kernel counts for each process.

use std::{fs, thread, time::Duration};

use ebhost_tests::{Cgroup, Running, alone, needs, wait_until_stopped};
use rustix::process::Signal;

use crate::source::{Package, numbers, sum};

#[test]
fn all_context_switches_are_those_of_proc_stat() {
    needs!(Root, Tool("perl"));
    let _alone = alone();
    let package = Package::start("sched", "");
    let kernel = || vec![("ctxt".to_owned(), numbers("/proc/stat", "ctxt")[0] as f64)];
    package.assert_increases_equal(
        kernel,
        |served, _| sum(served, "ebhost_context_switches_total", |_| true),
        // Each CPU counts a switch before it reports it.
        64.0,
        // Each sleep is a switch at least.
        || (0..500).for_each(|_| thread::sleep(Duration::from_millis(2))),
    );
    package.host.stop();
}

/// The kinds of switches and the migrations of a process, as the kernel has counted them.
fn counted(pid: u32) -> [f64; 3] {
    let status = format!("/proc/{pid}/status");
    let status = |word: &str| numbers(&status, word)[0] as f64;
    let sched = fs::read_to_string(format!("/proc/{pid}/sched")).expect("the kernel has CONFIG_SCHED_DEBUG");
    let migrations = sched.lines().find_map(|line| line.strip_prefix("se.nr_migrations"));
    let migrations = migrations.and_then(|rest| rest.rsplit(' ').next()?.parse().ok()).expect("a number");
    [status("voluntary_ctxt_switches:"), status("nonvoluntary_ctxt_switches:"), migrations]
}

#[test]
fn switches_and_migrations_of_a_cgroup_are_those_of_its_processes() {
    needs!(Root, Cgroup2, Tool("perl"), File("/proc/self/sched"));
    let _alone = alone();
    let package = Package::start("sched", "cg: cgroup");
    let cgroup = Cgroup::new(&format!("ebhost-sched-{}", std::process::id()));
    let script = "while (1) { select undef, undef, undef, 0.001; for (1..30000) {} }";
    let start = || Running::start(cgroup.starter().args(["perl", "-e", script]));
    let processes = [start(), start(), start(), start()];
    thread::sleep(Duration::from_millis(500));
    let stopped = || {
        processes.iter().for_each(|process| process.tell(Signal::STOP));
        processes.iter().for_each(wait_until_stopped);
        thread::sleep(Duration::from_millis(100)); // the last switch comes a moment later
        let mut kernel = [0.0; 3];
        for process in &processes {
            kernel.iter_mut().zip(counted(process.pid())).for_each(|(sum, count)| *sum += count);
        }
        let switches =
            |kind| package.value("ebhost_context_switches_total", &[("cgroup", cgroup.path()), ("kind", kind)]);
        let migrations = package.value("ebhost_cpu_migrations_total", &[("cgroup", cgroup.path())]);
        (kernel, [switches("voluntary"), switches("involuntary"), migrations])
    };
    let before = stopped();
    processes.iter().for_each(|process| process.tell(Signal::CONT));
    thread::sleep(Duration::from_secs(2));
    let after = stopped();
    let kernel: Vec<f64> = after.0.iter().zip(before.0).map(|(after, before)| after - before).collect();
    let served: Vec<f64> = after.1.iter().zip(before.1).map(|(after, before)| after - before).collect();
    eprintln!("served {served:?}, the kernel {kernel:?}");
    assert!(kernel[0] > 100.0 && kernel[1] > 10.0, "{kernel:?}");
    for (served, kernel) in served.iter().zip(&kernel) {
        assert!((served - kernel).abs() <= kernel * 0.02 + 5.0, "found {served}, the kernel counted {kernel}");
    }
    drop(processes);
    package.host.stop();
}
