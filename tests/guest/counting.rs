//! The tables of counts.h and the package runqlat on the oldest kernel that they support, on a machine that is built for many more CPUs than it
//! has; and the tables on arm64, whose memory order is weaker.

use std::{
    env,
    io::{self, Write as _},
    path::Path,
};

use ebhost_tests::{Exposition, Folder, committed, needs, workspace};

use crate::guest::{Console, Guest};

/// The calls of the processes, as in counting-init.
const READS: f64 = 30_000.0;

/// The keys that are counted, and the banks of a CPU, which have room for all of them.
const IDS: u64 = 32;
const BANKS: u32 = 64;

/// The first 8 bytes of the name of the processes.
const NAME: &[u8; 8] = b"dd\0\0\0\0\0\0";

/// Puts the package `counts` there. `read`: the number of the system call read(2).
fn put_counts(guest: &Guest, read: u32) {
    let folder = Folder::new();
    folder.copy(&workspace().join("bench/packages/counts"));
    for (from, to) in [
        ("programs: []", "programs: [in_process]".to_owned()),
        ("targ_ids: 1024", format!("targ_ids: {IDS}")),
        ("targ_comm: 0", format!("targ_comm: {}", u64::from_le_bytes(*NAME))),
        ("targ_getppid: 110", format!("targ_getppid: {read}")),
        (" calls: 256", format!(" calls: {BANKS} per cpu")),
        (" times: 256", format!(" times: {BANKS} per cpu")),
        (" truth: 1", format!(" truth: {IDS}")),
    ] {
        folder.amend("counts", from, &to);
    }
    guest.put(&folder.path().join("counts"), "plugins/counting/counts");
}

/// Every key was counted as often as the independent count says, in the banks of its CPU.
fn counts_are_exact(console: &Console) {
    let served = console.served("counts");
    let log = console.section("log counting");
    let all = |name: &str| -> Vec<f64> {
        let of_id = |id: u64| {
            let is_of_id = |sample: &&ebhost_tests::Sample| {
                sample.name == name && sample.labels.get("id").is_some_and(|label| *label == id.to_string())
            };
            served.samples().filter(is_of_id).map(|sample| sample.value).sum()
        };
        (0..IDS).map(of_id).collect()
    };
    let truth = all("ebhost_true_calls_total");
    assert!(truth.iter().sum::<f64>() >= READS, "{log}");
    assert_eq!((all("ebhost_calls_total"), all("ebhost_times_seconds_count")), (truth.clone(), truth), "{log}");
    let one = |name: &str| served.value(name, &[]);
    for table in ["calls", "times"] {
        let (spilled, entries) = (format!("ebhost_{table}_spilled_total"), format!("ebhost_{table}_spill_entries"));
        assert_eq!((one(&spilled), one(&entries)), (Some(0.0), Some(0.0)), "each CPU has {BANKS} banks: {log}");
    }
}

/// The waits of a cgroup are those of its processes, by the scheduler's own account.
fn waits_are_those_of_the_scheduler(console: &Console) {
    let numbers = console.numbers("schedstat");
    let kernel = numbers.chunks(3).map(|of_process| of_process[1] / 1e9).sum::<f64>();
    let served: Exposition = console.served("waits");
    let sum = served.value("ebhost_runqueue_latency_seconds_sum", &[("cgroup", "/tmp/cgroups/busy")]);
    let sum = sum.or_else(|| served.value("ebhost_runqueue_latency_seconds_sum", &[("cgroup", "/busy")]));
    let sum = sum.unwrap_or_else(|| panic!("no series of the cgroup: {}", console.section("log counting")));
    assert!(kernel > 3.0, "two processes on one CPU wait for it: {kernel} s");
    // The second waits are counted for the cgroup; the first ones, before the processes were in it, are not.
    assert!((sum - kernel).abs() <= kernel * 0.05, "{sum} s, schedstat has {kernel} s");
}

#[test]
fn counting_and_runqlat_work_on_5_10_with_128_possible_cpus() {
    needs!(Guest);
    let guest = Guest::x86("5.10", "counting-init").with_cpus("2,maxcpus=128");
    guest.put_ebhost();
    put_counts(&guest, 0);
    guest.put(&committed().join("runqlat"), "plugins/counting/runqlat");
    let console = guest.boot();
    assert_eq!(console.section("possible"), "0-127");
    counts_are_exact(&console);
    waits_are_those_of_the_scheduler(&console);
}

/// Runs only with EBHOST_ARM64, as the test in arm.rs: `cargo xtask arm64`.
#[test]
fn counting_on_arm64_equals_an_independent_count() {
    let Some(ebhost) = env::var_os("EBHOST_ARM64") else {
        let test = "counting_on_arm64_equals_an_independent_count";
        let _ = writeln!(io::stderr(), "skipped: {test} needs EBHOST_ARM64, an ebhost for arm64: cargo xtask arm64");
        return;
    };
    needs!(ArmGuest);
    let guest = Guest::arm("6.1", "counting-init");
    guest.put(Path::new(&ebhost), "bin/ebhost");
    put_counts(&guest, 63);
    let console = guest.boot();
    counts_are_exact(&console);
}
