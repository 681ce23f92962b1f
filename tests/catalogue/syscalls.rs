//! System calls, their errors and their times, against strace and against calls that wait for a known time.

use std::{collections::BTreeMap, fs, process::Command};

use ebhost_tests::{Ebhost, Exposition, Folder, alone, committed, needs, output};

/// Calls that no other program on the machine makes, as a script of perl: 700 that succeed and 300 that fail, and 500 of another kind.
fn rare_calls() -> String {
    let (interval, personality) = (libc::SYS_sched_rr_get_interval, libc::SYS_personality);
    format!(
        "my $time = ' ' x 64; for (1..700) {{ syscall({interval}, 0, $time) }} for (1..300) {{ syscall({interval}, -1, $time) }} \
         for (1..500) {{ syscall({personality}, 0xffffffff) }}"
    )
}

fn host(folder: &Folder, settings: &str) -> Ebhost {
    folder.copy(&committed().join("syscalls"));
    folder.set(settings);
    Ebhost::start(folder.path())
}

/// The calls and errors of each kind of call in strace's table.
fn counted_by_strace(table: &str) -> BTreeMap<String, (f64, f64)> {
    let row = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let (name, calls) = (fields.last()?, fields.get(3)?.parse().ok()?);
        let errors = if fields.len() == 6 { fields[4].parse().ok()? } else { 0.0 };
        Some(((*name).to_owned(), (calls, errors)))
    };
    table.lines().filter_map(row).collect()
}

/// The calls of this name, and those that failed with this error.
fn served(served: &Exposition, call: &str, errno: &str) -> (f64, f64) {
    let value = |name: &str, labels: &[(&str, &str)]| served.value(name, labels).unwrap_or_default();
    let errors = value("ebhost_syscall_errors_total", &[("syscall", call), ("errno", errno)]);
    (value("ebhost_syscalls_total", &[("syscall", call)]), errors)
}

#[test]
fn calls_and_errors_equal_those_that_strace_counts() {
    needs!(Root, Tool("strace"), Tool("perl"));
    let _alone = alone();
    let folder = Folder::new();
    let host = host(&folder, "plugins: { syscalls: on }\n");
    let table = folder.path().join("table");
    let before = host.scrape();
    output(Command::new("strace").args(["-f", "-c", "-o"]).arg(&table).args(["perl", "-e", &rare_calls()]));
    let after = host.scrape();
    let strace = counted_by_strace(&fs::read_to_string(&table).expect("strace has written it"));
    for call in ["sched_rr_get_interval", "personality"] {
        let (first, last) = (served(&before, call, "EINVAL"), served(&after, call, "EINVAL"));
        assert_eq!((last.0 - first.0, last.1 - first.1), strace[call], "{call}: calls and errors");
    }
    assert_eq!(strace["sched_rr_get_interval"], (1000.0, 300.0));
    // A call that never returns is counted, too.
    let exits =
        |served: &Exposition| served.value("ebhost_syscalls_total", &[("syscall", "exit_group")]).unwrap_or_default();
    assert!(exits(&after) > exits(&before));
    host.stop();
}

#[test]
fn a_call_that_waits_nine_milliseconds_is_in_the_bucket_of_nine_milliseconds() {
    needs!(Root, Tool("perl"));
    let _alone = alone();
    for (kind, bounds) in [("classic", (0.008192, 0.016384)), ("native", (0.0078125, 0.015625))] {
        let folder = Folder::new();
        let host = host(&folder, &format!("plugins: {{ syscalls: {{ seconds: {kind} }} }}\n"));
        let wait = libc::SYS_rt_sigtimedwait;
        let script = format!(
            "my $set = pack('Q', 1 << 9); my $time = pack('qq', 0, 9_000_000); for (1..50) {{ syscall({wait}, $set, 0, $time, 8) }}"
        );
        output(Command::new("perl").args(["-e", &script]));
        let served = host.scrape();
        let waits = served.histogram("ebhost_syscall_seconds", &[("syscall", "rt_sigtimedwait")]).expect("50 calls");
        assert_eq!(waits.count, 50, "{kind}");
        assert_eq!(waits.at_most(bounds.0), 0, "{kind}: {waits:?}");
        // A busy machine wakes some later.
        assert!(waits.at_most(bounds.1) >= 25, "{kind}: {waits:?}");
        assert!(waits.sum >= 50.0 * 0.009, "{kind}: {waits:?}");
        assert_eq!(
            served.value("ebhost_syscall_errors_total", &[("syscall", "rt_sigtimedwait"), ("errno", "EAGAIN")]),
            Some(50.0)
        );
        host.stop();
    }
}
