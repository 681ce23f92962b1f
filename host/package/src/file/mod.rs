//! `plugin.yaml` itself: its [keys](raw), the [checks](check) of their values, and an operator's [choices](resolve) in their places. Every error is a
//! [`Diagnostic`] that points at the line.

mod check;
mod raw;
mod resolve;

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;

use crate::{
    CgroupIdMap, ChosenBounds, Diagnostic, FailureCost, GlobalValue, Limits, MaxEntries, PackageError, ProgramChoice,
    Settings, as_written, builtin, check_depth,
    located::{self, Tree},
    options::{self, PackageOptions, Values, references},
    perf::PerfSources,
};
use check::{check, mapping};
use ebhost_lookup::tables::LookupTable;
use raw::Raw;
pub use raw::{About, Switch};

/// The declarations of a `plugin.yaml`, checked, with an operator's choices in their places.
#[derive(Debug)]
pub(crate) struct Declared {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) license: String,
    pub(crate) component: String,
    pub(crate) bpf: Option<Bpf>,
    pub(crate) perf: PerfSources,
    pub(crate) config: String,
    pub(crate) grants: Vec<LookupTable>,
    pub(crate) limits: Limits,
    pub(crate) bounds: ChosenBounds,
    /// The value of each option.
    pub(crate) choices: Values,
}

/// The `bpf:` section, with an operator's choices in their places.
#[derive(Debug)]
pub(crate) struct Bpf {
    pub(crate) object: String,
    pub(crate) globals: BTreeMap<String, GlobalValue>,
    pub(crate) max_entries: BTreeMap<String, MaxEntries>,
    pub(crate) programs: Option<Vec<ProgramChoice>>,
    pub(crate) failure_costs: FailureCost,
    pub(crate) kaddrs: Vec<String>,
    pub(crate) cgroup_id_map: Option<CgroupIdMap>,
    pub(crate) delete_departed: Vec<String>,
}

/// The text of a `plugin.yaml`, checked as far as it can be before an operator's choices are known.
pub(crate) struct Draft<'a> {
    file: &'a Path,
    text: &'a str,
    about: About,
    raw: Raw,
    config: Value,
    grants: Vec<LookupTable>,
}

/// Parses and checks the text of a `plugin.yaml`.
pub(crate) fn parse<'a>(file: &'a Path, text: &'a str) -> Result<Draft<'a>, PackageError> {
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

/// Parses a file that holds what is below `config:` in a `plugin.yaml`, as JSON.
pub(crate) fn parse_config(file: &Path, text: &str) -> Result<String, PackageError> {
    check_depth(file, text).map_err(PackageError::Invalid)?;
    let tree: Option<Tree> =
        serde_yaml::from_str(text).map_err(|error| PackageError::Invalid(Diagnostic::of(file, text, &error)))?;
    let config = mapping(tree.map_or(Value::Null, |tree| tree.0));
    config.map(|config| config.to_string()).map_err(|message| PackageError::Invalid(Diagnostic::whole(file, message)))
}

impl Draft<'_> {
    pub(crate) fn name(&self) -> &str {
        &self.raw.name
    }

    /// Its author's description.
    pub(crate) fn about(&self) -> &About {
        &self.about
    }

    /// The options that the package offers.
    pub(crate) fn options(&self) -> &PackageOptions {
        &self.raw.options
    }

    /// Whether the package is loaded.
    pub(crate) fn switch(&self, settings: &Settings) -> Switch {
        match settings.package(&self.raw.name).and_then(|package| package.enabled) {
            Some(true) => Switch::On,
            Some(false) => Switch::Off,
            None => self.raw.default,
        }
    }

    /// Whether the package is loaded without a setting.
    pub(crate) fn default_switch(&self) -> Switch {
        self.raw.default
    }

    fn fault(&self, path: &str, message: String) -> PackageError {
        PackageError::Invalid(at_path(self.file, self.text, path, message))
    }

    /// Options that nothing depends on: no place names them, and no value of theirs changes anything.
    pub(crate) fn unused_options(&self) -> Vec<String> {
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

    /// Every reference has its option, in places that no choice reaches today, too.
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
}

#[cfg(test)]
mod tests;
