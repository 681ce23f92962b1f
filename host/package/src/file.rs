//! `plugin.yaml` itself: its keys and its checks. Every error is a [`Diagnostic`] that points at the line.

use std::{
    collections::BTreeMap,
    path::{Component, Path},
};

use serde::Deserialize;

use super::{
    CgroupIdMap, Diagnostic, FailureCost, GlobalValue, Limits, MaxEntries, PackageError, check_depth,
    located::Tree,
    perf::{Perf, PerfSources},
    quantity::{Bytes, Time},
};
use ebhost_limits as limits;
use ebhost_lookup::tables::LookupTable;

/// The declarations of a `plugin.yaml`, checked.
#[derive(Debug)]
pub(super) struct Declared {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) component: String,
    pub(super) bpf: Option<Bpf>,
    pub(super) perf: PerfSources,
    pub(super) config: String,
    pub(super) grants: Vec<LookupTable>,
    pub(super) limits: Limits,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: String,
    #[serde(default)]
    version: String,
    component: String,
    bpf: Option<Bpf>,
    #[serde(default)]
    perf: PerfSources,
    config: Option<Tree>,
    #[serde(default)]
    grants: Vec<String>,
    #[serde(default)]
    limits: RawLimits,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bpf {
    pub(super) object: String,
    #[serde(default)]
    pub(super) globals: BTreeMap<String, GlobalValue>,
    #[serde(default)]
    pub(super) max_entries: BTreeMap<String, MaxEntries>,
    pub(super) programs: Option<Vec<String>>,
    #[serde(default)]
    pub(super) failure_costs: FailureCost,
    #[serde(default)]
    pub(super) kaddrs: Vec<String>,
    pub(super) cgroup_id_map: Option<CgroupIdMap>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLimits {
    memory: Option<Bytes>,
    decode: Option<Time>,
    series: Option<usize>,
}

/// Parses and checks the text of a `plugin.yaml`.
pub(super) fn parse(file: &Path, text: &str) -> Result<Declared, PackageError> {
    check_depth(file, text).map_err(PackageError::Invalid)?;
    let raw: Raw =
        serde_yaml::from_str(text).map_err(|error| PackageError::Invalid(Diagnostic::of(file, text, &error)))?;
    check(raw).map_err(|(key, message)| PackageError::Invalid(Diagnostic::of_key(file, text, key, message)))
}

/// A key and what is wrong with its value.
type Fault = (&'static str, String);

fn check(raw: Raw) -> Result<Declared, Fault> {
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
    check_limits(&raw.limits)?;
    if let Some(bpf) = &raw.bpf {
        check_inside("object", &bpf.object)?;
    }
    let needs_object = |perf: &Perf| perf.samples.is_some() || !perf.maps.is_empty();
    if let Some((name, _)) = raw.perf.iter().find(|(_, perf)| raw.bpf.is_none() && needs_object(perf)) {
        let message =
            format!("found `maps` or a `program` in `{name}`, expected a `bpf:` section with the object that has them");
        return Err(("perf", message));
    }
    let config = match raw.config {
        None | Some(Tree(serde_json::Value::Null)) => "{}".to_owned(),
        Some(Tree(config @ serde_json::Value::Object(_))) => config.to_string(),
        Some(Tree(other)) => return Err(("config", format!("found `{other}`, expected a mapping"))),
    };
    let grants = raw.grants.iter().map(|name| grant(name)).collect::<Result<_, _>>()?;
    Ok(Declared {
        name: raw.name,
        version: raw.version,
        component: raw.component,
        bpf: raw.bpf,
        perf: raw.perf,
        config,
        grants,
        limits: Limits {
            memory_bytes: raw.limits.memory.map_or(limits::DEFAULT_MEMORY_BYTES, |bytes| bytes.0),
            decode: raw.limits.decode.map_or(limits::DEFAULT_DECODE, |time| time.0),
            series: raw.limits.series.unwrap_or(limits::DEFAULT_SERIES),
        },
    })
}

/// A package may ask for more than the defaults, but not for the whole host.
fn check_limits(limits: &RawLimits) -> Result<(), Fault> {
    let beyond = |key, found: String, most: String| Err((key, format!("found {found}, expected at most {most}")));
    match limits {
        RawLimits { memory: Some(bytes), .. } if bytes.0 > limits::MOST_MEMORY_BYTES => {
            beyond("memory", format!("{} bytes", bytes.0), format!("{} (1GiB)", limits::MOST_MEMORY_BYTES))
        }
        RawLimits { decode: Some(time), .. } if time.0 > limits::GUEST_TIME_PER_SCRAPE => {
            beyond("decode", format!("{:?}", time.0), format!("{:?}", limits::GUEST_TIME_PER_SCRAPE))
        }
        RawLimits { series: Some(series), .. } if *series > limits::MOST_SERIES => {
            beyond("series", series.to_string(), limits::MOST_SERIES.to_string())
        }
        _ => Ok(()),
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

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "name: biolatency\ncomponent: biolatency.wasm\n";

    fn refusal(text: &str) -> String {
        parse(Path::new("p/plugin.yaml"), text).unwrap_err().to_string()
    }

    #[test]
    fn what_is_left_out_has_the_defaults() {
        let declared = parse(Path::new("p/plugin.yaml"), GOOD).unwrap();
        assert_eq!(declared.config, "{}");
        assert_eq!(declared.limits.series, limits::DEFAULT_SERIES);
        assert_eq!(declared.limits.decode, limits::DEFAULT_DECODE);
        assert!(declared.bpf.is_none() && declared.grants.is_empty());
    }

    #[test]
    fn config_reaches_the_plugin_as_json() {
        let declared =
            parse(Path::new("p"), &format!("{GOOD}config: {{ per_flag: true, disks: [vda, 7] }}\n")).unwrap();
        assert_eq!(declared.config, r#"{"disks":["vda",7],"per_flag":true}"#);
    }

    #[test]
    fn an_unknown_key_is_pointed_at() {
        let message = refusal(&format!("{GOOD}grant: [block-device]\n"));
        assert!(message.starts_with("p/plugin.yaml:3:1: unknown field `grant`, expected one of"), "{message}");
        assert!(message.ends_with("\n3 | grant: [block-device]\n  | ^"), "{message}");
    }

    #[test]
    fn a_wrong_type_names_what_was_found_and_expected() {
        let message = refusal("name: biolatency\ncomponent: [a]\n");
        assert!(
            message.starts_with("p/plugin.yaml:2:12: component: invalid type: sequence, expected a string"),
            "{message}"
        );
        let message = refusal(&format!("{GOOD}limits: {{ memory: 16MB }}\n"));
        assert!(message.contains("p/plugin.yaml:3:") && message.contains("found `16MB`, expected bytes"), "{message}");
    }

    #[test]
    fn a_tab_is_called_a_tab() {
        let message = refusal("name: x\nbpf:\n\tobject: x.o\n");
        assert!(message.starts_with("p/plugin.yaml:3:1:") && message.contains("found a tab"), "{message}");
    }

    #[test]
    fn a_file_outside_the_package_is_refused() {
        for path in ["../other.wasm", "/etc/passwd", "''"] {
            let message = refusal(&format!("name: x\ncomponent: {path}\n"));
            assert!(message.starts_with("p/plugin.yaml:2:1: found `"), "{message}");
        }
    }

    #[test]
    fn a_grant_that_does_not_exist_is_refused() {
        let message = refusal(&format!("{GOOD}grants: [block-devices]\n"));
        assert!(message.contains(":3:1: found the grant `block-devices`, expected one of block-device, "), "{message}");
    }

    #[test]
    fn limits_have_limits() {
        for (limits, expected) in [
            ("memory: 2GiB", "found 2147483648 bytes, expected at most 1073741824 (1GiB)"),
            ("decode: 501ms", "found 501ms, expected at most 500ms"),
            ("series: 2000001", "found 2000001, expected at most 2000000"),
        ] {
            let message = refusal(&format!("{GOOD}limits: {{ {limits} }}\n"));
            assert!(message.contains(expected) && message.starts_with("p/plugin.yaml:3:"), "{message}");
        }
    }

    #[test]
    fn native_code_is_refused_by_its_name() {
        let message = refusal("name: x\ncomponent: x.cwasm\n");
        assert!(message.starts_with("p/plugin.yaml:2:1: found `x.cwasm`, expected a component"), "{message}");
    }

    #[test]
    fn an_event_that_does_not_exist_is_pointed_at() {
        let message = refusal(&format!("{GOOD}perf:\n  llc: {{ events: [hardware/cycles, hardware/misses] }}\n"));
        assert!(message.contains("found the event `hardware/misses`, expected one of cycles, "), "{message}");
        assert!(message.contains("p/plugin.yaml:4:") && message.contains("\n4 |   llc: "), "{message}");
        let message = refusal(&format!("{GOOD}perf:\n  llc: {{ events: [software/dummy], maps: [a] }}\n"));
        assert!(message.contains(":3:1: found `maps` or a `program` in `llc`, expected a `bpf:` section"), "{message}");
    }

    #[test]
    fn a_name_is_plain() {
        assert!(refusal("name: Bio Latency\ncomponent: x.wasm\n").contains("found the name `Bio Latency`"));
    }
}
