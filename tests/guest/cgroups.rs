//! Names of cgroups on machines with version 1 alone, and with version 2 below a mount point with a space, on a kernel that reports every new
//! cgroup (6.6) and on one that does not.

use std::{fs, path::Path};

use ebhost_tests::{Exposition, Folder, compile, everything::doer, needs, workspace};

use crate::guest::Guest;

/// The calls of each process, as in cgroups-init.
const CALLS: f64 = 20.0;

fn write_package(package: &Path) {
    fs::create_dir_all(package).expect("a folder in our own");
    let source =
        fs::read_to_string(workspace().join("tests/programs/by_cgroup.bpf.c")).expect("it lies beside the tests");
    compile(&source, "bpf", &package.join("callers.bpf.o"));
    let text = "name: callers\ncomponent: builtin\ngrants: [cgroup-folder]\nbpf: { object: callers.bpf.o }\n\
                config: { metrics: { counters: [{ name: by_cgroup_total, map: by_cgroup, help: h, labels: [{ name: cgroup, size: 8, \
                decoders: [{ name: uint }, { name: cgroup }] }] }] } }\n";
    fs::write(package.join("plugin.yaml"), text).expect("a file in our own folder");
}

fn counted(served: &Exposition, cgroup: &str) -> Option<f64> {
    served.value("ebhost_by_cgroup_total", &[("cgroup", cgroup)])
}

fn cgroups_have_no_wrong_names_on(line: &str) {
    let guest = Guest::x86(line, "cgroups-init");
    guest.put_ebhost();
    guest.put_program(&doer().with_file_name("toucher"), "toucher");
    let folder = Folder::new();
    write_package(&folder.path().join("callers"));
    guest.put(folder.path(), "plugins/callers");
    let console = guest.boot();

    let log = console.section("log version 1");
    let served = console.served("version 1");
    // Programs see the root of a version that is not mounted.
    assert!(counted(&served, "unknown_cgroup_id:1") >= Some(CALLS), "{log}");
    let named = served
        .samples()
        .find(|sample| sample.labels.get("cgroup").is_some_and(|cgroup| !cgroup.starts_with("unknown_cgroup_id:")));
    assert_eq!(named, None, "{log}");
    assert!(log.contains("cgroups have no names: found only hierarchies of version 1 (/tmp/v1/"), "{log}");

    let log = console.section("log version 2");
    for scrape in ["version 2", "again"] {
        let served = console.served(scrape);
        for cgroup in ["before", "stays", "leaves"] {
            let found = counted(&served, &format!("/tmp/a b/{cgroup}"));
            assert_eq!(found, Some(CALLS), "{scrape}, {cgroup}: {log}");
        }
    }
    assert!(log.contains("names of cgroups are those of version 2 below /tmp/a b, "), "{log}");
}

#[test]
fn cgroups_have_no_wrong_names_on_6_1() {
    needs!(Guest, Tool("clang-19"));
    cgroups_have_no_wrong_names_on("6.1");
}

#[test]
fn cgroups_have_no_wrong_names_on_the_newest_kernel() {
    needs!(Guest, Tool("clang-19"));
    cgroups_have_no_wrong_names_on("7.3");
}
