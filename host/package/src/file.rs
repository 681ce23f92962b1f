//! `plugin.yaml` itself: its keys and its checks. Every error is a [`Diagnostic`] that points at the line.

use std::{
    collections::BTreeMap,
    path::{Component, Path},
};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};
use serde_json::{Map, Value};

use super::{
    CgroupIdMap, ChosenBounds, Diagnostic, FailureCost, GlobalValue, Limits, MaxEntries, PackageError, ProgramChoice,
    Setting, Settings, as_written, builtin, check_depth,
    located::{self, Tree},
    options::{self, Overlay, Overlays, PackageOptions, Section, Settable, Values, references, substitute},
    package_limits::PackageLimits,
    perf::{Perf, PerfSources},
};
use ebhost_lookup::tables::LookupTable;

/// The declarations of a `plugin.yaml`, checked, with an operator's choices in their places.
#[derive(Debug)]
pub(super) struct Declared {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) license: String,
    pub(super) component: String,
    pub(super) bpf: Option<Bpf>,
    pub(super) perf: PerfSources,
    pub(super) config: String,
    pub(super) grants: Vec<LookupTable>,
    pub(super) limits: Limits,
    pub(super) bounds: ChosenBounds,
    /// The value of each option.
    pub(super) choices: Values,
}

/// The `bpf:` section, with an operator's choices in their places.
#[derive(Debug)]
pub(super) struct Bpf {
    pub(super) object: String,
    pub(super) globals: BTreeMap<String, GlobalValue>,
    pub(super) max_entries: BTreeMap<String, MaxEntries>,
    pub(super) programs: Option<Vec<ProgramChoice>>,
    pub(super) failure_costs: FailureCost,
    pub(super) kaddrs: Vec<String>,
    pub(super) cgroup_id_map: Option<CgroupIdMap>,
    pub(super) delete_departed: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    license: String,
    #[serde(default)]
    summary: String,
    #[serde(default)]
    requires: String,
    #[serde(default)]
    cost: String,
    #[serde(default)]
    queries: BTreeMap<String, String>,
    #[serde(default)]
    default: Switch,
    component: String,
    bpf: Option<RawBpf>,
    #[serde(default)]
    perf: PerfSources,
    config: Option<Tree>,
    #[serde(default)]
    options: PackageOptions,
    #[serde(default)]
    grants: Vec<String>,
    #[serde(default)]
    limits: PackageLimits,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBpf {
    object: String,
    #[serde(default)]
    globals: BTreeMap<String, Settable<GlobalValue>>,
    #[serde(default)]
    max_entries: BTreeMap<String, Settable<MaxEntries>>,
    programs: Option<Vec<ProgramChoice>>,
    #[serde(default)]
    failure_costs: FailureCost,
    #[serde(default)]
    kaddrs: Vec<String>,
    cgroup_id_map: Option<CgroupIdMap>,
    #[serde(default)]
    delete_departed: Vec<String>,
}

/// An author's description of a package, for its documentation; empty: nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// Its metrics, in one sentence.
    pub summary: String,
    /// Its requirements: a kernel, a module, a configuration.
    pub requires: String,
    /// Its cost at each event, as measured.
    pub cost: String,
    /// Examples in PromQL, by the question that they answer.
    pub queries: BTreeMap<String, String>,
}

/// Whether a package is loaded when no setting says anything about it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Switch {
    #[default]
    On,
    Off,
}

impl<'de> Deserialize<'de> for Switch {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match options::truth(&options::shown(&Tree::deserialize(from)?.0)) {
            Some(true) => Ok(Self::On),
            Some(false) => Ok(Self::Off),
            None => Err(D::Error::custom("expected on or off")),
        }
    }
}

/// The text of a `plugin.yaml`, checked as far as it can be before an operator's choices are known.
pub(super) struct Draft<'a> {
    file: &'a Path,
    text: &'a str,
    about: About,
    raw: Raw,
    config: Value,
    grants: Vec<LookupTable>,
}

/// A key, as the path to it, and what is wrong with its value.
type Fault = (&'static str, String);

/// Parses and checks the text of a `plugin.yaml`.
pub(super) fn parse<'a>(file: &'a Path, text: &'a str) -> Result<Draft<'a>, PackageError> {
    check_depth(file, text).map_err(PackageError::Invalid)?;
    let mut raw: Raw =
        serde_yaml::from_str(text).map_err(|error| PackageError::Invalid(Diagnostic::of(file, text, &error)))?;
    let invalid = |error| PackageError::Invalid(Diagnostic::of(file, text, &error));
    let mut config = raw.config.take().map_or(Value::Null, |tree| tree.0);
    if builtin::is_named(&raw.component) && !config.is_null() {
        // It is that of a drop-in configuration, and is read as one.
        config = as_written::parse(text).map_err(invalid)?["config"].take();
    }
    let fault = |path: &str, message| PackageError::Invalid(at_path(file, text, path, message));
    let (config, grants) = check(&raw, config).map_err(|(path, message)| fault(path, message))?;
    options::check_names(&raw.options).map_err(|(name, message)| fault(&format!("options.{name}"), message))?;
    let about = About {
        summary: std::mem::take(&mut raw.summary),
        requires: std::mem::take(&mut raw.requires),
        cost: std::mem::take(&mut raw.cost),
        queries: std::mem::take(&mut raw.queries),
    };
    let draft = Draft { file, text, about, raw, config, grants };
    draft.check_references()?;
    Ok(draft)
}

fn at_path(file: &Path, text: &str, path: &str, message: String) -> Diagnostic {
    let at = located::steps(path).and_then(|steps| located::find(text, &steps));
    Diagnostic::at(file, text, at, message)
}

fn check(raw: &Raw, config: Value) -> Result<(Value, Vec<LookupTable>), Fault> {
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
fn mapping(config: Value) -> Result<Value, String> {
    match config {
        Value::Null => Ok(Value::Object(Map::new())),
        config @ Value::Object(_) => Ok(config),
        other => Err(format!("found `{other}`, expected a mapping")),
    }
}

/// Parses a file that holds what is below `config:` in a `plugin.yaml`, as JSON.
pub(super) fn parse_config(file: &Path, text: &str) -> Result<String, PackageError> {
    check_depth(file, text).map_err(PackageError::Invalid)?;
    let tree: Option<Tree> =
        serde_yaml::from_str(text).map_err(|error| PackageError::Invalid(Diagnostic::of(file, text, &error)))?;
    let config = mapping(tree.map_or(Value::Null, |tree| tree.0));
    config.map(|config| config.to_string()).map_err(|message| PackageError::Invalid(Diagnostic::whole(file, message)))
}

fn limit_path(name: &str) -> &'static str {
    match name {
        "memory" => "limits.memory",
        "decode" => "limits.decode",
        _ => "limits.series",
    }
}

fn check_perf(perf: &PerfSources, bpf: Option<&RawBpf>) -> Result<(), Fault> {
    let needs_object = |perf: &Perf| perf.samples.is_some() || !perf.maps.is_empty();
    match perf.iter().find(|(_, perf)| bpf.is_none() && needs_object(perf)) {
        None => Ok(()),
        Some((name, _)) => Err((
            "perf",
            format!("found `maps` or a `program` in `{name}`, expected a `bpf:` section with the object that has them"),
        )),
    }
}

impl Draft<'_> {
    pub(super) fn name(&self) -> &str {
        &self.raw.name
    }

    /// Its author's description.
    pub(super) fn about(&self) -> &About {
        &self.about
    }

    /// The options that the package offers.
    pub(super) fn options(&self) -> &PackageOptions {
        &self.raw.options
    }

    /// Whether the package is loaded.
    pub(super) fn switch(&self, settings: &Settings) -> Switch {
        match settings.package(&self.raw.name).and_then(|package| package.enabled) {
            Some(true) => Switch::On,
            Some(false) => Switch::Off,
            None => self.raw.default,
        }
    }

    /// Whether the package is loaded without a setting.
    pub(super) fn default_switch(&self) -> Switch {
        self.raw.default
    }

    fn fault(&self, path: &str, message: String) -> PackageError {
        PackageError::Invalid(at_path(self.file, self.text, path, message))
    }

    /// Every reference has its option, in places that no choice reaches today, too.
    /// Options that nothing depends on: no place names them, and no value of theirs changes anything.
    pub(super) fn unused_options(&self) -> Vec<String> {
        let named: Vec<_> = self.references().into_iter().flat_map(|(_, names)| names).collect();
        let is_unused =
            |(name, option): &(&String, &options::PackageOption)| !option.changes_anything() && !named.contains(name);
        self.raw.options.iter().filter(is_unused).map(|(name, _)| name.clone()).collect()
    }

    /// Every place that names options, and the names.
    fn references(&self) -> Vec<(String, Vec<String>)> {
        let options = &self.raw.options;
        let bpf = self.raw.bpf.iter().flat_map(|bpf| {
            let globals = bpf.globals.iter().map(|(key, value)| (format!("bpf.globals.{key}"), value.references()));
            let sizes =
                bpf.max_entries.iter().map(|(key, value)| (format!("bpf.max_entries.{key}"), value.references()));
            globals.chain(sizes).collect::<Vec<_>>()
        });
        // Without options a `$` in the configuration is the component's.
        let config = Some(("config".to_owned(), references(&self.config))).filter(|_| !options.is_empty());
        let overlays = options.iter().map(|(name, option)| (format!("options.{name}"), option.references()));
        bpf.chain(config).chain(overlays).collect()
    }

    fn check_references(&self) -> Result<(), PackageError> {
        let options = &self.raw.options;
        for (path, names) in self.references() {
            if let Some(name) = names.iter().find(|name| !options.contains_key(*name)) {
                let declared = options.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                let declared = if declared.is_empty() { "none is declared" } else { &declared };
                let message = format!("found `${name}`, expected an option of this package: {declared}");
                return Err(self.fault(&path, message));
            }
        }
        Ok(())
    }

    /// The declarations with the operator's choices.
    ///
    /// # Errors
    /// A setting that the package does not have, or whose value it does not take, at the setting's line; choices of which two set
    /// the same key.
    pub(super) fn resolve(self, settings: &Settings) -> Result<Declared, PackageError> {
        let choices = self.choices(settings)?;
        let limits = self.limits(settings)?;
        let bounds = settings.bounds_of(&self.raw.name);
        let mut resolved = Resolved::default();
        for (name, option) in &self.raw.options {
            let Some(overlay) = choices.get(name).and_then(|value| option.overlay(value)) else { continue };
            resolved.add(name, overlay).map_err(|message| self.fault(&format!("options.{name}"), message))?;
        }
        let mut perf = self.raw.perf.clone();
        perf.extend(resolved.perf);
        check_perf(&perf, self.raw.bpf.as_ref()).map_err(|(path, message)| self.fault(path, message))?;
        let config = self.config(resolved.config, &choices)?;
        let bpf = match &self.raw.bpf {
            None => None,
            Some(raw) => Some(Bpf {
                object: raw.object.clone(),
                globals: self.values("globals", &raw.globals, resolved.globals, &choices)?,
                max_entries: self.values("max_entries", &raw.max_entries, resolved.max_entries, &choices)?,
                programs: match (&raw.programs, resolved.programs) {
                    (None, added) if added.is_empty() => None,
                    (programs, added) => Some(programs.iter().flatten().cloned().chain(added).collect()),
                },
                failure_costs: raw.failure_costs,
                kaddrs: raw.kaddrs.clone(),
                cgroup_id_map: raw.cgroup_id_map.clone(),
                delete_departed: raw.delete_departed.clone(),
            }),
        };
        Ok(Declared {
            name: self.raw.name,
            version: self.raw.version,
            license: self.raw.license,
            component: self.raw.component,
            bpf,
            perf,
            config,
            grants: self.grants,
            limits,
            bounds,
            choices,
        })
    }

    /// The value of each option: the operator's, or the default.
    fn choices(&self, settings: &Settings) -> Result<Values, PackageError> {
        let options = &self.raw.options;
        let mut choices: Values = options.iter().map(|(name, option)| (name.clone(), option.default.clone())).collect();
        let chosen = settings.package(&self.raw.name).map(|package| &package.options);
        for (name, setting) in chosen.into_iter().flatten() {
            let option = options.get(name).ok_or_else(|| {
                let names =
                    options.keys().map(String::as_str).chain(["bounds", "limits", "enabled"]).collect::<Vec<_>>();
                let message = format!("found the option `{name}`, {} has {}", self.raw.name, names.join(", "));
                PackageError::Invalid(setting.fault(message))
            })?;
            let value = option.kind.check(&setting.value).map_err(|fault| {
                PackageError::Invalid(setting.fault(format!("the option `{name}` of {}: {fault}", self.raw.name)))
            })?;
            choices.insert(name.clone(), value);
        }
        Ok(choices)
    }

    /// The operator's limits of this package, then the package's own, then the operator's of all packages, then the host's.
    fn limits(&self, settings: &Settings) -> Result<Limits, PackageError> {
        let stated = |settings: Option<&BTreeMap<String, Setting>>| {
            let mut limits = PackageLimits::default();
            for (name, setting) in settings.into_iter().flatten() {
                limits.set(name, &setting.value).map_err(|fault| PackageError::Invalid(setting.fault(fault)))?;
            }
            Ok(limits)
        };
        let own = stated(settings.package(&self.raw.name).map(|package| &package.limits))?;
        Ok(own.or(self.raw.limits).or(stated(Some(settings.limits()))?).complete())
    }

    fn config(&self, added: Map<String, Value>, choices: &Values) -> Result<String, PackageError> {
        let mut config = self.config.clone();
        if self.raw.options.is_empty() {
            return Ok(config.to_string());
        }
        if let Value::Object(config) = &mut config {
            config.extend(added);
        }
        let config = substitute(config, choices).map_err(|message| self.fault("config", message))?;
        Ok(config.to_string())
    }

    /// Values of globals or sizes of maps: the package's, those of its options in their place, and choices for references.
    fn values<T: Clone + DeserializeOwned>(
        &self,
        section: &str,
        declared: &BTreeMap<String, Settable<T>>,
        added: BTreeMap<String, Settable<T>>,
        choices: &Values,
    ) -> Result<BTreeMap<String, T>, PackageError> {
        let mut values = declared.clone();
        values.extend(added);
        let resolve = |(key, value): (String, Settable<T>)| match value.resolve(choices) {
            Ok(value) => Ok((key, value)),
            Err(message) => Err(self.fault(&format!("bpf.{section}.{key}"), message)),
        };
        values.into_iter().map(resolve).collect()
    }
}

/// The changes of all chosen values together.
#[derive(Default)]
struct Resolved<'a> {
    owners: Overlays<'a>,
    globals: BTreeMap<String, Settable<GlobalValue>>,
    max_entries: BTreeMap<String, Settable<MaxEntries>>,
    programs: Vec<ProgramChoice>,
    perf: PerfSources,
    config: Map<String, Value>,
}

impl<'a> Resolved<'a> {
    fn add(&mut self, option: &'a str, overlay: &Overlay) -> Result<(), String> {
        let globals = overlay.globals.keys().map(|key| (Section::Globals, key));
        let sizes = overlay.max_entries.keys().map(|key| (Section::MaxEntries, key));
        let perf = overlay.perf.keys().map(|key| (Section::Perf, key));
        let config = overlay.config.keys().map(|key| (Section::Config, key));
        for (section, key) in globals.chain(sizes).chain(perf).chain(config) {
            self.owners.claim(option, section, key)?;
        }
        self.globals.extend(overlay.globals.clone());
        self.max_entries.extend(overlay.max_entries.clone());
        self.perf.extend(overlay.perf.clone());
        self.config.extend(overlay.config.clone());
        let new = |program: &&ProgramChoice| !self.programs.contains(program);
        let programs: Vec<_> = overlay.programs.iter().filter(new).cloned().collect();
        self.programs.extend(programs);
        Ok(())
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
    use ebhost_limits as limits;

    use super::*;

    const GOOD: &str = "name: biolatency\ncomponent: biolatency.wasm\n";

    fn declared(text: &str, settings: &Settings) -> Result<Declared, String> {
        let resolved = parse(Path::new("p/plugin.yaml"), text).and_then(|draft| draft.resolve(settings));
        resolved.map_err(|error| error.to_string())
    }

    fn refusal(text: &str) -> String {
        declared(text, &Settings::default()).unwrap_err()
    }

    #[test]
    fn what_is_left_out_has_the_defaults() {
        let declared = declared(GOOD, &Settings::default()).unwrap();
        assert_eq!(declared.config, "{}");
        assert_eq!(declared.limits.series, limits::DEFAULT_SERIES);
        assert_eq!(declared.limits.decode, limits::DEFAULT_DECODE);
        assert!(declared.bpf.is_none() && declared.grants.is_empty());
    }

    #[test]
    fn config_reaches_the_plugin_as_json() {
        let text = format!("{GOOD}config: {{ per_flag: true, disks: [vda, 7], path: $HOME }}\n");
        let declared = declared(&text, &Settings::default()).unwrap();
        assert_eq!(declared.config, r#"{"disks":["vda",7],"path":"$HOME","per_flag":true}"#);
    }

    #[test]
    fn a_configuration_of_its_own_file_is_read_as_that_of_the_package() {
        let file = Path::new("other.yaml");
        assert_eq!(parse_config(file, "disks: [vda, 7]\n").unwrap(), r#"{"disks":["vda",7]}"#);
        assert_eq!(parse_config(file, r#"{"per_flag": true}"#).unwrap(), r#"{"per_flag":true}"#);
        assert_eq!(parse_config(file, "").unwrap(), "{}");
        for (wrong, says) in [("[1]", "other.yaml: found `[1]`, expected a mapping"), ("a: [", "other.yaml:")] {
            let message = parse_config(file, wrong).unwrap_err().to_string();
            assert!(message.starts_with(says), "{message}");
        }
    }

    /// `1.10` was `1.1` in a label.
    #[test]
    fn config_reaches_the_builtin_component_as_it_is_written() {
        let text = "name: x\ncomponent: builtin\nconfig: { map: { 1: 1.10, 2: 0x0800, 3: False, 4: } }\n";
        let declared = declared(text, &Settings::default()).unwrap();
        assert_eq!(declared.config, r#"{"map":{"1":"1.10","2":"0x0800","3":"False","4":null}}"#);
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
        for path in ["../x.bpf.o", "/lib/x.bpf.o", "a/../../x.bpf.o", "''"] {
            let message = refusal(&format!("{GOOD}bpf: {{ object: {path} }}\n"));
            let expected = "expected a file inside the package's own folder";
            assert!(message.starts_with("p/plugin.yaml:3:") && message.contains(expected), "{message}");
        }
        let inside = format!("{GOOD}bpf: {{ object: ./objects/x.bpf.o }}\n");
        assert!(parse(Path::new("p/plugin.yaml"), &inside).is_ok());
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

    const OPTIONS: &str = "name: bio
component: x.wasm
bpf:
  object: x.bpf.o
  programs: [complete]
  globals: { targ_native: $native, targ_banks: $banks }
  max_entries: { banks: $banks per cpu, native_banks: 1 }
config: { native: $native, disks: $disks, by: none }
options:
  native:
    type: bool
    default: false
    help: Native histograms.
    when:
      true: { max_entries: { banks: 1, native_banks: $banks per cpu } }
  banks: { type: integer, min: 1, max: 4096, default: 128, help: Banks of a CPU. }
  disks: { type: list, default: [], help: Disks. }
  by:
    type: enum
    values: [none, cgroup]
    default: none
    help: Attribution.
    when:
      cgroup: { globals: { targ_by: 1 }, programs: [switch, exit], config: { by: cgroup } }
";

    fn settings(assignments: &[&str]) -> Settings {
        let mut settings = Settings::default();
        assignments.iter().for_each(|assignment| settings.set(assignment).unwrap());
        settings
    }

    #[test]
    fn one_choice_sets_everything_that_has_to_agree() {
        let bpf = declared(OPTIONS, &Settings::default()).unwrap().bpf.unwrap();
        assert_eq!(
            (bpf.globals["targ_native"].clone(), bpf.max_entries["banks"]),
            (GlobalValue::Bool(false), MaxEntries::PerCpu(128))
        );
        assert_eq!(
            (bpf.max_entries["native_banks"], bpf.programs),
            (MaxEntries::Fixed(1), Some(vec![ProgramChoice::from("complete")]))
        );

        let chosen = settings(&[
            "plugins.bio.native=true",
            "plugins.bio.banks=64",
            "plugins.bio.disks=[sda]",
            "plugins.bio.by=cgroup",
        ]);
        let declared = declared(OPTIONS, &chosen).unwrap();
        assert_eq!(declared.config, r#"{"by":"cgroup","disks":["sda"],"native":true}"#);
        let bpf = declared.bpf.unwrap();
        assert_eq!(
            (bpf.globals["targ_native"].clone(), bpf.globals["targ_by"].clone()),
            (GlobalValue::Bool(true), GlobalValue::Unsigned(1))
        );
        assert_eq!(
            (bpf.max_entries["banks"], bpf.max_entries["native_banks"]),
            (MaxEntries::Fixed(1), MaxEntries::PerCpu(64))
        );
        assert_eq!(bpf.programs.unwrap(), ["complete", "switch", "exit"].map(ProgramChoice::from));
    }

    #[test]
    fn a_list_among_the_programs_has_alternatives() {
        let with = |programs: &str| OPTIONS.replace("[complete]", programs);
        let programs = declared(&with("[complete, [a, b]]"), &Settings::default()).unwrap().bpf.unwrap().programs;
        let programs: Vec<_> = programs.iter().flatten().map(ProgramChoice::alternatives).collect();
        assert_eq!(programs, [&["complete"][..], &["a", "b"]]);
        let message = refusal(&with("[complete, []]"));
        assert!(message.contains("found an empty list, expected the names of programs"), "{message}");
    }

    #[test]
    fn a_setting_that_the_package_does_not_have_is_refused_with_those_it_has() {
        for (assignment, expected) in [
            (
                "plugins.bio.nativ=true",
                "found the option `nativ`, bio has banks, by, disks, native, bounds, limits, enabled",
            ),
            ("plugins.bio.by=comm", "the option `by` of bio: found `comm`, expected one of none, cgroup"),
            ("plugins.bio.banks=0", "the option `banks` of bio: found `0`, expected a whole number from 1 to 4096"),
        ] {
            let message = declared(OPTIONS, &settings(&[assignment])).unwrap_err();
            assert_eq!(message, format!("--set {assignment}: {expected}"));
        }
    }

    #[test]
    fn an_operators_limits_count_more_than_the_packages_and_those_of_all_packages_less() {
        let text = format!("{GOOD}limits: {{ series: 7 }}\n");
        let series = |assignments: &[&str]| declared(&text, &settings(assignments)).unwrap().limits.series;
        assert_eq!(series(&["limits.series=5"]), 7);
        assert_eq!(series(&["plugins.biolatency.limits.series=9"]), 9);
        assert_eq!(declared(GOOD, &settings(&["limits.series=5"])).unwrap().limits.series, 5);
    }

    #[test]
    fn mistakes_in_options_are_pointed_at() {
        for (change, with, expected) in [
            (
                "$native,",
                "$natve,",
                "p/plugin.yaml:6:14: found `$natve`, expected an option of this package: banks, by, disks, native",
            ),
            ("true: {", "maybe: {", "`when`: found `maybe`, expected true or false"),
            ("type: list", "type: lists", "found the type `lists`, expected bool, integer, time, text, list or enum"),
            ("default: 128", "default: 5000", "the default: found `5000`, expected a whole number from 1 to 4096"),
            ("  disks: {", "  limits: {", "found the option `limits`, expected a lower-case letter"),
        ] {
            let message = refusal(&OPTIONS.replace(change, with).replace("disks: $disks, ", ""));
            assert!(message.contains(expected) && message.starts_with("p/plugin.yaml:"), "{message}");
        }
    }

    #[test]
    fn two_options_that_set_one_key_are_a_mistake() {
        let text = OPTIONS.replace("{ globals: { targ_by: 1 }", "{ max_entries: { banks: 7 }");
        assert!(declared(&text, &settings(&["plugins.bio.by=cgroup"])).is_ok());
        let message = declared(&text, &settings(&["plugins.bio.by=cgroup", "plugins.bio.native=on"])).unwrap_err();
        assert!(message.contains("the options `by` and `native` both set `max_entries.banks`"), "{message}");
    }

    #[test]
    fn a_package_is_switched_by_its_default_and_by_settings() {
        let switch = |text: &str, settings: &Settings| parse(Path::new("p"), text).unwrap().switch(settings);
        let off = format!("{GOOD}default: off\n");
        assert_eq!(switch(GOOD, &Settings::default()), Switch::On);
        assert_eq!(switch(&off, &Settings::default()), Switch::Off);
        assert_eq!(switch(&off, &settings(&["plugins.biolatency=on"])), Switch::On);
        assert_eq!(switch(GOOD, &settings(&["plugins.biolatency=off"])), Switch::Off);
    }

    #[test]
    fn a_name_is_plain() {
        assert!(refusal("name: Bio Latency\ncomponent: x.wasm\n").contains("found the name `Bio Latency`"));
    }
}
