//! Faults in `decode`, while the plugin labels entries.

use ebhost_tests::{Disk, Ebhost, Exposition, Folder, alone, needs};

use crate::rig::{
    Misbehaving, Witness, counted, labelled_value, plugin_value, resident, scrape, scrape_until, start, state,
};

/// The expected outcome of a fault.
enum Outcome {
    /// The component fails for this reason and backs off; no entry is labelled.
    BacksOff(&'static str),
    /// One entry is set aside, after failures for this reason; the plugin goes on.
    SetAside(&'static str),
    /// This number of entries is dropped for this reason; the plugin goes on.
    Dropped(&'static str, f64),
    /// The plugin runs within its limits and has this number of series.
    Runs(f64),
    /// All label sets beyond this number of series are counted in one series.
    Folded(f64),
}
use Outcome::{BacksOff, Dropped, Folded, Runs, SetAside};

/// The number of banks in the map on this machine, which are the plugin's entries.
fn entries() -> f64 {
    let possible = std::fs::read_to_string("/sys/devices/system/cpu/possible").expect("every kernel has it");
    let last: f64 = possible.trim().rsplit(['-', ',']).next().and_then(|last| last.parse().ok()).expect("a CPU");
    128.0 * (last + 1.0)
}

/// Each fault, the `limits:` of the package, and the outcome.
fn faults() -> Vec<(&'static str, &'static str, Outcome)> {
    let all = entries();
    vec![
        ("trap", "", BacksOff("trap")),
        ("trap-one", "", SetAside("trap")),
        ("spin", "", BacksOff("deadline")),
        ("spin-one", "", SetAside("deadline")),
        ("recursion", "", BacksOff("trap")),
        ("deep", "", BacksOff("stack")),
        ("half-deep", "", Runs(all)),
        ("grow", "", BacksOff("memory")),
        ("grow-one", "", SetAside("memory")),
        ("oob", "", BacksOff("trap")),
        ("divide", "", BacksOff("trap")),
        ("long-string", "", BacksOff("memory")),
        ("long-string", "memory: 512MiB, decode: 500ms", BacksOff("copied")),
        ("many-strings", "memory: 64MiB, decode: 500ms", Runs(1.0)),
        ("no-rows", "", BacksOff("answer")),
        ("short", "", BacksOff("answer")),
        ("long", "", BacksOff("answer")),
        ("huge-columns", "", BacksOff("answer")),
        ("index-one", "", Dropped("unsound", 1.0)),
        ("index-all", "", Dropped("unsound", all)),
        ("buckets", "", BacksOff("answer")),
        ("refuse-beyond", "", BacksOff("answer")),
        ("refuse-twice", "", BacksOff("answer")),
        ("refuse-all", "", Dropped("unknown", all)),
        ("refuse-long", "", Dropped("unknown", 1.0)),
        ("utf8", "", BacksOff("trap")),
        ("label-long", "", Runs(all)),
        ("label-quotes", "", Runs(all)),
        ("label-same", "", Runs(1.0)),
        ("none", "series: 10", Folded(10.0)),
        ("log-flood", "decode: 500ms", Runs(all)),
        ("log-long", "memory: 64MiB", Runs(all)),
        ("log-lines", "", Runs(all)),
    ]
}

#[test]
fn each_fault_alone() {
    needs!(Root);
    let _alone = alone();
    let misbehaving = Misbehaving::alone("fault: none");
    let host = start(&misbehaving.folder, &[]);
    for (fault, limits, outcome) in faults() {
        commit(&misbehaving, &host, fault, limits, &outcome);
        repair(&misbehaving, &host, fault);
    }
    host.stop();
}

/// Under load; biolatency's counts must equal the kernel's during each fault.
#[test]
fn each_fault_beside_biolatency() {
    needs!(Root, Tool("fio"));
    let _alone = alone();
    let misbehaving = Misbehaving::beside_biolatency("fault: none");
    let disk = Disk::in_memory();
    let host = start(&misbehaving.folder, &[]);
    let witness = Witness { host: &host, disk: &disk };
    for (fault, limits, outcome) in faults() {
        witness.assert_matches_kernel(fault, || {
            commit(&misbehaving, &host, fault, limits, &outcome);
            repair(&misbehaving, &host, fault);
        });
    }
    host.stop();
}

/// `ebhost_plugin_limit_used_ratio` for each limit of the guest.
#[test]
fn the_used_share_of_each_limit_is_a_metric() {
    needs!(Root);
    let _alone = alone();
    let (misbehaving, cache) = (Misbehaving::alone("fault: none"), Folder::new());
    // A cache of its own: a component that is found in the shared cache would not be compiled.
    let host = start(&misbehaving.folder, &["--cache.dir", &cache.path().join("cache").display().to_string()]);
    let whole = scrape_until(&host, "labels", |served| plugin_value(served, "ebhost_plugin_unlabelled") == Some(0.0));
    let used =
        |served: &Exposition, limit: &str| labelled_value(served, "ebhost_plugin_limit_used_ratio", "limit", limit);
    let component = std::fs::metadata(misbehaving.package().join("misbehaving.wasm")).expect("our own file").len();
    for (limit, expected) in [
        ("component", component as f64 / f64::from(64 << 20)),
        ("entries", entries().min(4_096.0) / 4_096.0),
        ("series", entries() / 10_000.0),
        ("label", 3.0 / 1_024.0),
        ("log", 0.0),
    ] {
        assert_eq!(used(&whole, limit), expected, "{limit}");
    }
    for limit in [
        "describe",
        "memory",
        "stack",
        "decode",
        "answer",
        "instances",
        "metadata",
        "compiled",
        "compile_time",
        "compile_memory",
    ] {
        let used = used(&whole, limit);
        assert!(used > 0.0 && used < 1.0, "{limit}: {used}");
    }
    let memory = plugin_value(&whole, "ebhost_plugin_memory_bytes")
        .zip(plugin_value(&whole, "ebhost_plugin_memory_limit_bytes"));
    assert_eq!(Some(used(&whole, "memory")), memory.map(|(used, limit)| used / limit));

    // The used share of one limit is at least `least` and at most `most`; the shares of the others stay low.
    for (fault, limits, limit, least, most) in [
        ("half-deep", "", "stack", 0.1, 0.9),
        ("deep", "", "stack", 1.0, 1.0),
        ("many-strings", "memory: 64MiB, decode: 500ms", "answer", 0.12, 0.9),
        ("label-long", "", "label", 1.0, 1.0),
        ("log-flood", "decode: 500ms", "log", 1.0, 1.0),
        ("log-lines", "", "log", 0.1, 0.1),
        ("spin", "", "decode", 1.0, 1.0),
        ("none", "memory: 2MiB", "memory", 0.5, 1.0),
    ] {
        let asked = |served: &Exposition| plugin_value(served, "ebhost_plugin_decode_duration_seconds_count");
        let before = scrape(&host);
        misbehaving.configure(&host, &format!("fault: {fault}"), limits);
        let served =
            scrape_until(&host, fault, |served| asked(served) > asked(&before) && used(served, limit) >= least);
        assert!(used(&served, limit) <= most, "{fault}: {limit}: {}", used(&served, limit));
        let others = ["stack", "answer", "label", "log"].into_iter().filter(|other| *other != limit);
        for other in others {
            assert!(used(&served, other) <= used(&whole, other).max(0.1), "{fault}: {other}: {}", used(&served, other));
        }
    }
    host.stop();
}

/// The contract says that the text is shown; it was not, and at the level `debug` there were megabytes of it in each scrape.
#[test]
fn the_reason_for_a_refusal_is_logged_cut_and_not_for_every_entry() {
    needs!(Root);
    let _alone = alone();
    for fault in ["refuse-all", "refuse-long"] {
        let misbehaving = Misbehaving::alone(&format!("fault: {fault}"));
        let host = start(&misbehaving.folder, &["--log.level", "debug"]);
        let refused =
            |served: &Exposition| labelled_value(served, "ebhost_plugin_entries_dropped_total", "reason", "unknown");
        scrape_until(&host, fault, |served| refused(served) >= 1.0);
        let log = host.stop();
        let lines =
            log.lines().into_iter().filter(|line| line.text.contains("the plugin does not understand an entry: "));
        let lengths: Vec<_> = lines.map(|line| line.text.len()).collect();
        // The 1st, 2nd, 4th … of some hundreds.
        assert!((1..=16).contains(&lengths.len()), "{fault}: {lengths:?}");
        assert!(lengths.iter().all(|length| *length < 4_096), "{fault}: {lengths:?}");
    }
}

/// Makes the plugin commit a fault, and checks the outcome.
fn commit(misbehaving: &Misbehaving, host: &Ebhost, fault: &str, limits: &str, outcome: &Outcome) {
    let before = scrape(host);
    let grew = |served: &Exposition, name: &str, reason: &str| {
        labelled_value(served, name, "reason", reason) - labelled_value(&before, name, "reason", reason)
    };
    let reloads = |served: &Exposition| served.value("ebhost_reloads_total", &[]);
    let logged = host.log().lines().len();
    misbehaving.configure(host, &format!("fault: {fault}"), limits);
    scrape_until(host, &format!("{fault} is taken"), |served| reloads(served) > reloads(&before));
    match outcome {
        BacksOff(reason) => {
            let served = scrape_until(host, fault, |served| grew(served, "ebhost_plugin_failures_total", reason) > 0.0);
            assert!(["backing_off", "quarantined"].contains(&state(&served).as_str()), "{fault}: {}", state(&served));
            assert_eq!(plugin_value(&served, "ebhost_plugin_up"), Some(0.0), "{fault}");
            assert_eq!(
                plugin_value(&served, "ebhost_plugin_series"),
                Some(entries()),
                "{fault}: existing series go on"
            );
        }
        SetAside(reason) => {
            let served = scrape_until(host, fault, |served| {
                grew(served, "ebhost_plugin_entries_dropped_total", "set_aside") > 0.0
            });
            let served = if plugin_value(&served, "ebhost_plugin_unlabelled") == Some(0.0) {
                served
            } else {
                scrape_until(host, fault, |served| plugin_value(served, "ebhost_plugin_unlabelled") == Some(0.0))
            };
            assert_eq!(grew(&served, "ebhost_plugin_entries_dropped_total", "set_aside"), 1.0, "{fault}");
            assert!(grew(&served, "ebhost_plugin_failures_total", reason) > 0.0, "{fault}");
            assert_eq!(state(&served), "running", "{fault}");
        }
        Dropped(reason, count) => {
            let served =
                scrape_until(host, fault, |served| plugin_value(served, "ebhost_plugin_unlabelled") == Some(0.0));
            assert_eq!(grew(&served, "ebhost_plugin_entries_dropped_total", reason), *count, "{fault}");
            assert_eq!(state(&served), "running", "{fault}");
        }
        Runs(series) => {
            let served =
                scrape_until(host, fault, |served| plugin_value(served, "ebhost_plugin_unlabelled") == Some(0.0));
            assert_eq!(state(&served), "running", "{fault}");
            assert_eq!(plugin_value(&served, "ebhost_plugin_series"), Some(*series), "{fault}");
        }
        Folded(limit) => {
            let served =
                scrape_until(host, fault, |served| plugin_value(served, "ebhost_plugin_unlabelled") == Some(0.0));
            assert_eq!(state(&served), "running", "{fault}");
            assert_eq!(plugin_value(&served, "ebhost_plugin_series_limit"), Some(*limit), "{fault}");
            let series = plugin_value(&served, "ebhost_plugin_series").expect("its number of series");
            assert!(series >= *limit && series <= limit + 1.0, "{fault}: {series} series");
            assert!(
                plugin_value(&served, "ebhost_plugin_series_folded_total") >= Some(entries() - limit - 1.0),
                "{fault}"
            );
            let sample = |sample: &&ebhost_tests::Sample| sample.name == "ebhost_misbehaving_total";
            assert_eq!(served.samples().filter(sample).count() as f64, series, "{fault}");
            assert!(served.value("ebhost_misbehaving_total", &[("bank", "other")]).is_some(), "{fault}");
            // The counts of folded series are in one of the others.
            assert!(counted(&served) >= counted(&before), "{fault}: no count is lost by folding");
        }
    }
    let lines = host.log().lines().split_off(logged);
    assert!(lines.len() < 60, "{fault}: {} lines", lines.len());
    for line in lines {
        assert!(!line.level.is_empty(), "{fault}: a guest forged a log line: {}", line.text);
        assert!(line.text.len() < 4096 && !line.text.contains(['\n', '\x1b']), "{fault}: {}", line.text);
    }
    assert!(resident(host) < 256 << 20, "{fault}: {} bytes resident", resident(host));
}

/// Removes the fault, and waits until the plugin has labelled all entries.
fn repair(misbehaving: &Misbehaving, host: &Ebhost, fault: &str) {
    misbehaving.configure(host, "fault: none", "");
    let served = scrape_until(host, &format!("repaired after {fault}"), |served| {
        let is_whole = plugin_value(served, "ebhost_plugin_series") == Some(entries());
        is_whole && state(served) == "running" && plugin_value(served, "ebhost_plugin_unlabelled") == Some(0.0)
    });
    assert_eq!(plugin_value(&served, "ebhost_plugin_up"), Some(1.0), "after {fault}");
    assert!(counted(&served) >= 0.0);
}
