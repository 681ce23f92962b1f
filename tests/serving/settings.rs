//! Settings: variants of packages by a file that no upgrade touches, switched while the host runs.

use std::{collections::BTreeMap, process::Command, time::Duration};

use ebhost_tests::{
    Disk, Ebhost, Exposition, Fio, Folder, Start, alone, binary, committed, fewest_counted, needs, output, wait_until,
};

const LATENCY: &str = "ebhost_bio_latency_seconds_count";
const PATIENCE: Duration = Duration::from_secs(60);

fn reloads(served: &Exposition) -> f64 {
    served.value("ebhost_reloads_total", &[]).expect("it is always there")
}

/// Changes the settings, and waits until the host took them over.
fn switch(folder: &Folder, host: &Ebhost, settings: &str) -> Exposition {
    let before = reloads(&host.scrape());
    folder.set(settings);
    wait_until(settings, PATIENCE, || Some(host.scrape()).filter(|served| reloads(served) > before))
}

/// Series of a family, by their labels.
fn series(served: &Exposition, family: &str) -> BTreeMap<BTreeMap<String, String>, f64> {
    let samples = served.samples().filter(|sample| sample.name == family);
    samples.map(|sample| (sample.labels.clone().into_iter().collect(), sample.value)).collect()
}

/// Three places of plugin.yaml had to be changed together, and a package that was changed in two of them passed every check and served wrong
/// values or none. Each variant is one line of settings, and no counter falls other than to 0.
#[test]
fn each_variant_of_biolatency_is_one_setting_and_is_switched_while_it_runs() {
    needs!(Root, Tool("fio"));
    let _alone = alone();
    let (folder, disk) = (Folder::with_biolatency(), Disk::in_memory());
    folder.set("");
    let host = Ebhost::start(folder.path());
    let read = |reads: u32| {
        let number = format!("--number_ios={reads}");
        Fio::run(&disk.device(), &["--rw=randread", "--bs=4k", &number]);
        disk.at_rest(|| host.scrape()).0
    };
    // Other disks of the machine may be busy at any moment.
    let of_disk = |served: &Exposition| {
        let mut series = series(served, LATENCY);
        series.retain(|labels, _| labels["device"] == disk.name());
        series
    };
    let mut before = of_disk(&read(64));
    let none = "disks: [no_such_disk]".to_owned();
    for variant in [
        "native: true",
        "queued: true",
        "per_flag: on",
        "paths: true",
        "banks: 512",
        "spill: 64",
        "parts: 8192",
        "keep: 90s",
        &none,
    ] {
        switch(&folder, &host, &format!("plugins:\n  biolatency: {{ {variant} }}\n"));
        let after = of_disk(&read(32));
        let reads: f64 = after.iter().filter(|(labels, _)| labels["operation"] == "read").map(|(_, count)| count).sum();
        let expected = if variant == none { 0.0 } else { fewest_counted(32.0) };
        assert!(reads >= expected, "{variant}: {after:?}");
        assert_eq!(variant == none, after.is_empty(), "{variant}: {after:?}");
        assert_eq!(after.keys().any(|labels| labels.contains_key("flags")), variant == "per_flag: on", "{variant}");
        for (labels, count) in &after {
            // The counter goes on, or it began at 0 when the package was switched.
            let least = before.get(labels).copied().unwrap_or_default();
            assert!(*count >= least || *count <= 40.0, "{variant}: {labels:?} fell from {least} to {count}");
        }
        before = after;
    }
    host.stop();
}

#[test]
fn each_variant_of_llcstat_is_one_setting_and_is_switched_while_it_runs() {
    needs!(Root);
    let _alone = alone();
    let folder = Folder::new();
    folder.copy(&committed().join("llcstat"));
    folder.set("plugins: { llcstat: { events: faults } }");
    let host = Ebhost::start(folder.path());
    let total = |served: &Exposition, family: &str| -> f64 { series(served, family).values().sum() };
    let first = host.scrape();
    assert!(total(&first, "ebhost_page_faults_total") > 0.0 || total(&host.scrape(), "ebhost_page_faults_total") > 0.0);
    for by in ["cgroup", "comm", "pid"] {
        switch(&folder, &host, &format!("plugins: {{ llcstat: {{ events: faults, by: {by}, places: 64 }} }}"));
        let family = format!("ebhost_page_faults_by_{by}_total");
        wait_until(&family, PATIENCE, || {
            output(&mut Command::new("true"));
            let found = series(&host.scrape(), &family);
            found.keys().any(|labels| labels.contains_key(by)).then_some(())
        });
    }
    let served = switch(&folder, &host, "");
    assert!(series(&served, "ebhost_page_faults_total").is_empty(), "without settings the package counts cache events");
    host.stop();
}

#[test]
fn a_package_is_switched_off_and_on_while_the_host_runs() {
    needs!(Root);
    let folder = Folder::with_biolatency();
    folder.copy(&committed().join("llcstat"));
    folder.set("plugins: { llcstat: off }");
    let host = Ebhost::start(folder.path());
    let up = |served: &Exposition, plugin| served.value("ebhost_plugin_up", &[("plugin", plugin)]);
    let served = host.scrape();
    assert_eq!((up(&served, "biolatency"), up(&served, "llcstat")), (Some(1.0), None));
    let served = switch(&folder, &host, "plugins: { llcstat: on, biolatency: off }");
    assert_eq!((up(&served, "biolatency"), up(&served, "llcstat")), (None, Some(1.0)));
    host.stop();
}

/// Settings with a mistake leave everything as it is, and say what is wrong with them.
#[test]
fn a_mistake_in_the_settings_costs_nothing_that_runs() {
    needs!(Root);
    let folder = Folder::with_biolatency();
    folder.set("plugins:\n  biolatency: { native: true }\n");
    let host = Ebhost::start(folder.path());
    let failures = |served: &Exposition| served.value("ebhost_reload_failures_total", &[]);
    for (number, (settings, says)) in [
        (
            "plugins:\n  biolatency: { native: maybe }\n",
            "ebhost.yaml:2:17: the option `native` of biolatency: found `maybe`, expected true or false",
        ),
        (
            "plugins:\n  biolatency: { nativ: true }\n",
            "ebhost.yaml:2:17: found the option `nativ`, biolatency has banks, disks, keep, native, ",
        ),
        ("plugins: [", "ebhost.yaml:"),
    ]
    .into_iter()
    .enumerate()
    {
        folder.set(settings);
        let expected = (number + 1) as f64;
        wait_until(settings, PATIENCE, || (failures(&host.scrape()) >= Some(expected)).then_some(()));
        assert!(host.log().text().contains(says), "{says}: {}", host.log().text());
        assert_eq!(host.scrape().value("ebhost_plugin_up", &[("plugin", "biolatency")]), Some(1.0));
    }
    host.stop();
    folder.set("plugin: { biolatency: on }");
    let ended = Start::with(folder.path()).ended();
    assert!(!ended.status.success());
    assert!(
        ended
            .log
            .text()
            .contains("ebhost.yaml:1:11: found `plugin.biolatency`, expected plugins, limits, or the name of a flag"),
        "{}",
        ended.log.text()
    );
}

#[test]
fn options_are_listed_with_their_defaults_and_what_was_chosen() {
    let folder = Folder::with_biolatency();
    folder.set("plugins: { biolatency: { native: true } }");
    let settings = folder.path().join("ebhost.yaml");
    let mut command = Command::new(binary());
    command.arg("options").arg("--plugins").arg(folder.path()).arg("--config.file").arg(&settings);
    let text = output(&mut command);
    assert!(text.starts_with("biolatency: on; Latency of block requests, by disk and operation.\n"), "{text}");
    assert!(text.contains("\n  native: true (default false)  [bool]\n      Native histograms"), "{text}");
    assert!(text.contains("\n  keep: 120s  [time]\n"), "{text}");
}

/// Which capability a package takes was in a document and in the error of its first start.
#[test]
fn options_say_what_a_package_takes_beyond_two_capabilities() {
    let folder = Folder::with_biolatency();
    folder.copy(&committed().join("llcstat"));
    let options = |more: &[&str]| {
        let mut command = Command::new(binary());
        output(command.arg("options").arg("--plugins").arg(folder.path()).args(more))
    };
    let takes = "\n  takes CAP_SYS_ADMIN, or the setting at 2, for perf events and what is attached by one";
    let text = options(&[]);
    let (biolatency, llcstat) = text.split_once("\n\n").expect("two packages");
    assert!(llcstat.contains(takes), "{text}");
    assert!(!biolatency.contains("\n  takes "), "{text}");
    let listed: serde_json::Value = serde_json::from_str(&options(&["--format", "json"])).expect("JSON");
    assert_eq!(listed[0]["privileges"], serde_json::json!([]));
    assert_eq!(listed[1]["privileges"][0]["capability"], "CAP_SYS_ADMIN");
}

/// The page read the command line alone, and showed no flag at all when the folder of packages was in the file.
#[test]
fn the_status_page_shows_the_flags_of_the_settings_file() {
    needs!(Root);
    let folder = Folder::with_biolatency();
    folder.set("reload: signal\n");
    let host = Ebhost::start(folder.path());
    let status: serde_json::Value = serde_json::from_str(host.get("/status.json", &[]).text()).expect("JSON");
    let value = |flag: &str| {
        let settings = status["settings"].as_array().expect("a list");
        settings.iter().find(|setting| setting["flag"] == flag).map(|setting| setting["value"].clone())
    };
    assert_eq!(value("--reload"), Some("signal".into()));
    host.stop();
}

/// An expensive package that was switched on for an afternoon ran for months, because somebody had to remember it.
#[test]
fn a_package_that_is_on_for_a_while_is_off_when_its_time_is_over() {
    needs!(Root);
    let _alone = alone();
    let folder = Folder::with_biolatency();
    folder.copy(&committed().join("llcstat"));
    let until = |time: &str| folder.set(&format!("plugins: {{ llcstat: {{ events: faults, until: {time} }} }}"));
    until("2020-01-01T00:00:00Z");
    for reload in ["watch", "signal"] {
        let host = Start::with(folder.path()).args(&["--reload", reload]).listening();
        let state =
            |state: &str| host.scrape().value("ebhost_plugin_state", &[("plugin", "llcstat"), ("state", state)]);
        assert_eq!(state("running"), None, "its time was over at the start");
        let end = output(Command::new("date").args(["-u", "-d", "5 seconds", "+%Y-%m-%dT%H:%M:%SZ"]));
        until(end.trim());
        host.hang_up();
        wait_until("it runs", PATIENCE, || (state("running") == Some(1.0)).then_some(()));
        wait_until("its time is over", PATIENCE, || state("running").is_none().then_some(()));
        let now = output(Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]));
        assert!(now.trim() >= end.trim(), "{now} is before {end}");
        assert_eq!(
            host.scrape().value("ebhost_plugin_state", &[("plugin", "biolatency"), ("state", "running")]),
            Some(1.0)
        );
        host.stop();
    }
}
