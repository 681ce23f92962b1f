//! The cgroup id map: programs count the system calls of cgroups whose paths match, including cgroups that are created later.

use std::{fs, path::Path, time::Duration};

use ebhost_tests::{
    Cgroup, Ebhost, Folder, alone, compile,
    everything::{Marks, doer},
    needs, output, wait_until, workspace,
};

const COUNT: u64 = 15;
const FOUND: Duration = Duration::from_secs(10);

#[test]
fn a_hash_holds_matching_cgroups_by_their_ids() {
    needs!(Root, Tool("clang-19"), Cgroup2);
    counts_what_matching_cgroups_do("hash", "");
}

#[test]
fn storage_belongs_to_matching_cgroups() {
    needs!(Root, Tool("clang-19"), Cgroup2);
    counts_what_matching_cgroups_do("cgrp_storage", "#define STORAGE\n");
}

fn counts_what_matching_cgroups_do(kind: &str, define: &str) {
    let _alone = alone();
    let name = format!("ebhost-tests-{}-{kind}", std::process::id());
    let early = Cgroup::new(&format!("{name}-early"));
    let other = Cgroup::new(&format!("other-{}", std::process::id()));
    let folder = Folder::new();
    write_package(&folder.path().join("cgroups"), kind, define, &format!("^/sys/fs/cgroup/(unified/)?{name}-[a-z]+$"));
    let host = Ebhost::start(folder.path());
    let entries = || host.scrape().value("ebhost_cgroup_id_map_cgroups", &[("plugin", "cgroups")]);
    assert_eq!(entries(), Some(1.0), "cgroups that exist are found before the first program runs");
    let counted = || host.scrape().value("ebhost_array_calls_total", &[("slot", "1")]);

    run_in(&other, COUNT);
    assert_eq!(counted(), Some(0.0), "another cgroup is not counted");
    run_in(&early, COUNT);
    assert_eq!(counted(), Some(COUNT as f64));

    let late = Cgroup::new(&format!("{name}-late"));
    wait_until("the new cgroup", FOUND, || (entries() == Some(2.0)).then_some(()));
    run_in(&late, 2 * COUNT);
    assert_eq!(counted(), Some(3.0 * COUNT as f64));

    drop(late);
    wait_until("the end of the cgroup", FOUND, || (entries() == Some(1.0)).then_some(()));
    let failures = host.scrape().value("ebhost_cgroup_id_map_failures_total", &[("plugin", "cgroups")]);
    assert_eq!(failures, Some(0.0));
    host.stop();
}

fn write_package(folder: &Path, kind: &str, define: &str, regexp: &str) {
    fs::create_dir(folder).expect("a folder in our own");
    let source =
        fs::read_to_string(workspace().join("tests/programs/cgroups.bpf.c")).expect("it lies beside the tests");
    compile(&format!("{define}{source}"), "bpf", &folder.join("cgroups.bpf.o"));
    fs::copy(workspace().join("bench/packages/maps/maps.wasm"), folder.join("maps.wasm")).expect("a committed file");
    let package = format!(
        "name: cgroups\ncomponent: maps.wasm\nbpf:\n  object: cgroups.bpf.o\n  \
         cgroup_id_map: {{ name: cgroups, type: {kind}, regexps: ['{regexp}'] }}\nconfig: {{ read: [array] }}\n"
    );
    fs::write(folder.join("plugin.yaml"), package).expect("a file in our own folder");
}

/// Calls getppid(2) `count` times in a cgroup.
fn run_in(cgroup: &Cgroup, count: u64) {
    let marks = Marks::own();
    output(cgroup.starter().arg(doer()).args([count.to_string(), marks.name, marks.port.to_string()]));
}
