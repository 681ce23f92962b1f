//! Operators' metrics: alerts that mean something, states and reasons that are there from the start, severities in the journal.

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt as _,
    process::{Command, Stdio},
    time::{Duration, SystemTime},
};

use ebhost_tests::{
    Ebhost, Exposition, Folder, KernelMap, Start, binary, committed, key, needs, wait_until, workspace,
};

fn sum(served: &Exposition, name: &str) -> Option<f64> {
    let values: Vec<_> = served.samples().filter(|sample| sample.name == name).map(|sample| sample.value).collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs_f64()
}

/// "Map full" fired on every healthy host: an array has all its rows from the start.
#[test]
fn an_array_is_never_a_full_map_and_a_hash_is_as_full_as_it_has_rows() {
    needs!(Root);
    let folder = Folder::with_biolatency();
    folder.copy(&workspace().join("bench/packages/maps"));
    folder.amend("maps", " hash: 1", " hash: 8");
    let host = Ebhost::start(folder.path());
    let map = KernelMap::of(host.pid(), "hash");
    (0..3).for_each(|id| assert!(map.update(&key(id), &1u64.to_le_bytes())));
    let served = host.scrape();
    let maps = |name: &str| -> Vec<_> {
        let samples = served.samples().filter(|sample| sample.name == name);
        samples.map(|sample| (sample.labels["map"].clone(), sample.value)).collect()
    };
    // `banks_spill` is biolatency's only hash.
    assert_eq!(maps("ebhost_map_entries"), [("banks_spill".to_owned(), 0.0), ("hash".to_owned(), 3.0)]);
    let most = maps("ebhost_map_max_entries");
    assert_eq!(most.iter().map(|(map, _)| map.as_str()).collect::<Vec<_>>(), ["banks_spill", "hash"]);
    assert_eq!(most[1].1, 8.0);
    let read = served.samples().filter(|sample| sample.name == "ebhost_map_read_seconds_total").count();
    assert!(read >= 3, "arrays are read, too: {read}");
    host.stop();
}

/// Each plugin had its own name for what it lost, so no alert found the losses of the next one.
#[test]
fn the_losses_of_all_plugins_are_under_one_name() {
    needs!(Root);
    let host = Ebhost::start(&committed());
    let served = host.scrape();
    let own: Vec<_> = served.samples().filter(|sample| sample.name == "ebhost_bio_latency_lost_total").collect();
    assert!(own.len() >= 3, "{own:?}");
    for sample in own {
        let labels = [("plugin", "biolatency"), ("reason", sample.labels["reason"].as_str())];
        assert_eq!(served.value("ebhost_lost_total", &labels), Some(sample.value), "{labels:?}");
    }
    host.stop();
}

/// `increase()` needs a 0 before the first failure, and a counter that comes with its first failure has none.
#[test]
fn the_first_failure_of_a_plugin_is_an_increase() {
    needs!(Root);
    let host = Ebhost::start(&committed());
    let served = host.scrape();
    for reason in ["trap", "deadline", "stack", "memory", "copied", "answer", "start"] {
        let labels = [("plugin", "biolatency"), ("reason", reason)];
        assert_eq!(served.value("ebhost_plugin_failures_total", &labels), Some(0.0), "{reason}");
    }
    let again = host.scrape();
    for stage in ["read", "label", "count"] {
        let labels = [("plugin", "biolatency"), ("stage", stage)];
        let [before, after] = [&served, &again].map(|served| served.value("ebhost_plugin_cpu_seconds_total", &labels));
        assert!(before.is_some() && after >= before, "{stage}: {before:?}, {after:?}");
    }
    let all = sum(&again, "ebhost_scrape_cpu_seconds_total").expect("a sum");
    let plugins = sum(&again, "ebhost_plugin_cpu_seconds_total").expect("a sum");
    assert!(plugins > 0.0 && plugins <= all, "{plugins} of {all} s");
    host.stop();
}

/// A refused package had the value 0 in every state, and `ebhost_ready` was 1 with nothing served.
#[test]
fn a_refused_package_has_a_state_and_the_time_of_its_refusal() {
    needs!(Root);
    let started = now();
    let folder = Folder::with_biolatency();
    folder.amend("biolatency", "targ_parts:", "targ_part:");
    let host = Ebhost::start(folder.path());
    let served = host.scrape();
    let state =
        |served: &Exposition, state| served.value("ebhost_plugin_state", &[("plugin", "biolatency"), ("state", state)]);
    let refused_at =
        |served: &Exposition| served.value("ebhost_plugin_last_failure_timestamp_seconds", &[("plugin", "biolatency")]);
    assert_eq!(state(&served, "refused"), Some(1.0));
    assert_eq!(state(&served, "running"), Some(0.0));
    let at = refused_at(&served).expect("a time");
    assert!(at >= started - 1.0 && at <= now() + 1.0, "{at}");
    assert_eq!(served.value("ebhost_ready", &[]), Some(0.0), "nothing is served");
    assert_eq!(refused_at(&host.scrape()), Some(at), "it is when it was refused, not now");

    folder.amend("biolatency", "targ_part:", "targ_parts:");
    wait_until("the mended package", Duration::from_secs(60), || {
        let served = host.scrape();
        let is_mended = state(&served, "refused") == Some(0.0) && served.value("ebhost_ready", &[]) == Some(1.0);
        is_mended.then_some(())
    });
    host.stop();
}

/// Switching a plugin off meant to move its folder away: `llcstat.disabled` and `.llcstat` were loaded.
#[test]
fn a_package_is_switched_off_by_renaming_its_folder() {
    needs!(Root);
    let folder = Folder::with_biolatency();
    folder.copy(&workspace().join("bench/packages/maps"));
    let host = Ebhost::start(folder.path());
    let is_up = |plugin| host.scrape().value("ebhost_plugin_up", &[("plugin", plugin)]);
    assert_eq!([is_up("biolatency"), is_up("maps")], [Some(1.0); 2]);
    let [on, off, hidden] = ["biolatency", "biolatency.disabled", ".biolatency"].map(|name| folder.path().join(name));
    for (from, to, expected) in [(&on, &off, None), (&off, &on, Some(1.0)), (&on, &hidden, None)] {
        fs::rename(from, to).expect("our own folder");
        let what = format!("{} as {}", from.display(), to.display());
        wait_until(&what, Duration::from_secs(30), || (is_up("biolatency") == expected).then_some(()));
    }
    assert_eq!(is_up("maps"), Some(1.0));
    host.stop();
}

/// `--bpf.stats` without CAP_SYS_ADMIN ended the start.
#[test]
fn without_the_right_to_statistics_the_host_warns_and_serves() {
    needs!(Root, Tool("setpriv"));
    if fs::read_to_string("/proc/sys/kernel/bpf_stats_enabled").is_ok_and(|setting| setting.trim() != "0") {
        return ebhost_tests::skip(
            "without_the_right_to_statistics_the_host_warns_and_serves",
            "statistics that are off",
        );
    }
    let two = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "--pdeathsig=KILL",
        "--inh-caps=-all,+bpf,+perfmon",
        "--ambient-caps=-all,+bpf,+perfmon",
        "--bounding-set=-all,+bpf,+perfmon",
    ];
    let host = Start::by(&two, &committed()).args(&["--strict", "--bpf.stats"]).listening();
    let served = host.scrape();
    assert_eq!(served.value("ebhost_bpf_stats_enabled", &[]), Some(0.0));
    assert_eq!(served.value("ebhost_plugin_up", &[("plugin", "biolatency")]), Some(1.0));
    let log = host.stop();
    let warned = log.lines().into_iter().any(|line| line.level == "WARN" && line.text.contains("--bpf.stats: "));
    assert!(warned, "{}", log.text());

    let host = Start::with(&committed()).args(&["--bpf.stats"]).listening();
    assert_eq!(host.scrape().value("ebhost_bpf_stats_enabled", &[]), Some(1.0));
    host.stop();
}

/// The journal showed every line as `info`, and an error of several lines as several entries.
#[test]
fn the_journal_knows_an_errors_severity_and_keeps_its_lines_together() {
    needs!(Root);
    let folder = Folder::with_biolatency();
    folder.amend("biolatency", "component: ", "componnent: ");
    let path = folder.path().join("stderr");
    let run = |stream: &str| {
        let stderr = File::create(&path).expect("our own folder");
        let of_file = stderr.metadata().map(|file| format!("{}:{}", file.dev(), file.ino())).expect("a file");
        let mut command = Command::new(binary());
        command.arg("--plugins").arg(folder.path()).args(["--config.check", "--strict"]).stdout(Stdio::null());
        command.env("JOURNAL_STREAM", if stream.is_empty() { &of_file } else { stream }).stderr(stderr);
        assert!(!command.status().expect("it starts").success());
        fs::read_to_string(&path).expect("our own file")
    };
    let text = run("");
    let lines: Vec<_> = text.lines().collect();
    assert!(
        lines.iter().all(|line| ["<3>", "<4>", "<6>", "<7>"].iter().any(|known| line.starts_with(known))),
        "{text}"
    );
    let error = lines.iter().find(|line| line.contains("plugin.yaml:")).unwrap_or_else(|| panic!("{text}"));
    assert!(error.starts_with("<3>") && error.contains(r"\n"), "severity and all lines in one: {error}");
    assert!(error.contains("componnent:") && error.contains('^'), "{error}");

    let text = run("1:1");
    assert!(
        !text.contains("<3>") && text.lines().any(|line| line.trim_start().starts_with("| ^")),
        "no journal: {text}"
    );
}
