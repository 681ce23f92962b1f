//! The alerts in `examples/prometheus`, and the queries in docs/metrics.md, by Prometheus' own parser.

use std::{fs, process::Command};

use ebhost_tests::{Folder, needs, workspace};

fn promtool(args: &[&str]) {
    let output = Command::new("promtool").args(args).output().expect("promtool runs");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {args:?}: {text}");
}

/// A full array is no full map, a request of which one end was seen is no loss, and a first failure is seen at once.
#[test]
fn the_shipped_alerts_fire_when_they_should_and_not_on_a_healthy_host() {
    needs!(Tool("promtool"));
    let folder = workspace().join("examples/prometheus");
    let path = |file: &str| folder.join(file).display().to_string();
    promtool(&["check", "rules", &path("alerts.yml")]);
    promtool(&["test", "rules", &path("alerts-test.yml")]);
}

#[test]
fn every_query_of_the_dashboards_page_can_be_asked() {
    needs!(Tool("promtool"));
    let page = fs::read_to_string(workspace().join("docs/dashboards.md")).expect("a page of this repository");
    let cells = page.lines().filter(|line| line.starts_with("| ")).flat_map(|line| line.split(" | "));
    let queries = cells.map(|cell| cell.trim_end_matches('|').trim().trim_matches('`'));
    let mut rules = "groups:\n- name: examples\n  rules:\n".to_owned();
    for (number, query) in queries.filter(|cell| cell.contains("ebhost_") && cell.contains('(')).enumerate() {
        rules += &format!("  - record: example_{number}\n    expr: '{query}'\n");
    }
    assert!(rules.lines().count() > 30, "{rules}");
    let folder = Folder::new();
    let file = folder.path().join("rules.yml");
    fs::write(&file, rules).expect("our own folder");
    promtool(&["check", "rules", &file.display().to_string()]);
}

#[test]
fn every_example_query_of_the_metrics_page_can_be_asked() {
    needs!(Tool("promtool"));
    let page = fs::read_to_string(workspace().join("docs/metrics.md")).expect("a page of this repository");
    let mut rules = "groups:\n- name: examples\n  rules:\n".to_owned();
    for (number, row) in page.lines().filter(|line| line.starts_with("| `")).enumerate() {
        let row = row.replace(r"\|", "\0");
        let query = row.trim_end_matches(" |").rsplit('|').next().unwrap_or_default();
        let query = query.trim().trim_matches('`').replace('\0', "|").replace('\'', "''");
        rules += &format!("  - record: example_{number}\n    expr: '{query}'\n");
    }
    assert!(rules.lines().count() > 100, "{rules}");
    let folder = Folder::new();
    let file = folder.path().join("rules.yml");
    fs::write(&file, rules).expect("our own folder");
    promtool(&["check", "rules", &file.display().to_string()]);
}
