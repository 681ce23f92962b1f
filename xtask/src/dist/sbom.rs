//! The list of what is inside the binaries, as CycloneDX 1.5: every crate that cargo links into ebhost.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
};

use serde_json::{Value, json};

use super::{Arch, Release};
use crate::{
    error::{Error, Result},
    process::{cargo, output},
};

pub(super) fn write(release: &Release) -> Result<()> {
    let file = release.out.join(format!("ebhost-{}.cdx.json", release.version));
    let mut command = cargo();
    command.current_dir(&release.root).args(["metadata", "--locked", "--format-version=1"]);
    // The crates of both architectures.
    let metadata = output(command.args(Arch::ALL.map(|arch| format!("--filter-platform={}", arch.target()))))?;
    let metadata: Value =
        serde_json::from_str(&metadata).map_err(|why| Error::Format { path: file.clone(), why: why.to_string() })?;
    let created =
        output(Command::new("date").args(["--utc", "--date", &format!("@{}", release.epoch), "+%Y-%m-%dT%H:%M:%SZ"]))?;
    let components: Vec<_> = linked(&metadata).into_iter().map(component).collect();
    let document = json!({
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "metadata": {
            "timestamp": created,
            "component": { "type": "application", "bom-ref": "ebhost", "name": "ebhost", "version": release.version,
                "licenses": [{ "expression": "Apache-2.0" }] },
        },
        "components": components,
    });
    fs::write(&file, format!("{document:#}\n")).map_err(Error::file(&file))
}

/// The crates that ebhost depends on, by whatever way, other than for its tests and build scripts.
fn linked(metadata: &Value) -> Vec<&Value> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let nodes: BTreeMap<String, Value> =
        list(&metadata["resolve"]["nodes"]).into_iter().map(|node| (text(&node["id"]).to_owned(), node)).collect();
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let first = packages.iter().find(|package| package["name"] == "ebhost");
    let mut seen = BTreeSet::new();
    let mut open: Vec<_> = first.map(|package| text(&package["id"]).to_owned()).into_iter().collect();
    while let Some(id) = open.pop() {
        if !seen.insert(id.clone()) {
            continue;
        }
        for dependency in nodes.get(&id).map(|node| list(&node["deps"])).unwrap_or_default() {
            if list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"].is_null()) {
                open.push(text(&dependency["pkg"]).to_owned());
            }
        }
    }
    let mut linked: Vec<_> =
        packages.iter().filter(|package| seen.contains(text(&package["id"])) && package["name"] != "ebhost").collect();
    linked.sort_by_key(|package| (text(&package["name"]), text(&package["version"])));
    linked
}

fn component(package: &Value) -> Value {
    let (name, version) = (text(&package["name"]), text(&package["version"]));
    let mut component =
        json!({ "type": "library", "bom-ref": format!("{name}@{version}"), "name": name, "version": version });
    if package["source"].is_string() {
        component["purl"] = json!(format!("pkg:cargo/{name}@{version}"));
    }
    if let Some(license) = package["license"].as_str() {
        // Before cargo knew SPDX, `/` was its "or".
        let expression = license.split('/').map(str::trim).collect::<Vec<_>>().join(" OR ");
        component["licenses"] = json!([{ "expression": expression }]);
    }
    component
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
