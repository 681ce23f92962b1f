//! Every package passes `ebhost check` with each value of its options, its recording gives the committed exposition,
//! which promtool accepts, its queries are PromQL, and the documentation is that of the packages.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use ebhost_tests::{
    Ebhost, Exposition, Folder, Format, alone, binary, committed, needs, output, promtool, wait_until, workspace,
};

/// Packages whose components have tests of their own, and no recording.
const WITHOUT_RECORDING: [&str; 2] = ["biolatency", "llcstat"];

/// The folders of all packages.
fn packages() -> Vec<PathBuf> {
    let entries = fs::read_dir(committed()).expect("the folder of the packages");
    let mut all: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    all.retain(|folder| folder.join("plugin.yaml").is_file());
    all.sort();
    assert!(all.len() > 2, "{all:?}");
    all
}

fn name(package: &Path) -> &str {
    package.file_name().and_then(|name| name.to_str()).expect("a package has a plain name")
}

fn ebhost() -> Command {
    let mut command = Command::new(binary());
    command.current_dir(workspace());
    command
}

#[test]
fn each_package_passes_check_and_none_has_a_name_of_another() {
    let said = output(ebhost().arg("check").args(packages()));
    let verdicts: Vec<_> = said.lines().filter(|line| line.contains(" errors, ")).collect();
    assert_eq!(verdicts.len(), packages().len(), "{said}");
    assert!(verdicts.iter().all(|line| line.ends_with(": good, 0 errors, 0 warnings")), "{said}");
}

#[test]
fn each_recording_gives_the_committed_exposition() {
    for package in packages().iter().filter(|package| !WITHOUT_RECORDING.contains(&name(package))) {
        let (sample, golden) = (package.join("tests/sample.jsonl"), package.join("tests/expected.prom"));
        let mut replay = ebhost();
        replay.arg("replay").arg(package).arg(sample).arg("--expect").arg(&golden);
        let said = output(&mut replay);
        assert!(said.ends_with(": as expected\n"), "{}: {said}", name(package));
        let text = fs::read_to_string(&golden).expect("the golden file");
        let exposition =
            Exposition::parse(&text, Format::Text).unwrap_or_else(|why| panic!("{}: {why}", name(package)));
        let has_samples = |family: &&String| !exposition.families[*family].samples.is_empty();
        let empty: Vec<_> = exposition.families.keys().filter(|family| !has_samples(family)).collect();
        assert!(empty.is_empty(), "{}: the recording has no samples of {empty:?}", name(package));
    }
}

#[test]
fn promtool_accepts_all_golden_expositions_together() {
    needs!(Tool("promtool"));
    let golden = |package: PathBuf| fs::read_to_string(package.join("tests/expected.prom")).unwrap_or_default();
    let all: String = packages().into_iter().map(golden).collect();
    let (status, said) = promtool(&all);
    assert_eq!((status, said.as_str()), (Some(0), ""));
}

/// Packages whose hooks the kernel of the machine need not have; they are left out with a reason.
const NOT_EVERYWHERE: [&str; 5] = ["cpuperf", "fslatency", "llcstat", "nvme", "throttle"];

#[test]
fn all_packages_at_once_pass_promtool_and_have_fewer_than_5000_series() {
    needs!(Root, Tool("promtool"));
    let _alone = alone();
    let folder = Folder::new();
    let all = packages();
    all.iter().for_each(|package| _ = folder.copy(package));
    let on: Vec<_> = all.iter().map(|package| format!("{}: on", name(package))).collect();
    folder.set(&format!("plugins: {{ {} }}\n", on.join(", ")));
    let host = Ebhost::start(folder.path());
    // A bit of everything, and the identities of all packages are labelled.
    (0..20).for_each(|_| _ = output(Command::new("ls").arg("/")));
    let served = wait_until("every identity is labelled", Duration::from_secs(30), || {
        let served = host.scrape();
        let waiting: f64 = served
            .samples()
            .filter(|sample| sample.name == "ebhost_plugin_unlabelled")
            .map(|sample| sample.value)
            .sum();
        (waiting == 0.0).then_some(served)
    });
    for package in &all {
        let package = name(package);
        let up = served.value("ebhost_plugin_up", &[("plugin", package)]);
        assert!(up == Some(1.0) || NOT_EVERYWHERE.contains(&package), "{package}: {up:?}");
    }
    // Nearly all of the host's own have the label.
    let series = served.samples().filter(|sample| !sample.labels.contains_key("plugin")).count();
    eprintln!("{series} series of {} packages, {} with the host's own", all.len(), served.samples().count());
    assert!(series < 5000, "{series} series");
    assert_eq!(promtool(host.get("/metrics", &[]).text()), (Some(0), String::new()));
    host.stop();
}

#[test]
fn example_queries_are_promql() {
    needs!(Tool("promtool"));
    let folder = Folder::new();
    let said = output(ebhost().args(["options", "--format", "json", "--plugins"]).arg(committed()));
    let offers: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    let queries = offers.as_array().expect("a list").iter().flat_map(|offer| {
        let queries = offer["queries"].as_object().expect("a mapping").values();
        queries.map(|query| query.as_str().expect("a text").to_owned())
    });
    let rule = |(index, query): (usize, String)| serde_json::json!({"record": format!("query:{index}"), "expr": query});
    let rules: Vec<_> = queries.enumerate().map(rule).collect();
    assert!(!rules.is_empty());
    let file = folder.path().join("rules.yml");
    let text = serde_json::json!({"groups": [{"name": "queries", "rules": rules}]}).to_string();
    fs::write(&file, text).expect("a file in our own folder");
    output(Command::new("promtool").args(["check", "rules"]).arg(file));
}

/// `cargo xtask docs` writes both files.
#[test]
fn the_documentation_is_that_of_the_packages() {
    let docs = fs::read_to_string(workspace().join("docs/plugins.md")).expect("the documentation");
    let readme = fs::read_to_string(workspace().join("README.md")).expect("the README");
    let current = output(ebhost().arg("docs").args(packages()));
    assert!(docs == current, "docs/plugins.md is not that of the packages: try `cargo xtask docs`");
    let list = output(ebhost().args(["docs", "--list"]).args(packages()));
    assert!(readme.contains(&list), "README.md has not this list of packages: try `cargo xtask docs`\n{list}");
}
