//! The mixin for those who use jsonnet, evaluated by jsonnet.

use std::{fs, process::Command};

use ebhost_tests::{Folder, needs, output, workspace};
use serde_json::Value;

use crate::dashboards::{ELSEWHERE, HERE, alerts, of_package, promtool};

#[test]
fn the_mixin_has_the_same_dashboards_and_alerts_as_the_files() {
    needs!(Tool("jsonnet"), Tool("promtool"));
    let folder = Folder::new();
    for native in [false, true] {
        let form = if native { "native" } else { "classic" };
        let mixin = workspace().join("examples/grafana/mixin.libsonnet");
        let program = format!("(import '{}') + {{ _config+:: {{ histograms: '{form}' }} }}", mixin.display());
        let made = |field: &str| -> Value {
            serde_json::from_str(&output(Command::new("jsonnet").args(["-e", &format!("({program}).{field}")])))
                .expect("JSON")
        };
        let dashboards = made("grafanaDashboards");
        let rules = made("prometheusAlerts");
        for (name, dashboard) in dashboards.as_object().expect("an object") {
            let package = name.strip_prefix("ebhost-").and_then(|name| name.strip_suffix(".json")).expect("a name");
            let file = of_package("grafana", package, native, ".json");
            // By jsonnet, too, which prints numbers its own way.
            let expected: Value = serde_json::from_str(&output(Command::new("jsonnet").arg(file))).expect("JSON");
            assert_eq!(*dashboard, expected, "{name}");
        }
        assert_eq!(dashboards.as_object().map(serde_json::Map::len), Some(HERE.len() + ELSEWHERE.len() + 2), "{form}");
        let groups = rules["groups"].as_array().expect("groups");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let found: Vec<_> = groups
            .iter()
            .flat_map(|group| group["rules"].as_array().expect("rules"))
            .map(|rule| (text(&rule["alert"]), text(&rule["expr"])))
            .collect();
        let packages = groups.iter().map(|group| text(&group["name"]));
        let expected: Vec<_> = packages
            .flat_map(|name| {
                alerts(&of_package(
                    "alerts",
                    name.trim_start_matches("ebhost-").trim_end_matches("-native"),
                    native,
                    ".yml",
                ))
            })
            .collect();
        assert_eq!(found, expected, "{form}");
        let file = folder.path().join(format!("{form}.yml"));
        fs::write(&file, rules.to_string()).expect("our own folder");
        promtool(&["check", "rules", &file.display().to_string()]);
    }
}
