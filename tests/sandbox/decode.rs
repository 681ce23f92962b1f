//! Sins of `decode`: while the plugin is asked.

use std::path::Path;

use ebhost_tests::{Disk, Ebhost, Exposition, Fio, needs};

use crate::rig::{Sinner, alone, by, counted, of, resident, scrape, start, state, until};

/// What comes of a sin.
enum Comes {
    /// The component is broken: it backs off, for this reason; nothing of it is labelled.
    Down(&'static str),
    /// One entry costs itself, and a failure for this reason.
    SetAside(&'static str),
    /// So many entries are dropped, for this reason; the plugin runs on.
    Dropped(&'static str, f64),
    /// Nothing: it is within its bounds. So many series.
    Runs(f64),
}
use Comes::{Down, Dropped, Runs, SetAside};

/// Banks of this machine's map, which are the sinner's entries.
fn entries() -> f64 {
    let possible = std::fs::read_to_string("/sys/devices/system/cpu/possible").expect("every kernel has it");
    let last: f64 = possible.trim().rsplit(['-', ',']).next().and_then(|last| last.parse().ok()).expect("a CPU");
    128.0 * (last + 1.0)
}

/// Sin, `limits:`, what comes of it.
fn sins() -> Vec<(&'static str, &'static str, Comes)> {
    let all = entries();
    vec![
        ("trap", "", Down("trap")),
        ("trap-one", "", SetAside("trap")),
        ("spin", "", Down("deadline")),
        ("spin-one", "", SetAside("deadline")),
        ("recursion", "", Down("trap")),
        ("grow", "", Down("memory")),
        ("grow-one", "", SetAside("memory")),
        ("oob", "", Down("trap")),
        ("divide", "", Down("trap")),
        ("long-string", "", Down("memory")),
        ("long-string", "memory: 512MiB, decode: 500ms", Down("copied")),
        ("many-strings", "memory: 64MiB, decode: 500ms", Runs(1.0)),
        ("no-rows", "", Down("answer")),
        ("short", "", Down("answer")),
        ("long", "", Down("answer")),
        ("huge-columns", "", Down("answer")),
        ("index-one", "", Dropped("unsound", 1.0)),
        ("index-all", "", Dropped("unsound", all)),
        ("buckets", "", Down("answer")),
        ("refuse-beyond", "", Down("answer")),
        ("refuse-twice", "", Down("answer")),
        ("refuse-all", "", Dropped("unknown", all)),
        ("refuse-long", "", Dropped("unknown", 1.0)),
        ("utf8", "", Down("trap")),
        ("label-long", "", Runs(all)),
        ("label-quotes", "", Runs(all)),
        ("label-same", "", Runs(1.0)),
        ("log-flood", "decode: 500ms", Runs(all)),
        ("log-long", "memory: 64MiB", Runs(all)),
        ("log-lines", "", Runs(all)),
    ]
}

#[test]
fn each_sin_alone() {
    needs!(Root);
    let _alone = alone();
    let sinner = Sinner::alone("sin: none");
    let host = start(&sinner.folder, &[]);
    for (sin, limits, comes) in sins() {
        commit(&sinner, &host, sin, limits, &comes);
        mend(&sinner, &host, sin);
    }
    host.stop();
}

/// Under load, with biolatency's counts held against the kernel's over all of it.
#[test]
fn each_sin_beside_biolatency() {
    needs!(Root, Tool("fio"));
    let _alone = alone();
    let sinner = Sinner::beside_biolatency("sin: none");
    // In memory: this machine's kernel hides completions that interrupt its process 1, and a disk of interrupts has some.
    let disk = Disk::in_memory();
    let host = start(&sinner.folder, &[]);
    let (first, kernel_first) = disk.at_rest(|| scrape(&host));
    for (sin, limits, comes) in sins() {
        std::thread::scope(|scope| {
            let device = disk.device();
            let load = scope.spawn(move || run_load(&device));
            commit(&sinner, &host, sin, limits, &comes);
            load.join().expect("fio ends well");
        });
        mend(&sinner, &host, sin);
        assert_eq!(scrape(&host).value("ebhost_plugin_up", &[("plugin", "biolatency")]), Some(1.0), "{sin}");
    }
    let (last, kernel_last) = disk.at_rest(|| scrape(&host));
    let kernel = kernel_last - kernel_first;
    let (counted, completed) = (reads(&last, &disk) - reads(&first, &disk), kernel.reads as f64);
    assert!(
        (completed * 0.999..=completed).contains(&counted),
        "biolatency counted {counted}, the kernel {completed}: none too many, and at most those that it hides missing"
    );
    assert!(kernel.reads >= 30 * 300, "there was load: {kernel:?}");
    let failures = |served: &Exposition| {
        let of_it = |sample: &&ebhost_tests::Sample| {
            sample.name == "ebhost_plugin_failures_total" && sample.labels["plugin"] == "biolatency"
        };
        served.samples().filter(of_it).map(|sample| sample.value).sum::<f64>()
    };
    assert_eq!(failures(&last), 0.0, "of biolatency");
    host.stop();
}

fn run_load(device: &Path) {
    Fio::run(device, &["--rw=randread", "--bs=4k", "--number_ios=300"]);
}

fn reads(served: &Exposition, disk: &Disk) -> f64 {
    let labels = [("device", disk.name()), ("operation", "read")];
    served.value("ebhost_bio_latency_seconds_count", &labels).unwrap_or(0.0)
}

/// Has the sin committed, and sees that what comes of it is what should.
fn commit(sinner: &Sinner, host: &Ebhost, sin: &str, limits: &str, comes: &Comes) {
    let before = scrape(host);
    let grew = |served: &Exposition, name: &str, reason: &str| {
        by(served, name, "reason", reason) - by(&before, name, "reason", reason)
    };
    let reloads = |served: &Exposition| served.value("ebhost_reloads_total", &[]);
    let logged = host.log().lines().len();
    sinner.sin(host, &format!("sin: {sin}"), limits);
    until(host, &format!("{sin} is taken"), |served| reloads(served) > reloads(&before));
    match comes {
        Down(reason) => {
            let served = until(host, sin, |served| grew(served, "ebhost_plugin_failures_total", reason) > 0.0);
            assert!(["backing_off", "quarantined"].contains(&state(&served).as_str()), "{sin}: {}", state(&served));
            assert_eq!(of(&served, "ebhost_plugin_up"), Some(0.0), "{sin}");
            assert_eq!(of(&served, "ebhost_plugin_series"), Some(entries()), "{sin}: what had series goes on");
        }
        SetAside(reason) => {
            let served =
                until(host, sin, |served| grew(served, "ebhost_plugin_entries_dropped_total", "set_aside") > 0.0);
            let served = if of(&served, "ebhost_plugin_unlabelled") == Some(0.0) {
                served
            } else {
                until(host, sin, |served| of(served, "ebhost_plugin_unlabelled") == Some(0.0))
            };
            assert_eq!(grew(&served, "ebhost_plugin_entries_dropped_total", "set_aside"), 1.0, "{sin}");
            assert!(grew(&served, "ebhost_plugin_failures_total", reason) > 0.0, "{sin}");
            assert_eq!(state(&served), "running", "{sin}");
        }
        Dropped(reason, count) => {
            let served = until(host, sin, |served| of(served, "ebhost_plugin_unlabelled") == Some(0.0));
            assert_eq!(grew(&served, "ebhost_plugin_entries_dropped_total", reason), *count, "{sin}");
            assert_eq!(state(&served), "running", "{sin}");
        }
        Runs(series) => {
            let served = until(host, sin, |served| of(served, "ebhost_plugin_unlabelled") == Some(0.0));
            assert_eq!(state(&served), "running", "{sin}");
            assert_eq!(of(&served, "ebhost_plugin_series"), Some(*series), "{sin}");
        }
    }
    let lines = host.log().lines().split_off(logged);
    assert!(lines.len() < 60, "{sin}: {} lines", lines.len());
    for line in lines {
        assert!(!line.level.is_empty(), "{sin}: a guest wrote a line of its own: {}", line.text);
        assert!(line.text.len() < 4096 && !line.text.contains(['\n', '\x1b']), "{sin}: {}", line.text);
    }
    assert!(resident(host) < 256 << 20, "{sin}: {} bytes resident", resident(host));
}

fn mend(sinner: &Sinner, host: &Ebhost, sin: &str) {
    sinner.sin(host, "sin: none", "");
    let served = until(host, &format!("mended after {sin}"), |served| {
        let is_whole = of(served, "ebhost_plugin_series") == Some(entries());
        is_whole && state(served) == "running" && of(served, "ebhost_plugin_unlabelled") == Some(0.0)
    });
    assert_eq!(of(&served, "ebhost_plugin_up"), Some(1.0), "after {sin}");
    assert!(counted(&served) >= 0.0);
}
