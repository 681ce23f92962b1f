//! The packages that count what a CPU does, on kernels of other lines: all their programs are attached, and known loads are counted. The kernel
//! of this machine refuses programs at the entry of functions, so `throttle` counts only here.

use ebhost_tests::{Exposition, Folder, committed, copy_package, needs};

use crate::guest::{Console, Guest};

const PACKAGES: [&str; 9] =
    ["hardirqs", "oncpu", "processes", "runqlat", "runqlen", "sched", "signals", "softirqs", "throttle"];
const SETTINGS: &str = "plugins: { oncpu: on, runqlat: on, sched: on, signals: on, softirqs: on, throttle: on }\n";

/// The growth of the sum of all samples with these labels between the two scrapes.
fn grown(console: &Console, name: &str, labels: &[(&str, &str)]) -> f64 {
    let fits = |sample: &&ebhost_tests::Sample| {
        sample.name == name
            && labels.iter().all(|(label, value)| sample.labels.get(*label).is_some_and(|own| own == value))
    };
    let total = |served: Exposition| served.samples().filter(fits).map(|sample| sample.value).sum::<f64>();
    total(console.served("metrics after")) - total(console.served("metrics before"))
}

/// The growth of the first number in the line of a kernel's file that begins with this word.
fn kernel(console: &Console, file: &str, word: &str) -> f64 {
    let number = |moment| {
        let lines = console.section(&format!("{file} {moment}")).lines();
        let mut rests = lines.filter_map(|line| line.trim_start().strip_prefix(word));
        rests.find_map(|rest| rest.split_whitespace().next()?.parse::<f64>().ok()).expect("the kernel has this line")
    };
    number("after") - number("before")
}

/// How programs get to the functions of the kernel that have no tracepoint.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hooks {
    Best,
    /// As on a kernel that runs no program at the entry and exit of a function.
    Kprobes,
}

fn counts_on(line: &str, packages: &[&str], hooks: Hooks) {
    let guest = Guest::x86(line, "scheduler-init").with_cpus("1");
    guest.put_ebhost();
    let folder = Folder::new();
    for name in packages {
        copy_package(&committed().join(name), &folder.path().join(name));
    }
    if hooks == Hooks::Kprobes {
        let best = "[[end_fexit, end_kretprobe], [begin_fentry, begin_kprobe]]";
        folder.amend("throttle", best, "[end_kretprobe, begin_kprobe]");
    }
    guest.put(folder.path(), "plugins/scheduler");
    guest.put(&folder.path().join("processes"), "plugins/first/processes");
    guest.write("settings.yaml", SETTINGS.as_bytes());
    let console = guest.boot();
    assert!(console.section("release").starts_with(line), "{}", console.section("release"));
    let log = console.section("log scheduler");
    for package in packages {
        assert!(log.lines().any(|line| line.contains("package runs") && line.contains(package)), "{package}:\n{log}");
    }
    let exits = ["success", "failure", "signal"]
        .map(|reason| grown(&console, "ebhost_process_exits_total", &[("reason", reason)]));
    assert!(exits[0] >= 30.0 && exits[1] >= 30.0 && exits[2] >= 30.0, "success, failure, signal: {exits:?}");
    // Between reading a counter of the kernel and the scrape a few more processes are started, and tasks switched.
    let near = |what: &str, served: f64, kernel: f64, slack: f64| {
        eprintln!("{line}: {what}: {served}, the kernel has {kernel}");
        assert!((served - kernel).abs() <= slack, "{line}: {what}: found {served}, the kernel has {kernel}");
    };
    near("forks", grown(&console, "ebhost_process_forks_total", &[]), kernel(&console, "stat", "processes "), 12.0);
    let switches = kernel(&console, "stat", "ctxt ");
    near("switches", grown(&console, "ebhost_context_switches_total", &[]), switches, 200.0 + switches * 0.05);
    let timers = kernel(&console, "softirqs", "TIMER:");
    near(
        "timers",
        grown(&console, "ebhost_softirq_seconds_count", &[("vector", "timer")]),
        timers,
        100.0 + timers * 0.05,
    );
    if packages.contains(&"runqlat") {
        assert!(grown(&console, "ebhost_runqueue_length_count", &[]) > 100.0);
        assert!(grown(&console, "ebhost_runqueue_latency_seconds_count", &[]) > 100.0);
    }
    assert!(grown(&console, "ebhost_signals_sent_total", &[("signal", "SIGKILL"), ("result", "delivered")]) >= 30.0);
    if packages.contains(&"throttle") {
        let throttled = grown(&console, "ebhost_cpu_throttled_seconds_sum", &[("cgroup", "/quota")]);
        let accounted = kernel(&console, "quota", "throttled_usec") / 1e6;
        assert!(accounted > 1.0, "the process had a fifth of the CPU: {accounted} s");
        near("seconds throttled", throttled, accounted, accounted * 0.001);
    }
}

#[test]
fn what_a_cpu_does_is_counted_on_5_10() {
    needs!(Guest);
    // Programs on tracepoints may store values with tasks from 5.13 on, and know the current task from 5.11 on.
    let later = ["oncpu", "runqlat", "runqlen"];
    let packages: Vec<_> = PACKAGES.into_iter().filter(|name| !later.contains(name)).collect();
    counts_on("5.10", &packages, Hooks::Best);
}

#[test]
fn what_a_cpu_does_is_counted_on_6_1() {
    needs!(Guest);
    counts_on("6.1", &PACKAGES, Hooks::Best);
}

#[test]
fn what_a_cpu_does_is_counted_on_6_12() {
    needs!(Guest);
    counts_on("6.12", &PACKAGES, Hooks::Best);
}

#[test]
fn what_a_cpu_does_is_counted_on_7_3() {
    needs!(Guest);
    counts_on("7.3", &PACKAGES, Hooks::Best);
}

#[test]
fn throttled_time_is_counted_where_functions_have_kprobes_alone() {
    needs!(Guest);
    counts_on("6.1", &["processes", "sched", "signals", "softirqs", "throttle"], Hooks::Kprobes);
}
