//! What each thread may do once the start is over.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use ebhost_tests::{Ebhost, Folder, alone, compile, llcstat, needs, wait_until, workspace};
use rustix::process::getpgid;

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

/// Has a source of every kind, and reports each getpgid(2) of this process to a map and to both kinds of buffers.
fn every_source() -> String {
    let (number, process) = (libc::SYS_getpgid, std::process::id());
    format!(
        "
#define TYPE(number) int (*type)[number]
struct {{ TYPE(2); int (*max_entries)[4]; u32 *key; u64 *value; }} array SEC(\".maps\");
struct {{ TYPE(27); int (*max_entries)[65536]; }} ring SEC(\".maps\");
struct {{ TYPE(4); int (*key_size)[4]; int (*value_size)[4]; }} output SEC(\".maps\");
struct {{ TYPE(1); int (*max_entries)[1024]; u64 *key; u64 *value; }} cgroups SEC(\".maps\");
const volatile u64 kaddr_schedule = 0;
u64 ring_lost;
static void *(*lookup)(void *map, const void *key) = (void *)1;
static u64 (*pid_tgid)(void) = (void *)14;
static long (*perf_output)(void *context, void *map, u64 flags, void *data, u64 size) = (void *)25;
static u64 (*cgroup_id)(void) = (void *)80;
static long (*ring_output)(void *ring, void *data, u64 size, u64 flags) = (void *)130;
SEC(\"raw_tp/sys_enter\") int on_enter(u64 *context)
{{
    struct {{ u64 number; u32 kind, unused; }} event = {{ 1, 2 /* open */, 0 }};
    u64 cgroup = cgroup_id();
    u32 slot = kaddr_schedule ? 1 : 2;
    if (context[1] != {number} || pid_tgid() >> 32 != {process} || !lookup(&cgroups, &cgroup))
        return 0;
    u64 *count = lookup(&array, &slot);
    if (count)
        __sync_fetch_and_add(count, 1);
    if (ring_output(&ring, &event, sizeof(event), 0))
        __sync_fetch_and_add(&ring_lost, 1);
    perf_output(context, &output, 0xffffffffULL, &event, sizeof(event));
    return 0;
}}
"
    )
}

fn write_every_source(package: &Path) {
    fs::create_dir(package).expect("a folder in our own");
    compile(&every_source(), "bpf", &package.join("sources.bpf.o"));
    fs::copy(workspace().join("bench/packages/maps/maps.wasm"), package.join("maps.wasm")).expect("a committed file");
    let text = "name: sources\ncomponent: maps.wasm\nperf:\n  faults: { events: [software/page-faults] }\n\
                bpf:\n  object: sources.bpf.o\n  kaddrs: [schedule]\n  \
                cgroup_id_map: { name: cgroups, type: hash, regexps: ['.*'] }\n\
                config: { read: [array, ring, output] }\n";
    fs::write(package.join("plugin.yaml"), text).expect("a file in our own folder");
}

/// A package that looks cgroups up.
fn write_cgroup_names(package: &Path) {
    fs::create_dir(package).expect("a folder in our own");
    fs::copy(package.with_file_name("sources").join("sources.bpf.o"), package.join("names.bpf.o"))
        .expect("our own file");
    let text = "name: names\ncomponent: builtin\ngrants: [cgroup-folder]\nbpf: { object: names.bpf.o, programs: [] }\n\
                config: { metrics: { counters: [{ name: cgroups_total, map: cgroups, help: h, labels: [{ name: cgroup, size: 8, \
                decoders: [{ name: uint }, { name: cgroup }] }] }] } }\n";
    fs::write(package.join("plugin.yaml"), text).expect("a file in our own folder");
}

/// The capabilities of each thread by the table in docs/sandbox.md; names as the kernel has them, cut to 15 bytes.
fn documented(sources: &[&str]) -> BTreeMap<String, u64> {
    let text = fs::read_to_string(workspace().join("docs/sandbox.md")).expect("it is in the repository");
    let table = text.split_once("| thread | capabilities |").expect("docs/sandbox.md has the table of threads").1;
    let mut all = BTreeMap::new();
    for row in table.lines().skip(2).take_while(|line| line.starts_with("| `")) {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
        let bit = |name: &String| match name.as_str() {
            "CAP_BPF" => BPF,
            "CAP_PERFMON" => PERFMON,
            "CAP_SYSLOG" => SYSLOG,
            other => panic!("docs/sandbox.md: {other} is not expected in the table of threads"),
        };
        let set = quoted(cells[2]).iter().map(bit).fold(0, |set, bit| set | bit);
        assert_eq!(set == 0, cells[2] == "none", "{row}");
        let name = &quoted(cells[1])[0];
        for source in sources {
            let name = name.replace("NAME", source);
            all.insert(name[..name.len().min(15)].to_owned(), set);
        }
    }
    all
}

#[test]
fn every_thread_has_the_capabilities_of_the_table() {
    needs!(Root, Tool("clang-19"), Cgroup2);
    let _alone = alone();
    let folder = Folder::new();
    write_every_source(&folder.path().join("sources"));
    write_cgroup_names(&folder.path().join("names"));
    // Nobody listens there: the thread waits to try again.
    let host = start(&folder, &["--strict", "--otlp.endpoint", "http://127.0.0.1:9"]);
    assert_eq!(capabilities(&host), documented(&["ring", "output"]));

    // Each kind of source works with what its thread has.
    const CALLS: u64 = 50;
    (0..CALLS).for_each(|_| _ = getpgid(None));
    wait_until("events of every source", Duration::from_secs(30), || {
        let served = host.scrape();
        let counted = [
            served.value("ebhost_array_calls_total", &[("slot", "1")]),
            served.value("ebhost_ring_events_total", &[("kind", "open")]),
            served.value("ebhost_output_events_total", &[("kind", "open")]),
        ];
        (counted == [Some(CALLS as f64); 3]).then_some(())
    });
    let served = host.scrape();
    let states = served.samples().filter(|sample| sample.name == "ebhost_perf_events" && sample.value > 0.0);
    assert!(states.map(|sample| sample.labels["state"].as_str()).all(|state| state == "live"));
    assert_eq!(
        served.samples().filter(|sample| sample.name == "ebhost_thread_panics_total").map(|s| s.value).sum::<f64>(),
        0.0
    );
    host.stop();
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
    // Two only write the log and move the clock of the guests, and need no privilege whatever is kept.
    let asked = |thread: &str| !["log", "epoch"].contains(&thread);
    for (thread, capabilities) in capabilities(&host) {
        assert_eq!(capabilities & (1 << 2) != 0, asked(&thread), "{thread}: {capabilities:x}");
    }
    host.stop();
}

/// A package that links to a file elsewhere: it exists, and this process cannot open it. In /dev, where the disks are, too.
#[test]
fn other_files_cannot_be_read() {
    needs!(Root);
    let _alone = alone();
    if !fs::read_to_string("/proc/kallsyms").is_ok_and(|symbols| symbols.contains(" landlock_")) {
        return ebhost_tests::skip("other_files_cannot_be_read", "Landlock");
    }
    let folder = Folder::with_biolatency();
    let elsewhere = [Folder::new(), Folder::in_memory()];
    for (elsewhere, name) in elsewhere.iter().zip(["linked", "linked-to-dev"]) {
        elsewhere.add("biolatency");
        let package = folder.add(name);
        fs::remove_file(package.join("biolatency.wasm")).expect("our own file");
        let target = elsewhere.path().join("biolatency/biolatency.wasm");
        std::os::unix::fs::symlink(&target, package.join("biolatency.wasm")).expect("our own folder");
    }
    let host = start(&folder, &[]);
    let log = host.log().text();
    for name in ["linked", "linked-to-dev"] {
        assert!(log.contains(&format!("{name}/biolatency.wasm: cannot be read: Permission denied")), "{log}");
    }
    assert_eq!(host.scrape().value("ebhost_plugin_up", &[("plugin", "biolatency")]), Some(1.0));
    host.stop();
}
