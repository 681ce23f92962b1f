//! Changes that a chosen value makes beside the places that refer to the option.

use std::{collections::BTreeMap, fmt};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Settable, references};
use crate::{
    bpf::{GlobalValue, MaxEntries, ProgramChoice},
    located::Tree,
    perf::PerfSources,
};

/// Keys that a value of an option sets in the package, and programs that it adds.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Overlay {
    #[serde(default)]
    pub(crate) globals: BTreeMap<String, Settable<GlobalValue>>,
    #[serde(default)]
    pub(crate) max_entries: BTreeMap<String, Settable<MaxEntries>>,
    /// Programs to attach beside those of the package.
    #[serde(default)]
    pub(crate) programs: Vec<ProgramChoice>,
    /// Groups that take the place of those of the same name.
    #[serde(default)]
    pub(crate) perf: PerfSources,
    #[serde(default, deserialize_with = "mapping")]
    pub(crate) config: Map<String, Value>,
}

fn mapping<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Map<String, Value>, D::Error> {
    match Tree::deserialize(from)?.0 {
        Value::Object(map) => Ok(map),
        other => Err(serde::de::Error::custom(format!("found `{other}`, expected a mapping"))),
    }
}

impl Overlay {
    /// The options that its values refer to.
    pub(super) fn references(&self) -> Vec<String> {
        let globals = self.globals.values().flat_map(Settable::references);
        let sizes = self.max_entries.values().flat_map(Settable::references);
        globals.chain(sizes).chain(self.config.values().flat_map(references)).collect()
    }
}

/// The part of a package in which an option sets a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Section {
    Globals,
    MaxEntries,
    Perf,
    Config,
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Globals => "globals",
            Self::MaxEntries => "max_entries",
            Self::Perf => "perf",
            Self::Config => "config",
        })
    }
}

/// The option that set each key: two options must not set the same one.
#[derive(Debug, Default)]
pub(crate) struct Overlays<'a> {
    owners: BTreeMap<(Section, String), &'a str>,
}

impl<'a> Overlays<'a> {
    /// Notes that the option sets the key.
    ///
    /// # Errors
    /// Another option sets it too.
    pub(crate) fn claim(&mut self, option: &'a str, section: Section, key: &str) -> Result<(), String> {
        match self.owners.insert((section, key.to_owned()), option) {
            Some(other) if other != option => Err(format!(
                "found that the options `{other}` and `{option}` both set `{section}.{key}` with these choices, expected one of them to"
            )),
            _ => Ok(()),
        }
    }
}
