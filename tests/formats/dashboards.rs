//! The dashboards and alerts in `examples`: every expression, asked of Debian's Prometheus that scraped a host under load, for both forms of
//! histograms.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use ebhost_tests::{Disk, Ebhost, Fio, Folder, Prometheus, committed, encode, needs, wait_until, workspace};
use serde_json::Value;

/// Files of a folder in `examples` with that ending.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let folder = workspace().join("examples").join(folder);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.to_string_lossy().ends_with(ending));
    paths.sort();
    assert!(!paths.is_empty(), "{}/*{ending}", folder.display());
    paths
}

fn promtool(args: &[&str]) {
    let output = Command::new("promtool").args(args).output().expect("promtool runs");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {args:?}: {text}");
}

#[test]
fn every_alert_fires_when_it_should_and_is_quiet_otherwise() {
    needs!(Tool("promtool"));
    for path in files("alerts", ".yml") {
        let (path, text) = (path.display().to_string(), fs::read_to_string(&path).expect("a file of the repository"));
        if !path.ends_with("-test.yml") {
            promtool(&["check", "rules", &path]);
            continue;
        }
        let (alerts, cases) = (text.matches("alertname: ").count(), text.matches("exp_alerts:").count());
        assert_eq!(alerts, 2 * cases, "{path}: each alert has a case in which it fires and one in which it does not");
        promtool(&["test", "rules", &path]);
    }
}

/// The expressions of a dashboard with their titles, as Grafana sends them.
fn expressions(dashboard: &PathBuf) -> Vec<(String, String)> {
    let text = fs::read_to_string(dashboard).expect("a file of the repository");
    let json: Value = serde_json::from_str(&text).expect("JSON");
    let panels = json["panels"].as_array().expect("panels").iter();
    let targets = panels.flat_map(|panel| {
        let title = panel["title"].as_str().expect("a title");
        let targets = panel["targets"].as_array().expect("targets").iter();
        targets.map(move |target| (title.to_owned(), target["expr"].as_str().expect("an expression").to_owned()))
    });
    let chosen = |expr: String| {
        let expr = expr.replace("$__rate_interval", "10s").replace("$job", ".*").replace("$instance", ".*");
        assert!(!expr.contains('$'), "{expr}");
        expr
    };
    targets.map(|(title, expr)| (title, chosen(expr))).collect()
}

/// Panels of what does not happen on a healthy host, or needs a PMU.
fn may_be_empty(title: &str) -> bool {
    title.contains("Part of maps")
}

fn evaluate(native: bool) {
    let (disk, folder) = (Disk::in_memory(), Folder::with_biolatency());
    folder.copy(&committed().join("runqlat"));
    if native {
        folder.set("plugins: { biolatency: { native: true }, runqlat: { histograms: native } }");
    }
    let host = Ebhost::start(folder.path());
    let args: &[&str] = if native { &["--enable-feature=native-histograms"] } else { &[] };
    let prometheus = Prometheus::with(host.address(), args);
    Fio::run(&disk.device(), &["--rw=randrw", "--bs=4k", "--rate_iops=200", "--time_based", "--runtime=15"]);
    let end = Instant::now() + Duration::from_secs(30);
    let suffix = if native { "-native" } else { "" };
    for package in [format!("biolatency{suffix}"), format!("runqlat{suffix}"), "host".to_owned()] {
        let dashboard = files("grafana", &format!("/{package}.json")).remove(0);
        for (title, expr) in expressions(&dashboard) {
            let query = format!("query?query={}", encode(&expr));
            let ask = || {
                let answer = prometheus.api(&query); // an expression with an error ends the test here
                let is_there = answer["result"].as_array().is_some_and(|result| !result.is_empty());
                (is_there || may_be_empty(&title)).then_some(())
            };
            wait_until(
                &format!("{}: {title}: {expr}", dashboard.display()),
                end - Instant::now().min(end) + Duration::from_secs(1),
                ask,
            );
        }
    }
    // Alerts have no series on a healthy host, but no error either.
    for path in files("alerts", ".yml") {
        let name = path.to_string_lossy();
        let has_both = name.contains("biolatency") || name.contains("runqlat");
        if name.ends_with("-test.yml") || has_both && name.ends_with("-native.yml") != native {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a file of the repository");
        for expr in text.lines().filter_map(|line| line.trim_start().strip_prefix("expr: '")) {
            let expr = expr.trim_end_matches('\'').replace("''", "'");
            let answer = prometheus.api(&format!("query?query={}", encode(&expr)));
            let fires = answer["result"].as_array().map_or(0, Vec::len);
            assert!(fires == 0 || expr.contains("ebhost_perf_events"), "{expr}: {answer}");
        }
    }
    // The unit is right: the median of a disk in memory is far below a second, in seconds.
    let suffix = if native { "" } else { "_bucket" };
    let by = if native { "" } else { "le" };
    let device = disk.name();
    let median = format!(
        "histogram_quantile(0.5, sum by ({by}) (rate(ebhost_bio_latency_seconds{suffix}{{device=\"{device}\"}}[30s])))"
    );
    let median = wait_until("the median", Duration::from_secs(10), || {
        prometheus.query(&median).filter(|value| value.is_finite())
    });
    assert!(median > 1e-7 && median < 0.5, "{median} s");
    host.stop();
}

#[test]
fn every_panel_has_data_with_classic_histograms() {
    needs!(Root, Tool("fio"), Tool("prometheus"));
    evaluate(false);
}

#[test]
fn every_panel_has_data_with_native_histograms() {
    needs!(Root, Tool("fio"), Tool("prometheus"));
    evaluate(true);
}
