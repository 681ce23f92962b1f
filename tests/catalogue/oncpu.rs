//! The package oncpu against the scheduler's accounting of a process, and against a program that sleeps for a known time.

use std::{fs, thread, time::Duration};

use ebhost_tests::{Cgroup, Running, alone, needs, output, wait_until_stopped};
use rustix::process::Signal;

use crate::source::Package;

/// The time that a process ran, in seconds.
fn ran(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).expect("it runs, and the kernel has schedstat");
    text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).expect("a number") / 1e9
}

#[test]
fn time_on_the_cpu_is_what_the_scheduler_accounts() {
    needs!(Root, Cgroup2, Tool("perl"), File("/proc/self/schedstat"));
    let _alone = alone();
    let package = Package::start("oncpu", "cg: cgroup");
    let cgroup = Cgroup::new(&format!("ebhost-oncpu-{}", std::process::id()));
    let busy = Running::start(cgroup.starter().args(["perl", "-e", "while (1) { for (1..100000) {} }"]));
    thread::sleep(Duration::from_millis(500));
    let stopped = || {
        busy.tell(Signal::STOP);
        wait_until_stopped(&busy);
        thread::sleep(Duration::from_millis(100)); // the switch itself comes a moment later
        (ran(busy.pid()), package.value("ebhost_oncpu_seconds_sum", &[("cgroup", cgroup.path())]))
    };
    let before = stopped();
    busy.tell(Signal::CONT);
    thread::sleep(Duration::from_secs(2));
    let after = stopped();
    let (kernel, served) = (after.0 - before.0, after.1 - before.1);
    eprintln!("{served} s, the scheduler has {kernel} s");
    // The scheduler leaves out the time of interrupts.
    assert!(kernel > 0.3 && (served - kernel).abs() <= kernel * 0.03, "{served} s, the scheduler has {kernel} s");
    drop(busy);
    package.host.stop();
}

#[test]
fn sleeps_are_time_off_the_cpu_by_their_state() {
    needs!(Root, Cgroup2, Tool("perl"));
    let _alone = alone();
    for histograms in ["classic", "native"] {
        let package = Package::start("oncpu", &format!("cg: cgroup, histograms: {histograms}"));
        let cgroup = Cgroup::new(&format!("ebhost-sleeps-{}", std::process::id()));
        let labels = [("cgroup", cgroup.path()), ("state", "interruptible")];
        let value = |end: &str| package.value(&format!("ebhost_offcpu_seconds_{end}"), &labels);
        // The kernel hides some switches from every program (see kernel/counts.rs), so a run that lacks a sleep is repeated.
        let is_whole = (0..10).any(|_| {
            let before = (value("count"), value("sum"));
            output(cgroup.starter().args(["perl", "-e", "select undef, undef, undef, 0.05 for 1..20"]));
            let (count, sum) = (value("count") - before.0, value("sum") - before.1);
            eprintln!("{count} sleeps, {sum} s");
            count >= 20.0 && (1.0..1.5).contains(&sum)
        });
        assert!(is_whole, "20 sleeps of 50 ms, in none of the runs above");
        package.host.stop();
    }
}
