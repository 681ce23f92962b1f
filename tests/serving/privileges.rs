//! What a user other than root needs: CAP_BPF and CAP_PERFMON, and nothing else.

use ebhost_tests::{Disk, Fio, Folder, Start, committed, fewest_counted, needs};

/// `nobody`, with these capabilities of all.
const NOBODY: [&str; 5] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--pdeathsig=KILL"];

#[test]
fn two_capabilities_are_enough() {
    needs!(Root, Tool("fio"), Tool("setpriv"));
    let disk = Disk::in_memory();
    let two =
        ["--inh-caps=-all,+bpf,+perfmon", "--ambient-caps=-all,+bpf,+perfmon", "--bounding-set=-all,+bpf,+perfmon"];
    let host = Start::by(&[&NOBODY[..], &two].concat(), &committed()).args(&["--strict"]).listening();
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.pid())).expect("it runs");
    assert!(status.contains("\nUid:\t65534\t65534\t65534\t65534\n"), "{status}");
    // Both were enough for the start; after it, the thread that loads changed packages has them alone.
    assert!(status.contains("\nCapEff:\t0000000000000000\n"), "{status}");
    assert_eq!(capabilities(host.pid(), "loader"), "000000c000000000");

    Fio::run(&disk.device(), &["--rw=randread", "--bs=4k", "--number_ios=200"]);
    let (served, _) = disk.at_rest(|| host.scrape());
    let reads = served.value("ebhost_bio_latency_seconds_count", &[("device", disk.name()), ("operation", "read")]);
    // Exactly how many it counts is for tests/kernel to show.
    assert!(reads.is_some_and(|reads| (fewest_counted(200.0)..=250.0).contains(&reads)), "{reads:?} of 200");
    let log = host.stop();
    let told = "started as user 65534 with CAP_BPF, CAP_PERFMON; packages may also need CAP_SYS_ADMIN for perf events and what";
    assert!(log.text().contains(told), "{}", log.text());
}

/// Effective ones of a thread, in hexadecimal.
fn capabilities(pid: u32, thread: &str) -> String {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs").flatten();
    let statuses = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("status")).ok());
    let mut its = statuses.filter(|status| status.starts_with(&format!("Name:\t{thread}\n")));
    let status = its.next().unwrap_or_else(|| panic!("there is no thread `{thread}`"));
    status.lines().find_map(|line| line.strip_prefix("CapEff:\t")).expect("a set").to_owned()
}

#[test]
fn without_them_the_message_says_what_is_there_and_what_is_needed() {
    needs!(Root, Tool("setpriv"));
    let folder = Folder::with_biolatency();
    let none = [&NOBODY[..], &["--bounding-set=-all"]].concat();
    let host = Start::by(&none, folder.path()).listening();
    let served = host.scrape();
    assert_eq!(served.value("ebhost_plugin_up", &[("plugin", "biolatency")]), Some(0.0));
    let log = host.stop();
    let errors: Vec<_> = log.lines().into_iter().filter(|line| line.level == "ERROR").collect();
    assert_eq!(errors.len(), 1, "{}", log.text());
    for part in [
        "biolatency/biolatency.bpf.o: ",
        ": not permitted; found user 65534 with the effective capabilities 0000000000000000, ",
        "expected root, or CAP_BPF and CAP_PERFMON (`setcap cap_bpf,cap_perfmon+ep` on the binary",
    ] {
        assert!(errors[0].text.contains(part), "expected `{part}` in: {}", errors[0].text);
    }

    let ended = Start::by(&none, folder.path()).args(&["--strict"]).ended();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.log.text());
}
