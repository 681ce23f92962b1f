//! The `bpf:` section of a package: its object, and what is set in it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{Artefact, PackageError, artefact::read_artefact, file};
use ebhost_limits as limits;

/// A BPF object, and the settings that are applied before it is loaded.
#[derive(Debug)]
pub struct Bpf {
    pub object: Artefact,
    /// Values for `const volatile` globals, by name.
    pub globals: BTreeMap<String, GlobalValue>,
    /// Sizes of maps, by name, in place of those in the object.
    pub max_entries: BTreeMap<String, MaxEntries>,
    /// The programs to attach; none: all of the object's.
    pub programs: Option<Vec<ProgramChoice>>,
    /// The consequence of a program that cannot be loaded or attached.
    pub failure_costs: FailureCost,
    /// Kernel symbols: each global `kaddr_SYMBOL` is set to the symbol's address.
    pub kaddrs: Vec<String>,
    pub cgroup_id_map: Option<CgroupIdMap>,
    /// Maps whose entries are deleted once what their identities name is gone and their counts were taken.
    pub delete_departed: Vec<String>,
    pub btf_file: BtfFile,
}

/// A program to attach, or several of which the first one is attached that this kernel takes: the same work on different hooks.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "OneOrMore")]
pub struct ProgramChoice(Vec<String>);

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl TryFrom<OneOrMore> for ProgramChoice {
    type Error = &'static str;

    fn try_from(programs: OneOrMore) -> Result<Self, Self::Error> {
        match programs {
            OneOrMore::One(name) => Ok(Self(vec![name])),
            OneOrMore::More(names) if names.is_empty() => Err(
                "found an empty list, expected the names of programs, of which the first one that can be attached is",
            ),
            OneOrMore::More(names) => Ok(Self(names)),
        }
    }
}

impl From<&str> for ProgramChoice {
    fn from(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }
}

impl ProgramChoice {
    /// The names of the programs, one or more, the preferred one first.
    pub fn alternatives(&self) -> &[String] {
        &self.0
    }
}

/// A file with the kernel's types, in place of `/sys/kernel/btf`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BtfFile {
    /// Packages cannot name one.
    NotTaken,
    /// A drop-in configuration without `--btf.path`.
    NotGiven,
    Given(PathBuf),
}

/// The consequence of a program that cannot be loaded or attached, or whose section is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureCost {
    /// The whole package is refused.
    #[default]
    Object,
    /// The package runs without that program; the log, the status page and `ebhost_program_attached` show it.
    Program,
}

/// A map that is kept filled with the cgroups whose paths match, each with the value 1.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CgroupIdMap {
    /// The map's name; its values are `u64`.
    pub name: String,
    #[serde(rename = "type", default)]
    pub kind: CgroupIdMapKind,
    /// A cgroup is in the map if one of these matches anywhere in its path, which begins with the cgroup mount.
    #[serde(deserialize_with = "regexps")]
    pub regexps: Vec<regex::Regex>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CgroupIdMapKind {
    /// A hash whose key is the cgroup's id, a `u64`.
    #[default]
    Hash,
    /// Cgroup local storage (`BPF_MAP_TYPE_CGRP_STORAGE`).
    CgrpStorage,
}

impl Bpf {
    /// An object without settings.
    pub fn of(object: Artefact) -> Self {
        Self {
            object,
            globals: BTreeMap::new(),
            max_entries: BTreeMap::new(),
            programs: None,
            failure_costs: FailureCost::Object,
            kaddrs: Vec::new(),
            cgroup_id_map: None,
            delete_departed: Vec::new(),
            btf_file: BtfFile::NotTaken,
        }
    }
}

fn regexps<'de, D: serde::Deserializer<'de>>(texts: D) -> Result<Vec<regex::Regex>, D::Error> {
    use serde::{Deserialize as _, de::Error as _};
    let texts = Vec::<String>::deserialize(texts)?;
    texts.iter().map(|text| regex::Regex::new(text).map_err(D::Error::custom)).collect()
}

/// A value for a `const volatile` global, before it is checked against the global's type.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(untagged)]
pub enum GlobalValue {
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
}

/// A map's size in entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxEntries {
    Fixed(u32),
    PerCpu(u32),
}

impl MaxEntries {
    /// The number of entries on a machine with that many possible CPUs.
    pub fn on(self, cpus: usize) -> u32 {
        match self {
            Self::Fixed(entries) => entries,
            Self::PerCpu(entries) => entries.saturating_mul(u32::try_from(cpus).unwrap_or(u32::MAX)),
        }
    }
}

/// Reads the object that a `plugin.yaml` declares.
pub(super) fn read_bpf(folder: &Path, declared: file::Bpf) -> Result<Bpf, PackageError> {
    let hint = "`bpf.object` names it; build it (`cargo xtask build` for the packages of ebhost's repository) or correct the name";
    Ok(Bpf {
        object: read_artefact(folder, &declared.object, limits::OBJECT_BYTES, hint)?,
        globals: declared.globals,
        max_entries: declared.max_entries,
        programs: declared.programs,
        failure_costs: declared.failure_costs,
        kaddrs: declared.kaddrs,
        cgroup_id_map: declared.cgroup_id_map,
        delete_departed: declared.delete_departed,
        btf_file: BtfFile::NotTaken,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_has_the_chosen_size_times_the_cpus_if_it_says_so() {
        assert_eq!([MaxEntries::Fixed(128).on(1), MaxEntries::Fixed(128).on(64)], [128, 128]);
        assert_eq!([MaxEntries::PerCpu(128).on(1), MaxEntries::PerCpu(128).on(64)], [128, 8_192]);
        assert_eq!(MaxEntries::PerCpu(u32::MAX).on(2), u32::MAX);
    }
}
