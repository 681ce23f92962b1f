//! Counts attributed to a process, compared with perf(1) on the same process and PMU.

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use ebhost_tests::{Ebhost, Exposition, Folder, Running, alone, llcstat, needs, output, skip, wait_until};

use crate::toucher::Toucher;

/// perf(1), counting events of one process from its start until it is stopped.
struct Stat {
    process: Running,
    folder: Folder,
}

impl Stat {
    fn of(process: u32, events: &[&str]) -> Self {
        let folder = Folder::new();
        let mut command = Command::new("perf");
        command.args(["stat", "-x", ",", "-e", &events.join(","), "-p", &process.to_string(), "-o"]);
        let running = Running::start(command.arg(folder.path().join("stat")));
        let links = format!("/proc/{}/fd", running.pid());
        wait_until("the counters of perf", Duration::from_secs(10), || {
            let files = fs::read_dir(&links).ok()?.flatten().filter_map(|file| fs::read_link(file.path()).ok());
            (files.filter(|file| file.to_string_lossy().contains("[perf_event]")).count() >= events.len()).then_some(())
        });
        // perf starts counting after it has opened all events.
        std::thread::sleep(Duration::from_millis(300));
        Self { process: running, folder }
    }

    /// Stops it; returns its counts in the order of the events.
    fn counts(mut self) -> Vec<f64> {
        self.process.interrupt();
        self.process.wait(Duration::from_secs(10));
        counts(&fs::read_to_string(self.folder.path().join("stat")).expect("perf wrote it"))
    }
}

/// The counts in perf's lines of `value,unit,event,…`.
fn counts(csv: &str) -> Vec<f64> {
    let lines = csv.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let value = |line: &str| line.split(',').next().and_then(|value| value.parse().ok());
    lines.map(|line| value(line).unwrap_or_else(|| panic!("perf counted nothing: {line}"))).collect()
}

/// The counts of two events for the same activity: those attributed to a process, and perf's.
fn both(events: &str, names: [&str; 2], perf: [&str; 2], order: &str) -> [[f64; 2]; 2] {
    let folder = llcstat::switched("pid", events, &names.join(", "));
    let host = Ebhost::start(folder.path());
    let mut toucher = Toucher::start();
    let pid = toucher.pid().to_string();
    let charged = |served: &Exposition| {
        names.map(|name| served.value(&format!("ebhost_{name}_by_pid_total"), &[("pid", &pid)]).unwrap_or_default())
    };
    for _ in 0..20 {
        // The process sleeps until it gets a command.
        let stat = Stat::of(toucher.pid(), &perf);
        let first = host.scrape();
        toucher.order(order);
        std::thread::sleep(Duration::from_millis(20));
        let last = host.scrape();
        let counts = stat.counts();
        let hidden = |served: &Exposition| {
            served.value(&format!("ebhost_{}_by_pid_total", names[0]), &[("pid", "unattributed")]).unwrap_or_default()
        };
        if hidden(&first) == hidden(&last) {
            let (first, last) = (charged(&first), charged(&last));
            return [[last[0] - first[0], last[1] - first[1]], [counts[0], counts[1]]];
        }
    }
    panic!("of 20 tries none without a switch that the kernel hid");
}

#[test]
fn switches_and_faults_equal_those_of_perf() {
    needs!(Root, Tool("perf"));
    let _alone = alone();
    let names = ["context_switches", "page_faults"];
    let perf = ["context-switches", "page-faults"];
    let [ours, theirs] = both("software/context-switches, software/page-faults", names, perf, "pages 500");
    assert!(theirs[0] >= 1.0 && theirs[1] >= 500.0, "{theirs:?}");
    assert_eq!(ours, theirs, "charged (left) and counted by perf (right)");
}

#[test]
fn cpu_time_equals_that_of_perf() {
    needs!(Root, Tool("perf"));
    let _alone = alone();
    let names = ["cpu_clock_ns", "page_faults"];
    let [ours, theirs] =
        both("software/cpu-clock, software/page-faults", names, ["cpu-clock", "page-faults"], "spin 200");
    // perf prints milliseconds.
    let (ours, theirs) = (ours[0] / 1e6, theirs[0]);
    // On a busy machine the process gets only a part of these 200 ms. Of that part a tenth, charged to nobody, would be noticed.
    assert!(theirs >= 20.0, "{theirs} ms");
    assert!((ours - theirs).abs() <= theirs * 0.02 + 0.5, "{ours} ms charged, {theirs} ms by perf");
}

#[test]
fn counts_of_a_tracepoint_equal_those_of_perf() {
    needs!(Root, Tool("perf"));
    let _alone = alone();
    if !fs::exists("/sys/kernel/tracing/events/syscalls/sys_enter_getppid").unwrap_or_default() {
        return skip("counts_of_a_tracepoint_equal_those_of_perf", "tracefs with syscalls at /sys/kernel/tracing");
    }
    let events = "tracepoint/syscalls/sys_enter_getppid, software/page-faults";
    let perf = ["syscalls:sys_enter_getppid", "page-faults"];
    let [ours, theirs] = both(events, ["getppid_calls", "page_faults"], perf, "getppid 555");
    assert_eq!(theirs[0], 555.0);
    assert_eq!(ours, theirs, "charged (left) and counted by perf (right)");
}

/// A PMU by its name in /sys/bus/event_source/devices, and an event by its name there.
#[test]
fn counts_of_a_pmu_by_name_equal_those_of_perf() {
    needs!(Root, Tool("perf"));
    let _alone = alone();
    if !fs::exists("/sys/bus/event_source/devices/msr/events/tsc").unwrap_or_default() {
        return skip("counts_of_a_pmu_by_name_equal_those_of_perf", "the PMU `msr` with its event `tsc`");
    }
    let folder = llcstat::alone(
        "perf:\n  llc: { events: [msr/tsc, software/page-faults] }\nconfig: { names: [tsc, page_faults] }\n",
    );
    let host = Ebhost::start(folder.path());
    let ticks = |cpu| {
        let (before, served) = (Instant::now(), host.scrape());
        let value = served.value("ebhost_tsc_total", &[("cpu", cpu)]).expect("a live event has a series");
        (before, Instant::now(), value)
    };
    let first = ticks("0");
    let perf = output(Command::new("sh").args(["-c", "perf stat -x , -e msr/tsc/ -C 0 sleep 1 2>&1"]));
    let last = ticks("0");
    // The format is value,unit,event,nanoseconds for which it counted,…
    let fields: Vec<f64> = perf.trim().split(',').filter_map(|field| field.parse().ok()).collect();
    let rate = fields[0] / fields[1];
    let grown = last.2 - first.2;
    let least = (last.0 - first.1).as_nanos() as f64 * rate;
    let most = (last.1 - first.0).as_nanos() as f64 * rate;
    assert!(grown >= least * 0.99 && grown <= most * 1.01, "{grown} ticks, by perf {least} to {most}");
    let state = host.scrape().value(
        "ebhost_perf_events",
        &[("plugin", "llcstat"), ("source", "llc"), ("event", "msr/tsc"), ("state", "live")],
    );
    assert!(state >= Some(1.0), "{state:?}");
    host.stop();
}
