//! Hosts under a seccomp filter, as in containers and units: what is forbidden is named, and not blamed on capabilities that are there or
//! on the kernel.

use ebhost_tests::{Folder, Start, filtered, llcstat, needs};

const EPERM: &str = "1";
/// Some filters answer as if the kernel did not have the call.
const ENOSYS: &str = "38";

#[test]
fn a_filter_that_forbids_bpf_is_named_and_not_the_capabilities() {
    needs!(Root);
    let folder = Folder::with_biolatency();
    for errno in [EPERM, ENOSYS] {
        let filter = filtered(errno, "bpf,landlock");
        let ended = Start::by(&[&filter[0], &filter[1], &filter[2]], folder.path()).args(&["--strict"]).ended();
        let log = ended.log.text();
        assert_eq!(ended.status.code(), Some(1), "{log}");
        assert!(log.contains("a seccomp filter forbids bpf(2) to this process, whatever its capabilities"), "{log}");
        assert!(log.contains("SystemCallFilter="), "{log}");
        assert!(!log.contains("expected root") && !log.contains("all rights are there"), "{log}");
        assert!(log.contains("files are not restricted: a seccomp filter forbids Landlock to this process"), "{log}");
        assert!(!log.contains("has no Landlock"), "{log}");
    }
}

#[test]
fn without_capabilities_both_they_and_the_filter_are_named() {
    needs!(Root, Tool("setpriv"));
    let folder = Folder::with_biolatency();
    let filter = filtered(EPERM, "bpf");
    let starter = [&filter[0], &filter[1], &filter[2], "setpriv", "--reuid=65534", "--clear-groups"];
    let log = Start::by(&starter, folder.path()).args(&["--strict"]).ended().log;
    assert!(log.text().contains("expected root, or CAP_BPF and CAP_PERFMON"), "{}", log.text());
    assert!(log.text().contains("a seccomp filter may forbid bpf(2) as well"), "{}", log.text());
}

#[test]
fn a_filter_that_forbids_perf_events_is_named_for_each_event() {
    needs!(Root);
    let folder = llcstat::alone("perf:\n  llc: { events: [software/page-faults, software/context-switches] }\n");
    let filter = filtered(EPERM, "perf_event_open");
    let host = Start::by(&[&filter[0], &filter[1], &filter[2]], folder.path()).listening();
    let served = host.scrape();
    let mut states = served.samples().filter(|sample| sample.name == "ebhost_perf_events" && sample.value > 0.0);
    assert!(states.all(|sample| sample.labels["state"] == "absent"));
    let log = host.stop();
    let text = log.text();
    assert!(
        text.contains("a seccomp filter forbids perf_event_open(2) to this process, whatever its capabilities"),
        "{text}"
    );
    assert!(!text.contains("perf_event_paranoid"), "{text}");
}
