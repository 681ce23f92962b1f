//! Perf events on a machine with a PMU, in a virtual machine with two CPUs. The PMU is synthetic: a kernel module that
//! counts what it is told to (`synthetic-pmu/synthetic_pmu.c`). The test shows that the PMU's counts arrive complete,
//! by CPU and by the process that caused them; that events are multiplexed when there are more of them than counters;
//! and what is reported when CPUs go offline and online.

use ebhost_tests::{Exposition, Folder, committed, llcstat, needs, workspace};

use crate::guest::{Console, Guest};

const CACHE: &str = "hardware/cache-references, hardware/cache-misses";
const NAMES: &str = "llc_references, llc_misses";

#[test]
fn the_counts_of_a_pmu_are_complete_while_cpus_go_offline_and_online() {
    needs!(Guest, Tool("make"), Tool("gcc-12"));
    let console = booted();
    perf_events_count_where_the_kernel_is_as_debian_boots_it(&console);
    counts_by_cpu_and_process_are_exact(&console);
    a_cpu_that_is_offline_has_no_series(&console);
    a_cpu_that_was_away_unseen_goes_on(&console);
    counts_by_cgroup_are_exact(&console);
    events_that_take_turns_are_scaled(&console);
    refused_and_stalled_are_told_apart(&console);
    a_package_that_came_later_follows_cpus(&console);
    for phase in ["paranoid", "exact", "grouped", "shared", "reloaded"] {
        let log = console.section(&format!("log {phase}"));
        assert!(!log.contains("ERROR") && !log.contains("panicked"), "{log}");
    }
}

/// One virtual machine for everything: booting takes longer than the tests.
fn booted() -> Console {
    let guest = Guest::x86("6.1", "counters-init");
    guest.put_ebhost();
    guest.build_module(&workspace().join("tests/guest/synthetic-pmu"), "synthetic_pmu");
    let folder = Folder::new();
    let add = |phase: &str, name: &str, sections: &str| llcstat::add(&folder.path().join(phase), name, sections);
    let exact = llcstat::charged("pid", CACHE, NAMES);
    add("exact", "llcstat", &exact.replace("perf:\n", "perf:\n  clock: { events: [software/cpu-clock] }\n"));
    add("later/exact", "llcstat", &exact);
    add("grouped", "llcstat", &llcstat::charged("cgroup", "hw-cache/LL/read/access, cpu_synthetic/misses", NAMES));
    for name in ["a", "b", "c"] {
        let config = format!("config: {{ names: [{name}_cycles, {name}_clock] }}\n");
        add("shared", name, &format!("perf:\n  llc: {{ events: [hardware/cycles, cpu_synthetic/clock] }}\n{config}"));
    }
    let refused = "perf:\n  llc: { events: [hardware/cache-references, hardware/cache-misses] }\n  \
                   never: { events: [raw/0x3] }\n  unknown: { events: [hardware/instructions] }\n  \
                   many: { events: [hardware/cycles, raw/0x2, raw/0x0] }\n";
    add("refused", "llcstat", refused);
    guest.put(&folder.path().join("later/exact"), "later/exact");
    for phase in ["exact", "grouped", "shared", "refused"] {
        guest.put(&folder.path().join(phase), &format!("plugins/{phase}"));
    }
    for file in ["plugin.yaml", "biolatency.wasm", "biolatency.bpf.o"] {
        guest.put(&committed().join("biolatency").join(file), &format!("plugins/reloaded/biolatency/{file}"));
    }
    guest.boot()
}

/// The references and misses of a CPU; none if it has no series.
fn of_cpu(served: &Exposition, cpu: &str) -> Option<[f64; 2]> {
    let value = |name| served.value(name, &[("cpu", cpu)]);
    Some([value("ebhost_llc_references_total")?, value("ebhost_llc_misses_total")?])
}

fn of_pid(served: &Exposition, pid: f64) -> Option<[f64; 2]> {
    let pid = format!("{pid}");
    let value = |name| served.value(name, &[("pid", &pid)]);
    Some([value("ebhost_llc_references_by_pid_total")?, value("ebhost_llc_misses_by_pid_total")?])
}

/// Each of a plugin's events with its state, and the number of CPUs on which it has this state.
fn states(served: &Exposition, plugin: &str) -> Vec<String> {
    let samples = served.samples().filter(|sample| sample.name == "ebhost_perf_events" && sample.value > 0.0);
    let own = samples.filter(|sample| sample.labels["plugin"] == plugin);
    let mut states: Vec<_> =
        own.map(|s| format!("{} {} on {}", s.labels["event"], s.labels["state"], s.value)).collect();
    states.sort();
    states
}

/// The same for three events that are live on so many CPUs.
fn all_live(cpus: usize) -> Vec<String> {
    let events = ["hardware/cache-misses", "hardware/cache-references", "software/cpu-clock"];
    events.map(|event| format!("{event} live on {cpus}")).to_vec()
}

/// `kernel.perf_event_paranoid` is 3: started as root, the host opens its events before it drops CAP_SYS_ADMIN. Those of a CPU that
/// comes back are refused, and the log says what would help.
fn perf_events_count_where_the_kernel_is_as_debian_boots_it(console: &Console) {
    assert_eq!(console.section("paranoid"), "3", "the default of Debian's kernels");
    let [boots, offline, online] =
        ["", ", CPU 1 offline", ", CPU 1 online"].map(|phase| console.served(&format!("as Debian boots{phase}")));
    assert_eq!(states(&boots, "llcstat"), all_live(2));
    assert_eq!([of_cpu(&boots, "0"), of_cpu(&boots, "1")], [Some([0.0; 2]), Some([30.0, 3.0])]);
    assert_eq!(states(&offline, "llcstat"), all_live(1));
    let absent_again = ["hardware/cache-misses", "hardware/cache-references", "software/cpu-clock"]
        .map(|event| [format!("{event} absent on 1"), format!("{event} live on 1")]);
    assert_eq!(states(&online, "llcstat"), absent_again.concat());
    let log = console.section("log paranoid");
    assert!(log.contains("not permitted: found kernel.perf_event_paranoid = 3"), "{log}");
    assert!(log.contains("--capabilities.keep cap_sys_admin"), "{log}");
}

fn counts_by_cpu_and_process_are_exact(console: &Console) {
    let [none, caused, dead] = ["none caused", "two caused", "two dead"].map(|section| console.served(section));
    assert_eq!(states(&none, "llcstat"), all_live(2));
    assert_eq!([of_cpu(&none, "0"), of_cpu(&none, "1")], [Some([0.0; 2]); 2], "counted, and nothing there");
    assert_eq!([of_cpu(&caused, "0"), of_cpu(&caused, "1")], [Some([20.0, 7.0]), Some([1000.0, 300.0])]);
    let pids = console.numbers("pids");
    assert_eq!([of_pid(&caused, pids[0]), of_pid(&caused, pids[1])], [Some([1000.0, 300.0]), Some([20.0, 7.0])]);
    assert_eq!([of_pid(&dead, pids[0]), of_pid(&dead, pids[1])], [None, None], "no series of the dead");
    assert_eq!([of_cpu(&dead, "0"), of_cpu(&dead, "1")], [of_cpu(&caused, "0"), of_cpu(&caused, "1")]);
}

fn a_cpu_that_is_offline_has_no_series(console: &Console) {
    assert_eq!(console.section("online now"), "0", "this kernel takes CPUs offline");
    let offline = console.served("CPU 1 offline");
    assert_eq!([of_cpu(&offline, "0"), of_cpu(&offline, "1")], [Some([20.0, 7.0]), None]);
    assert_eq!(states(&offline, "llcstat"), all_live(1));
    let online = console.served("CPU 1 online");
    assert_eq!(states(&online, "llcstat"), all_live(2));
    assert_eq!(of_cpu(&online, "1"), Some([0.0; 2]), "a new series of new counters");
    assert_eq!(of_cpu(&console.served("CPU 1 counts"), "1"), Some([50.0, 5.0]));
    let log = console.section("log exact");
    assert!(!log.contains("WARN"), "a CPU that goes and comes is no trouble: {log}");
}

/// Offline and online again between two scrapes: the kernel removed the counters, and no scrape saw it.
fn a_cpu_that_was_away_unseen_goes_on(console: &Console) {
    let [away, counts] = ["CPU 1 was away", "CPU 1 counts on"].map(|section| console.served(section));
    assert_eq!(states(&away, "llcstat"), all_live(2));
    assert_eq!(of_cpu(&away, "1"), Some([50.0, 5.0]), "what was counted stays");
    assert_eq!(of_cpu(&counts, "1"), Some([58.0, 9.0]));
    assert_eq!(of_cpu(&counts, "0"), Some([20.0, 7.0]));
}

fn counts_by_cgroup_are_exact(console: &Console) {
    let served = console.served("by cgroup");
    let value = |name| served.value(name, &[("cgroup", "/eater")]);
    let charged = [value("ebhost_llc_references_by_cgroup_total"), value("ebhost_llc_misses_by_cgroup_total")];
    assert_eq!(charged, [Some(444.0), Some(55.0)]);
    assert_eq!(of_cpu(&served, "1"), Some([445.0, 56.0]));
    assert_eq!(states(&served, "llcstat"), ["cpu_synthetic/misses live on 2", "hw-cache/LL/read/access live on 2"]);
}

/// Three groups that each fill the PMU: each counts a third of the time and is scaled to all of it. They count time
/// itself.
fn events_that_take_turns_are_scaled(console: &Console) {
    let [first, last] = ["first", "last"].map(|section| console.served(section));
    let at = |section| console.numbers(section)[0] * 1e9;
    let least = at("before the last") - at("after the first");
    let most = at("after the last") - at("before the first");
    for plugin in ["a", "b", "c"] {
        assert_eq!(states(&last, plugin), ["cpu_synthetic/clock scaled on 2", "hardware/cycles scaled on 2"]);
        for (event, cpu) in [("cycles", "0"), ("cycles", "1"), ("clock", "0"), ("clock", "1")] {
            let value = |served: &Exposition| served.value(&format!("ebhost_{plugin}_{event}_total"), &[("cpu", cpu)]);
            let grown = value(&last).expect("a series") - value(&first).expect("a series");
            assert!(
                grown >= least * 0.97 && grown <= most * 1.03,
                "{plugin} {event} of CPU {cpu}: {grown} ns in {least} to {most} ns"
            );
        }
    }
}

fn refused_and_stalled_are_told_apart(console: &Console) {
    let served = console.served("refused");
    let expected = |event: &str| match event {
        "raw/0x3" => format!("{event} stalled on 2"),
        "hardware/instructions" | "raw/0x0" | "raw/0x2" | "hardware/cycles" => format!("{event} absent on 2"),
        _ => String::new(),
    };
    let states = states(&served, "llcstat");
    for event in ["raw/0x3", "hardware/instructions", "raw/0x0", "raw/0x2", "hardware/cycles"] {
        assert!(states.contains(&expected(event)), "{event}: {states:?}");
    }
    let log = console.section("log refused");
    for reason in [
        "perf event hardware/instructions of `unknown` is absent, on CPUs 0-1: this machine's PMU has no such event",
        "perf event raw/0x0 of `many` is absent, and with it its group, on CPUs 0-1: too many events for one group",
        "perf event raw/0x3 of `never` is stalled, on CPUs 0-1: wanted, but never given a counter",
    ] {
        assert!(log.contains(reason), "no `{reason}` in:\n{log}");
    }
}

fn a_package_that_came_later_follows_cpus(console: &Console) {
    let [added, two, counted] = ["added", "added, two CPUs", "added, counted"].map(|section| console.served(section));
    assert!(of_cpu(&added, "0").is_some() && of_cpu(&added, "1").is_none());
    assert!(of_cpu(&two, "1").is_some(), "{:?}", states(&two, "llcstat"));
    assert_eq!(of_cpu(&counted, "1"), Some([60.0, 6.0]));
    let live: Vec<_> = all_live(2).into_iter().filter(|event| event.starts_with("hardware")).collect();
    assert_eq!(states(&counted, "llcstat"), live);
}
