//! Counts by cgroup are under the cgroup's own name, however short it lives, wherever the hierarchy is mounted, and when there are
//! ten thousand of them.

use std::{
    collections::BTreeMap,
    env, fs,
    path::Path,
    process,
    time::{Duration, Instant},
};

use ebhost_tests::{Caller, Cgroup, Ebhost, Exposition, Folder, Start, compile, needs, workspace};

const COUNTER: &str = "ebhost_by_cgroup_total";
const CONFIG: &str = "metrics: { counters: [{ name: by_cgroup_total, map: by_cgroup, help: Calls., labels: [{ name: cgroup, size: 8, \
                      decoders: [{ name: uint }, { name: cgroup }] }] }, { name: no_room_total, map: lost, help: Calls., labels: [{ name: slot, \
                      size: 4, decoders: [{ name: uint }] }] }] }";

/// Compiles the program that counts the calls of this process.
fn compile_program(object: &Path, caller: &Caller) {
    let source =
        fs::read_to_string(workspace().join("tests/programs/by_cgroup.bpf.c")).expect("it lies beside the tests");
    compile(&format!("#define CALLER {}\n{source}", caller.pid()), "bpf", object);
}

/// A plugin folder with a package that counts the calls of a process by cgroup; `bpf`: further keys of that section.
fn package(caller: &Caller, bpf: &str) -> Folder {
    let folder = Folder::new();
    let package = folder.path().join("callers");
    fs::create_dir(&package).expect("our own folder");
    compile_program(&package.join("callers.bpf.o"), caller);
    let text = format!(
        "name: callers\ncomponent: builtin\ngrants: [cgroup-folder]\nbpf:\n  object: callers.bpf.o\n{bpf}config: {{ {CONFIG} }}\n"
    );
    fs::write(package.join("plugin.yaml"), text).expect("our own folder");
    folder
}

fn unique(name: &str) -> String {
    format!("ebhost-{name}-{}", process::id())
}

/// Makes the caller call in a cgroup, from which it moves back to another one.
fn call_in(caller: &mut Caller, cgroup: &Cgroup, home: &Cgroup, times: u64) {
    cgroup.take(caller.pid());
    caller.call(times);
    home.take(caller.pid());
}

fn counted(served: &Exposition, counter: &str, folder: &str) -> Option<f64> {
    served.value(counter, &[("cgroup", folder)])
}

fn assert_no_unknown(served: &Exposition) {
    let unknown = served
        .samples()
        .find(|sample| sample.labels.get("cgroup").is_some_and(|cgroup| cgroup.starts_with("unknown_cgroup_id")));
    assert_eq!(unknown, None);
}

#[test]
fn a_drop_in_keeps_the_name_and_the_count_of_a_cgroup_that_is_gone() {
    needs!(Root, Tool("clang-19"), Cgroup2);
    let mut caller = Caller::start();
    let folder = Folder::new();
    compile_program(&folder.path().join("callers.bpf.o"), &caller);
    let config =
        CONFIG.replace("by_cgroup_total, map: by_cgroup", "by_cgroup").replace("no_room_total, map: lost", "lost");
    fs::write(folder.path().join("callers.yaml"), format!("{config}\n")).expect("our own folder");
    let home = Cgroup::new(&unique("home"));
    let host = Start::drop_ins(folder.path(), "callers").args(&["--config.strict"]).listening();
    let counter = "ebpf_exporter_by_cgroup";

    let seen = Cgroup::new(&unique("seen"));
    call_in(&mut caller, &seen, &home, 5);
    let (seen_folder, missed_folder) =
        (seen.folder().display().to_string(), format!("{}-missed", seen.folder().display()));
    assert_eq!(counted(&host.scrape(), counter, &seen_folder), Some(5.0));
    drop(seen);
    // This one comes and goes between two scrapes.
    let missed = Cgroup::new(&format!("{}-missed", unique("seen")));
    call_in(&mut caller, &missed, &home, 7);
    drop(missed);
    for _ in 0..3 {
        let served = host.scrape();
        assert_eq!(counted(&served, counter, &seen_folder), Some(5.0), "removed after a scrape");
        assert_eq!(counted(&served, counter, &missed_folder), Some(7.0), "removed before the first scrape");
        assert_no_unknown(&served);
    }
    host.stop();
    drop(caller);
}

#[test]
fn a_small_map_is_not_full_of_cgroups_that_are_gone() {
    needs!(Root, Tool("clang-19"), Cgroup2);
    let mut caller = Caller::start();
    let folder = package(&caller, "  max_entries: { by_cgroup: 4 }\n  delete_departed: [by_cgroup]\n");
    let home = Cgroup::new(&unique("room"));
    let host = Ebhost::start(folder.path());
    for round in 1..=5 {
        let three = [1, 2, 3].map(|which| Cgroup::new(&format!("{}-{round}-{which}", unique("room"))));
        let folders = three.each_ref().map(|cgroup| cgroup.folder().display().to_string());
        three.iter().for_each(|cgroup| call_in(&mut caller, cgroup, &home, 10 * round));
        drop(three);
        // Their counts are served, and again when the entries are deleted.
        for _ in 0..2 {
            let served = host.scrape();
            for folder in &folders {
                assert_eq!(counted(&served, COUNTER, folder), Some(10.0 * round as f64), "round {round}: {folder}");
            }
            assert_no_unknown(&served);
        }
        let served = host.scrape();
        assert!(folders.iter().all(|folder| counted(&served, COUNTER, folder).is_none()), "their series end");
        assert_eq!(served.value("ebhost_no_room_total", &[("slot", "0")]), Some(0.0), "calls without room");
        let map = [("plugin", "callers"), ("map", "by_cgroup")];
        assert_eq!(served.value("ebhost_map_entries", &map), Some(0.0));
        assert_eq!(served.value("ebhost_map_entries_deleted_total", &map), Some(3.0 * round as f64));
    }
    host.stop();
    drop(caller);
}

#[test]
fn an_array_that_entries_are_to_be_deleted_from_is_refused() {
    needs!(Root, Tool("clang-19"));
    let caller = Caller::start();
    let folder = package(&caller, "  delete_departed: [lost]\n");
    let log = Start::with(folder.path()).listening().stop();
    assert!(
        log.text().contains("map `lost`") && log.text().contains("found an array in `delete_departed`"),
        "{}",
        log.text()
    );
}

/// The whole command line that starts the host in a mount namespace of its own, after these commands.
fn in_own_namespace(commands: &str) -> [String; 5] {
    ["unshare", "--mount", "sh", "-c", &format!("set -e; {commands}; exec \"$@\"")].map(str::to_owned)
}

fn start_by(starter: &[String], plugins: &Path) -> Ebhost {
    let mut words: Vec<_> = starter.iter().map(String::as_str).collect();
    words.push("sh");
    Start::by(&words, plugins).listening()
}

#[test]
fn cgroups_below_a_mount_point_with_a_space_have_their_names() {
    needs!(Root, Tool("clang-19"), Tool("unshare"), Cgroup2);
    let mut caller = Caller::start();
    let (folder, mount) = (package(&caller, ""), Folder::new());
    let home = Cgroup::new(&unique("spaced"));
    let below = Cgroup::new(&format!("{}/below", unique("spaced")));
    let spaced = mount.path().join("my cgroups");
    fs::create_dir(&spaced).expect("our own folder");
    let first = home.folder().parent().expect("the mount").display().to_string();
    // Three mounts: the first one is gone, and one shows only a part of the hierarchy.
    let part = mount.path().join("part");
    fs::create_dir(&part).expect("our own folder");
    let commands = format!(
        "mount --bind '{}' '{}'; umount -l '{first}'; mount -t cgroup2 none '{}'",
        below.folder().display(),
        part.display(),
        spaced.display()
    );
    let host = start_by(&in_own_namespace(&commands), folder.path());
    call_in(&mut caller, &below, &home, 9);
    let served = host.scrape();
    let expected = format!("{}{}", spaced.display(), below.path());
    assert_eq!(counted(&served, COUNTER, &expected), Some(9.0), "{}", host.log().text());
    assert_no_unknown(&served);
    host.stop();
    drop(caller);
    drop(below);
}

#[test]
fn a_machine_without_cgroups_of_version_2_has_no_wrong_names() {
    needs!(Root, Tool("clang-19"), Tool("unshare"), Cgroup2);
    let mut caller = Caller::start();
    let folder = package(&caller, "");
    let home = Cgroup::new(&unique("version-1"));
    let first = home.folder().parent().expect("the mount").display().to_string();
    let host = start_by(&in_own_namespace(&format!("umount -l '{first}'")), folder.path());
    home.take(caller.pid());
    caller.call(3);
    let served = host.scrape();
    let counted: Vec<_> = served.samples().filter(|sample| sample.name == COUNTER).collect();
    assert!(!counted.is_empty());
    let is_unknown = |cgroup: &String| cgroup.starts_with("unknown_cgroup_id:");
    assert!(counted.iter().all(|sample| is_unknown(&sample.labels["cgroup"])), "{counted:?}");
    let log = host.stop();
    let said = ["cgroups have no names: found only hierarchies of version 1", "no cgroup hierarchy is mounted"];
    assert!(said.iter().any(|said| log.text().contains(said)), "{}", log.text());
    drop(caller);
}

/// Created and removed in each round.
const CHURN: usize = 100;

/// 10 000 with EBHOST_CGROUPS=10000: then a round takes a second, and the CPU time of scrapes is asserted.
#[test]
fn many_cgroups_that_come_and_go_are_counted_exactly_and_scraped_cheaply() {
    needs!(Root, Tool("clang-19"), Cgroup2);
    let asked = env::var("EBHOST_CGROUPS").ok().map(|cgroups| cgroups.parse::<usize>().expect("a number"));
    let (bystanders, rounds) = asked.map_or((500, 4), |cgroups| (cgroups, 30));
    let mut caller = Caller::start();
    // Less room than cgroups that come and go.
    let folder = package(
        &caller,
        "  max_entries: { by_cgroup: 1024 }\n  delete_departed: [by_cgroup]\nlimits: { series: 20000 }\n",
    );
    let home = Cgroup::new(&unique("many"));
    let stay: Vec<_> = (0..bystanders).map(|number| Cgroup::new(&format!("{}/stay{number}", unique("many")))).collect();
    let host = Ebhost::start(folder.path());
    let (mut expected, mut found) = (BTreeMap::new(), BTreeMap::new());
    host.scrape();
    let (mut leaving, mut next) = (Vec::new(), Instant::now());
    let spent_before = scrape_cpu(&host.scrape());
    for round in 0..rounds {
        let mut come = Vec::new();
        for number in 0..CHURN {
            let cgroup = Cgroup::new(&format!("{}/job{round}-{number}", unique("many")));
            let times = (round + number) as u64 % 7 + 1;
            call_in(&mut caller, &cgroup, &home, times);
            expected.insert(cgroup.folder().display().to_string(), times as f64);
            // Half of them end before anybody scrapes.
            if number % 2 == 0 {
                come.push(cgroup);
            }
        }
        leaving = come;
        if asked.is_some() {
            next += Duration::from_secs(1);
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        note(&host.scrape(), &mut found);
    }
    let spent = (scrape_cpu(&host.scrape()) - spent_before) / f64::from(rounds as u32 + 1);
    eprintln!("{} cgroups, {CHURN} of them new each round: {:.3} ms CPU a scrape", bystanders, spent * 1e3);
    drop(leaving);
    assert_eq!(host.scrape().value("ebhost_no_room_total", &[("slot", "0")]), Some(0.0), "calls without room");
    assert_eq!(found, expected);
    if asked.is_some() {
        assert!(spent < 0.003, "{spent} s CPU a scrape");
    }
    host.stop();
    drop((caller, stay));
}

/// Notes what each job counted. A job that was served once may end, but never changes its count: it ran once.
fn note(served: &Exposition, found: &mut BTreeMap<String, f64>) {
    assert_no_unknown(served);
    for sample in served.samples().filter(|sample| sample.name == COUNTER) {
        if sample.labels["cgroup"].contains("/job") {
            found.insert(sample.labels["cgroup"].clone(), sample.value);
        }
    }
}

/// CPU time of all scrapes so far, in seconds.
fn scrape_cpu(served: &Exposition) -> f64 {
    served.samples().filter(|sample| sample.name == "ebhost_scrape_cpu_seconds_total").map(|sample| sample.value).sum()
}
