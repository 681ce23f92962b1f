//! What each thread may do once the start is over.

use std::{collections::BTreeMap, fs};

use ebhost_tests::{Ebhost, Folder, alone, llcstat, needs};

use crate::rig::start;

const BPF: u64 = 1 << 39;
const PERFMON: u64 = 1 << 38;
const SYSLOG: u64 = 1 << 34;

/// Effective and permitted capabilities by thread name; and every thread has no new privileges.
fn capabilities(host: &Ebhost) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for task in fs::read_dir(format!("/proc/{}/task", host.pid())).expect("it runs") {
        let status = fs::read_to_string(task.expect("it runs").path().join("status")).expect("it runs");
        let field =
            |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("").trim().to_owned();
        assert_eq!(field("NoNewPrivs:"), "1", "{status}");
        let set = |name: &str| u64::from_str_radix(&field(name), 16).expect("a set in hexadecimal");
        assert_eq!(set("CapEff:"), set("CapPrm:"), "{status}");
        *all.entry(field("Name:")).or_insert(0) |= set("CapEff:");
    }
    all
}

#[test]
fn threads_keep_what_their_work_needs() {
    needs!(Root);
    let _alone = alone();
    let folder = Folder::with_biolatency();
    let host = start(&folder, &[]);
    let had = capabilities(&host);
    for (thread, capabilities) in &had {
        let most = match thread.as_str() {
            "agent" => BPF | SYSLOG,
            "loader" => BPF | PERFMON,
            _ => 0,
        };
        assert_eq!(capabilities & !most, 0, "{thread}: {capabilities:x}");
    }
    assert_eq!(had["loader"], BPF | PERFMON);
    assert_eq!(had["agent"] & BPF, BPF);
    host.stop();
}

#[test]
fn one_thread_opens_perf_events_and_those_that_read_cannot() {
    needs!(Root);
    let _alone = alone();
    let folder = llcstat::alone("perf:\n  llc: { events: [software/page-faults, software/context-switches] }\n");
    let host = start(&folder, &["--reload", "off"]);
    let had = capabilities(&host);
    assert_eq!(had["perf events"], BPF | PERFMON);
    let others = had.iter().filter(|(thread, _)| *thread != "perf events");
    assert_eq!(others.fold(0, |all, (_, one)| all | one) & PERFMON, 0, "{had:?}");
    host.stop();
}

#[test]
fn without_reload_nobody_can_load() {
    needs!(Root);
    let _alone = alone();
    let folder = Folder::with_biolatency();
    let host = start(&folder, &["--reload", "off"]);
    let had = capabilities(&host);
    assert!(!had.contains_key("loader"), "{had:?}");
    assert_eq!(had.values().fold(0, |all, one| all | one) & PERFMON, 0, "{had:?}");
    host.scrape();
    host.stop();
}

#[test]
fn what_is_asked_for_is_kept() {
    needs!(Root);
    let _alone = alone();
    let folder = Folder::with_biolatency();
    let host = start(&folder, &["--capabilities.keep", "cap_dac_read_search"]);
    // Two only write the log and move the clock of the guests, and need nothing whoever asks.
    let asked = |thread: &str| !["log", "epoch"].contains(&thread);
    for (thread, capabilities) in capabilities(&host) {
        assert_eq!(capabilities & (1 << 2) != 0, asked(&thread), "{thread}: {capabilities:x}");
    }
    host.stop();
}

/// A package that links to a file elsewhere: the file is there, and not for this process.
#[test]
fn other_files_cannot_be_read() {
    needs!(Root);
    let _alone = alone();
    if !fs::read_to_string("/proc/kallsyms").is_ok_and(|symbols| symbols.contains(" landlock_")) {
        return ebhost_tests::skip("other_files_cannot_be_read", "Landlock");
    }
    let folder = Folder::with_biolatency();
    let elsewhere = Folder::with_biolatency();
    let package = folder.add("linked");
    fs::remove_file(package.join("biolatency.wasm")).expect("our own file");
    let target = elsewhere.path().join("biolatency/biolatency.wasm");
    std::os::unix::fs::symlink(&target, package.join("biolatency.wasm")).expect("our own folder");
    let host = start(&folder, &[]);
    let said = host.log().text();
    assert!(said.contains("linked/biolatency.wasm: cannot be read: Permission denied"), "{said}");
    assert_eq!(host.scrape().value("ebhost_plugin_up", &[("plugin", "biolatency")]), Some(1.0));
    host.stop();
}
