//! The declarations of a package with an operator's choices in their places.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Bpf, Declared, Draft, check::check_perf};
use crate::{
    GlobalValue, Limits, MaxEntries, PackageError, ProgramChoice, Setting, Settings,
    options::{Overlay, Overlays, Section, Settable, Values, substitute},
    package_limits::PackageLimits,
    perf::PerfSources,
};

impl Draft<'_> {
    /// The declarations with the operator's choices.
    ///
    /// # Errors
    /// A setting that the package does not have, or whose value it does not take, at the setting's line; choices of which two set
    /// the same key.
    pub(crate) fn resolve(self, settings: &Settings) -> Result<Declared, PackageError> {
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
