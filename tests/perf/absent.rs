//! Events that cannot be counted: the reason is logged and exposed, and no count is shown.

use std::{fs, path::Path};

use ebhost_tests::{Ebhost, Exposition, Folder, Line, Start, alone, committed, llcstat, needs, skip};

/// The states of all events, each event and state once.
fn states(served: &Exposition) -> Vec<(String, String)> {
    let samples = served.samples().filter(|sample| sample.name == "ebhost_perf_events" && sample.value > 0.0);
    let mut states: Vec<_> =
        samples.map(|sample| (sample.labels["event"].clone(), sample.labels["state"].clone())).collect();
    states.sort();
    states.dedup();
    states
}

fn absent(event: &str) -> (String, String) {
    (event.to_owned(), "absent".to_owned())
}

fn has_pmu() -> bool {
    let devices = fs::read_dir("/sys/bus/event_source/devices").into_iter().flatten().flatten();
    devices
        .map(|device| device.file_name().to_string_lossy().into_owned())
        .any(|name| name.starts_with("cpu") || name.starts_with("arm"))
}

/// Two of the committed packages, on a machine without a PMU.
#[test]
fn without_a_pmu_llcstat_logs_it_and_other_packages_are_served() {
    needs!(Root);
    let _alone = alone();
    if has_pmu() {
        return skip("without_a_pmu_llcstat_logs_it_and_other_packages_are_served", "a machine without a PMU");
    }
    let folder = Folder::with_biolatency();
    folder.copy(&committed().join("llcstat"));
    let host = Start::with(folder.path()).args(&["--strict"]).listening();
    let served = host.scrape();
    for plugin in ["biolatency", "llcstat"] {
        assert_eq!(served.value("ebhost_plugin_up", &[("plugin", plugin)]), Some(1.0));
    }
    assert!(served.families.contains_key("ebhost_bio_latency_lost_total"));
    assert!(!served.samples().any(|sample| sample.name.starts_with("ebhost_llc_")), "nothing was counted");
    assert_eq!(states(&served), [absent("hardware/cache-misses"), absent("hardware/cache-references")]);
    let log = host.stop();
    // The cgroups of a machine may be worth a warning, too.
    let is_of_perf = |line: &Line| line.level == "WARN" && line.text.contains("perf event");
    let said: Vec<_> = log.lines().into_iter().filter(is_of_perf).collect();
    assert_eq!(said.len(), 1, "{}", log.text());
    for part in ["perf event hardware/cache-references of `llc` is absent", "no hardware PMU: a virtual machine?"] {
        assert!(said[0].text.contains(part), "{}", said[0].text);
    }
}

/// An absent event disables its group, and no other group.
#[test]
fn absent_and_live_sources_are_distinguished() {
    needs!(Root);
    let _alone = alone();
    let folder = llcstat::alone(
        "perf:\n  llc: { events: [software/page-faults, no_such_pmu/misses] }\n  \
         other: { events: [software/cpu-clock] }\n",
    );
    let host = Ebhost::start(folder.path());
    let served = host.scrape();
    let live = ("software/cpu-clock".to_owned(), "live".to_owned());
    assert_eq!(states(&served), [absent("no_such_pmu/misses"), live, absent("software/page-faults")]);
    assert!(!served.samples().any(|sample| sample.name.starts_with("ebhost_llc_")));
    let log = host.stop();
    assert!(log.text().contains("this machine has no PMU `no_such_pmu`, it has breakpoint"), "{}", log.text());
}

/// A user who may not open events of other processes is told which setting prevents it.
#[test]
fn a_denied_event_is_reported_with_the_missing_permission() {
    needs!(Root, Tool("setpriv"));
    let _alone = alone();
    let paranoid = fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").unwrap_or_default();
    if paranoid.trim().parse::<i32>().is_ok_and(|level| level < 1) {
        return skip(
            "a_denied_event_is_reported_with_the_missing_permission",
            "kernel.perf_event_paranoid of at least 1",
        );
    }
    let folder = llcstat::alone("perf:\n  llc: { events: [software/page-faults, software/context-switches] }\n");
    readable(folder.path());
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"];
    let host = Start::by(&nobody, folder.path()).listening();
    let served = host.scrape();
    assert_eq!(states(&served), [absent("software/context-switches"), absent("software/page-faults")]);
    assert!(!served.samples().any(|sample| sample.name.starts_with("ebhost_llc_")));
    let log = host.stop();
    assert!(log.text().contains("not permitted: found kernel.perf_event_paranoid = "), "{}", log.text());
}

/// A mistake in a perf source of plugin.yaml is refused with its position.
#[test]
fn a_misspelt_event_is_reported_with_its_position() {
    needs!(Root);
    let _alone = alone();
    let folder = Folder::with_biolatency();
    folder.amend("biolatency", "bpf:", "perf:\n  llc: { events: [hardware/cache-mises] }\nbpf:");
    let ended = Start::with(folder.path()).args(&["--strict"]).ended();
    assert_eq!(ended.status.code(), Some(1));
    let text = ended.log.text();
    for part in [
        "found the event `hardware/cache-mises`, expected one of cycles, ",
        "llc: { events: [hardware/cache-mises] }",
        "^",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

fn readable(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    for entry in fs::read_dir(folder).expect("our own folder") {
        let path = entry.expect("our own folder").path();
        let mode = if path.is_dir() { 0o755 } else { 0o644 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("our own file");
        if path.is_dir() {
            readable(&path);
        }
    }
}
