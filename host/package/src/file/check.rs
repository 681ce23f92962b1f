//! Checks of single values of a `plugin.yaml`, which no choice of an operator changes.

use std::path::{Component, Path};

use serde_json::{Map, Value};

use super::raw::{Raw, RawBpf};
use crate::perf::{Perf, PerfSources};
use ebhost_lookup::tables::LookupTable;

/// A key, as the path to it, and what is wrong with its value.
pub(super) type Fault = (&'static str, String);

/// Checks the values of the keys; returns the configuration as a mapping, and the lookup tables that are granted.
pub(super) fn check(raw: &Raw, config: Value) -> Result<(Value, Vec<LookupTable>), Fault> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if !raw.name.starts_with(|c: char| c.is_ascii_lowercase()) || !raw.name.chars().all(legal) {
        let message = format!(
            "found the name `{}`, expected a lower-case letter, then lower-case letters, digits, `_` or `-`",
            raw.name
        );
        return Err(("name", message));
    }
    check_inside("component", &raw.component)?;
    if raw.component.ends_with(".cwasm") {
        let message = format!(
            "found `{}`, expected a component (.wasm): a precompiled one is native code, which no package may bring",
            raw.component
        );
        return Err(("component", message));
    }
    raw.limits.check().map_err(|(name, message)| (limit_path(name), message))?;
    if let Some(bpf) = &raw.bpf {
        check_inside("bpf.object", &bpf.object)?;
    }
    check_perf(&raw.perf, raw.bpf.as_ref())?;
    let config = mapping(config).map_err(|message| ("config", message))?;
    Ok((config, raw.grants.iter().map(|name| grant(name)).collect::<Result<_, _>>()?))
}

/// The free-form configuration; nothing is the same as an empty mapping.
pub(super) fn mapping(config: Value) -> Result<Value, String> {
    match config {
        Value::Null => Ok(Value::Object(Map::new())),
        config @ Value::Object(_) => Ok(config),
        other => Err(format!("found `{other}`, expected a mapping")),
    }
}

fn limit_path(name: &str) -> &'static str {
    match name {
        "memory" => "limits.memory",
        "decode" => "limits.decode",
        _ => "limits.series",
    }
}

/// A group of perf events that names maps or a program needs the object that has them.
pub(super) fn check_perf(perf: &PerfSources, bpf: Option<&RawBpf>) -> Result<(), Fault> {
    let needs_object = |perf: &Perf| perf.samples.is_some() || !perf.maps.is_empty();
    match perf.iter().find(|(_, perf)| bpf.is_none() && needs_object(perf)) {
        None => Ok(()),
        Some((name, _)) => Err((
            "perf",
            format!("found `maps` or a `program` in `{name}`, expected a `bpf:` section with the object that has them"),
        )),
    }
}

fn grant(name: &str) -> Result<LookupTable, Fault> {
    LookupTable::named(name)
        .ok_or_else(|| ("grants", format!("found the grant `{name}`, expected one of {}", LookupTable::names())))
}

fn check_inside(key: &'static str, path: &str) -> Result<(), Fault> {
    let is_plain = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    if path.is_empty() || !Path::new(path).components().all(is_plain) {
        let message =
            format!("found `{path}`, expected a file inside the package's own folder, such as `decoder.wasm`");
        return Err((key, message));
    }
    Ok(())
}
