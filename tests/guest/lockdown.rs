//! A kernel that is locked down, as with Secure Boot, and more strictly: what it lets run counts, and each program that it refuses to root says
//! that lockdown forbids it.

use std::path::Path;

use ebhost_tests::{
    Folder,
    everything::{HOPELESS, Marks, Slots, doer, left_out, write_package},
    llcstat, needs,
};

use crate::{
    disk::stat,
    guest::{Console, Guest},
};

/// The number of each operation in the virtual machine, as in lockdown-init.
const COUNT: u64 = 20;

fn booted(line: &str) -> Console {
    let guest = Guest::x86(line, "lockdown-init")
        .with_parameters("lockdown=confidentiality lsm=lockdown,bpf nvme_core.multipath=N");
    let image = guest.disk_image(16 << 20);
    let guest = guest.with_devices(&format!(
        "-drive file={},if=none,id=n,format=raw -device nvme,serial=a,drive=n",
        image.display()
    ));
    guest.put_ebhost();
    guest.put_program(&doer(), "ebhostdo");
    guest.put_kernel_config();
    let folder = Folder::with_biolatency();
    let marks = Marks { name: "ebhostdo".to_owned(), port: 39_123 };
    write_package(&folder.path().join("everything"), Path::new("/bin/ebhostdo"), &marks);
    let events = "software/page-faults, software/context-switches";
    llcstat::add(folder.path(), "llcstat", &llcstat::charged("comm", events, "faults, switches"));
    llcstat::add(
        folder.path(),
        "traced",
        "perf:\n  llc: { events: [tracepoint/sched/sched_switch, software/page-faults] }\n\
                                           config: { names: [traced_switches, traced_faults] }\n",
    );
    guest.put(folder.path(), "plugins/locked");
    guest.boot()
}

/// Programs at kernel functions and tracepoints of tracefs, and those that read kernel memory by a helper.
const LOCKED: [&str; 10] = [
    "on_kprobe",
    "on_kprobe_session",
    "on_kprobes",
    "on_kretprobe",
    "on_kretprobes",
    "on_no_tracepoint",
    "on_system_call",
    "on_task",
    "on_tracepoint",
    "on_usdt",
];

/// `absent`: programs that are left out for another reason, namely that this kernel is too old.
fn locked_down(line: &str, absent: &[&str]) {
    let console = booted(line);
    assert!(console.section("mode").contains("[confidentiality]"), "{}", console.section("mode"));
    let (served, log) = (console.served("metrics"), console.section("log locked"));

    let completed = stat(&console, "stat after")[0] - stat(&console, "stat before")[0];
    assert!(completed >= 100, "{completed}");
    let labels = [("device", "nvme0n1"), ("operation", "read")];
    let histogram = served.histogram("ebhost_bio_latency_seconds", &labels);
    assert_eq!(histogram.map(|histogram| histogram.count), Some(completed), "{log}");
    let faults = served.value("ebhost_faults_by_comm_total", &[("comm", "ebhostdo")]);
    assert!(faults > Some(0.0), "events are attributed to the command: {log}");

    let absent_event = "perf event tracepoint/sched/sched_switch of `llc` is absent";
    let line = log.lines().find(|line| line.contains(absent_event)).unwrap_or_else(|| panic!("in: {log}"));
    assert!(
        line.contains("locked down, in the mode `confidentiality`, which forbids tracepoints to every user"),
        "{line}"
    );

    let out = left_out(&served);
    let out = |reason: &str| -> Vec<&str> {
        out.iter().filter(|(_, found)| found == reason).map(|(program, _)| program.as_str()).collect()
    };
    assert_eq!(out("denied"), LOCKED, "{log}");
    assert!(out("not_permitted").is_empty(), "capabilities are there: {log}");
    let others = served.samples().filter(|sample| sample.name == "ebhost_program_attached" && sample.value == 0.0);
    let expected = HOPELESS.iter().map(|(program, _)| *program).chain(absent.iter().copied()).chain(LOCKED);
    let mut expected: Vec<_> = expected.collect();
    expected.sort_unstable();
    expected.dedup();
    let mut others: Vec<_> = others.map(|sample| sample.labels["program"].as_str()).collect();
    others.sort_unstable();
    assert_eq!(others, expected, "{log}");
    for program in LOCKED {
        let line = log.lines().find(|line| line.contains(&format!("program `{program}` ")));
        let line = line.unwrap_or_else(|| panic!("{program} has no line in: {log}"));
        assert!(line.contains("is locked down, in the mode `confidentiality`"), "{line}");
        assert!(!line.contains("CAP_") && !line.contains("all rights are there"), "{line}");
    }
    Slots::of(&served).assert(&[
        ("RAW_TRACEPOINT", COUNT),
        ("TYPED_TRACEPOINT", COUNT),
        ("UPROBE", COUNT),
        ("XDP", COUNT),
    ]);
}

#[test]
fn what_lockdown_forbids_says_so_and_the_rest_counts_on_6_1() {
    needs!(Guest, Tool("clang-19"));
    // They need tcx links (6.6), a kernel function (6.2) and a session at a user's function (6.13).
    locked_down("6.1", &["on_ingress", "on_egress", "calls_the_kernel", "on_uprobe_session"]);
}

#[test]
fn what_lockdown_forbids_says_so_and_the_rest_counts_on_the_newest_kernel() {
    needs!(Guest, Tool("clang-19"));
    locked_down("7.3", &[]);
}
