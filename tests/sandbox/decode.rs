//! Sins of `decode`: while the plugin is asked.

use ebhost_tests::{Disk, Ebhost, Exposition, Folder, alone, needs};

use crate::rig::{Sinner, Witness, by, counted, of, resident, scrape, start, state, until};

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
    /// All label sets beyond so many series are counted as one.
    Folded(f64),
}
use Comes::{Down, Dropped, Folded, Runs, SetAside};

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
        ("deep", "", Down("stack")),
        ("half-deep", "", Runs(all)),
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
        ("none", "series: 10", Folded(10.0)),
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

/// Under load, with biolatency's counts held against the kernel's during each.
#[test]
fn each_sin_beside_biolatency() {
    needs!(Root, Tool("fio"));
    let _alone = alone();
    let sinner = Sinner::beside_biolatency("sin: none");
    let disk = Disk::in_memory();
    let host = start(&sinner.folder, &[]);
    let witness = Witness { host: &host, disk: &disk };
    for (sin, limits, comes) in sins() {
        witness.beside(sin, || {
            commit(&sinner, &host, sin, limits, &comes);
            mend(&sinner, &host, sin);
        });
    }
    host.stop();
}

/// `ebhost_plugin_limit_used_ratio` of each limit that is the guest's own to use.
#[test]
fn how_near_each_limit_is_shows() {
    needs!(Root);
    let _alone = alone();
    let (sinner, cache) = (Sinner::alone("sin: none"), Folder::new());
    // A cache of its own: what is found in one is not compiled.
    let host = start(&sinner.folder, &["--cache.dir", &cache.path().join("cache").display().to_string()]);
    let whole = until(&host, "labels", |served| of(served, "ebhost_plugin_unlabelled") == Some(0.0));
    let used = |served: &Exposition, limit: &str| by(served, "ebhost_plugin_limit_used_ratio", "limit", limit);
    let component = std::fs::metadata(sinner.package().join("sinner.wasm")).expect("our own file").len();
    for (limit, expected) in [
        ("component", component as f64 / f64::from(64 << 20)),
        ("entries", entries().min(4_096.0) / 4_096.0),
        ("series", entries() / 10_000.0),
        ("label", 3.0 / 1_024.0),
        ("log", 0.0),
    ] {
        assert_eq!(used(&whole, limit), expected, "{limit}");
    }
    for limit in ["describe", "memory", "stack", "decode", "answer", "compile_time", "compile_memory"] {
        let used = used(&whole, limit);
        assert!(used > 0.0 && used < 1.0, "{limit}: {used}");
    }
    let memory = of(&whole, "ebhost_plugin_memory_bytes").zip(of(&whole, "ebhost_plugin_memory_limit_bytes"));
    assert_eq!(Some(used(&whole, "memory")), memory.map(|(used, limit)| used / limit));

    // Each at its limit, or near it; and all others far from theirs.
    for (sin, limits, limit, least, most) in [
        ("half-deep", "", "stack", 0.1, 0.9),
        ("deep", "", "stack", 1.0, 1.0),
        ("many-strings", "memory: 64MiB, decode: 500ms", "answer", 0.12, 0.9),
        ("label-long", "", "label", 1.0, 1.0),
        ("log-flood", "decode: 500ms", "log", 1.0, 1.0),
        ("log-lines", "", "log", 0.1, 0.1),
        ("spin", "", "decode", 1.0, 1.0),
        ("none", "memory: 2MiB", "memory", 0.5, 1.0),
    ] {
        let asked = |served: &Exposition| of(served, "ebhost_plugin_decode_duration_seconds_count");
        let before = scrape(&host);
        sinner.sin(&host, &format!("sin: {sin}"), limits);
        let served = until(&host, sin, |served| asked(served) > asked(&before) && used(served, limit) >= least);
        assert!(used(&served, limit) <= most, "{sin}: {limit}: {}", used(&served, limit));
        let others = ["stack", "answer", "label", "log"].into_iter().filter(|other| *other != limit);
        for other in others {
            assert!(used(&served, other) <= used(&whole, other).max(0.1), "{sin}: {other}: {}", used(&served, other));
        }
    }
    host.stop();
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
        Folded(limit) => {
            let served = until(host, sin, |served| of(served, "ebhost_plugin_unlabelled") == Some(0.0));
            assert_eq!(state(&served), "running", "{sin}");
            assert_eq!(of(&served, "ebhost_plugin_series_limit"), Some(*limit), "{sin}");
            let series = of(&served, "ebhost_plugin_series").expect("its number of series");
            assert!(series >= *limit && series <= limit + 1.0, "{sin}: {series} series");
            assert!(of(&served, "ebhost_plugin_series_folded_total") >= Some(entries() - limit - 1.0), "{sin}");
            let sample = |sample: &&ebhost_tests::Sample| sample.name == "ebhost_sinner_total";
            assert_eq!(served.samples().filter(sample).count() as f64, series, "{sin}");
            assert!(served.value("ebhost_sinner_total", &[("bank", "other")]).is_some(), "{sin}");
            // Each number that was shown by itself is in one of them, and what the map has counted since.
            assert!(counted(&served) >= counted(&before), "{sin}: nothing is lost by folding");
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
