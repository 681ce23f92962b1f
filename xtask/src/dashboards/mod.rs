//! Dashboards and alerts of the packages, made of one description each.
//!
//! `examples/panels/NAME.yaml` says which panels and alerts a package has. Made of it are a Grafana dashboard and a file of rules for classic
//! histograms and one of each for native ones, a test of the rules for promtool, and the titles that the live page shows. What is made is
//! committed; a test says when it is older than its description.

mod description;
mod grafana;
mod promql;
mod rules;

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::json;

use crate::error::{Error, Result};
use description::Description;
use promql::Histograms;

/// Writes everything that is made of the descriptions.
pub(crate) fn write(root: &Path) -> Result<()> {
    for (path, text) in made(root)? {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(Error::file(folder))?;
        }
        fs::write(&path, text).map_err(Error::file(&path))?;
    }
    Ok(())
}

/// Lists what is older than its description.
pub(crate) fn check(root: &Path) -> Result<()> {
    let made = made(root)?;
    let stale: Vec<_> =
        made.iter().filter(|(path, text)| fs::read_to_string(path).ok().as_ref() != Some(text)).collect();
    for (path, _) in &stale {
        println!("{}: is not what its description says: run `cargo xtask dashboards`", path.display());
    }
    if stale.is_empty() { Ok(()) } else { Err(Error::Stale { count: stale.len() }) }
}

/// Every file with its text.
fn made(root: &Path) -> Result<Vec<(PathBuf, String)>> {
    let descriptions = read(&root.join("examples/panels"))?;
    let (grafana, alerts) = (root.join("examples/grafana"), root.join("examples/alerts"));
    let mut files = Vec::new();
    for description in &descriptions {
        for histograms in Histograms::ALL.into_iter().take(if description.native { 2 } else { 1 }) {
            let name = format!("{}{}", description.package, histograms.suffix());
            files.push((grafana.join(format!("{name}.json")), pretty(&grafana::dashboard(description, histograms))));
            if !description.alerts.is_empty() {
                files.push((alerts.join(format!("{name}.yml")), rules::rules(description, histograms)));
            }
        }
        if !description.alerts.is_empty() {
            files.push((alerts.join(format!("{}-test.yml", description.package)), rules::test(description)));
        }
    }
    files.push((grafana.join("mixin.libsonnet"), mixin(&descriptions)));
    files.push((root.join("host/server/web/panels.json"), pretty(&page(&descriptions))));
    Ok(files)
}

fn read(folder: &Path) -> Result<Vec<Description>> {
    let entries = fs::read_dir(folder).map_err(Error::file(folder))?;
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let read = |path: &PathBuf| {
        let text = fs::read_to_string(path).map_err(Error::file(path))?;
        serde_yaml::from_str(&text).map_err(|error| Error::Format { path: path.clone(), why: error.to_string() })
    };
    paths.iter().map(read).collect()
}

/// The part that the live page takes from the descriptions: title and note of a family, in order.
fn page(descriptions: &[Description]) -> serde_json::Value {
    let families = descriptions.iter().flat_map(|description| {
        description.families.iter().enumerate().map(move |(place, family)| {
            let panel = description.panels.iter().find(|panel| panel.drawn.family() == Some(family));
            let (title, note) = panel.map_or(("", ""), |panel| (&panel.title, &panel.note));
            (family.clone(), json!({ "place": place, "title": title, "note": note }))
        })
    });
    let titles = descriptions.iter().map(|description| (description.package.clone(), json!(description.title)));
    json!({
        "families": families.collect::<serde_json::Map<_, _>>(),
        "packages": titles.collect::<serde_json::Map<_, _>>(),
    })
}

/// The same for those who use mixins: dashboards and alerts of both forms, of which the configuration chooses one.
fn mixin(descriptions: &[Description]) -> String {
    let entries = |histograms: Histograms| -> [String; 2] {
        let file = |description: &Description| {
            let suffix = if description.native { histograms.suffix() } else { "" };
            format!("{}{suffix}", description.package)
        };
        let dashboard = |description: &Description| {
            format!("      'ebhost-{}.json': import '{}.json',\n", description.package, file(description))
        };
        let alerts = |description: &Description| {
            format!("      std.parseYaml(importstr '../alerts/{}.yml').groups,\n", file(description))
        };
        let with_alerts = descriptions.iter().filter(|description| !description.alerts.is_empty());
        [descriptions.iter().map(dashboard).collect(), with_alerts.map(alerts).collect()]
    };
    let [classic_dashboards, classic_alerts] = entries(Histograms::Classic);
    let [native_dashboards, native_alerts] = entries(Histograms::Native);
    format!(
        "// Made by `cargo xtask dashboards`. A Prometheus that stores native histograms needs `_config+:: {{ histograms: 'native' }}`.\n\
         local dashboards = {{\n    classic: {{\n{classic_dashboards}    }},\n    native: {{\n{native_dashboards}    }},\n}};\n\
         local groups = {{\n    classic: std.flattenArrays([\n{classic_alerts}    ]),\n    native: std.flattenArrays([\n{native_alerts}    ]),\n}};\n\
         {{\n  _config+:: {{ histograms: 'classic' }},\n  grafanaDashboards+:: dashboards[$._config.histograms],\n  \
         prometheusAlerts+:: {{ groups+: groups[$._config.histograms] }},\n}}\n"
    )
}

fn pretty(value: &serde_json::Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}
