//! The keys of a `plugin.yaml`. Types are checked here, and nothing else.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{
    CgroupIdMap, FailureCost, GlobalValue, MaxEntries, ProgramChoice,
    located::Tree,
    options::{self, PackageOptions, Settable},
    package_limits::PackageLimits,
    perf::PerfSources,
};

/// All keys of the file, as they are written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    pub(super) name: String,
    #[serde(default)]
    pub(super) version: String,
    #[serde(default)]
    pub(super) license: String,
    #[serde(default)]
    pub(super) summary: String,
    #[serde(default)]
    pub(super) requires: String,
    #[serde(default)]
    pub(super) cost: String,
    #[serde(default)]
    pub(super) queries: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) default: Switch,
    pub(super) component: String,
    pub(super) bpf: Option<RawBpf>,
    #[serde(default)]
    pub(super) perf: PerfSources,
    pub(super) config: Option<Tree>,
    #[serde(default)]
    pub(super) options: PackageOptions,
    #[serde(default)]
    pub(super) grants: Vec<String>,
    #[serde(default)]
    pub(super) limits: PackageLimits,
}

/// The keys of the `bpf:` section, as they are written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBpf {
    pub(super) object: String,
    #[serde(default)]
    pub(super) globals: BTreeMap<String, Settable<GlobalValue>>,
    #[serde(default)]
    pub(super) max_entries: BTreeMap<String, Settable<MaxEntries>>,
    pub(super) programs: Option<Vec<ProgramChoice>>,
    #[serde(default)]
    pub(super) failure_costs: FailureCost,
    #[serde(default)]
    pub(super) kaddrs: Vec<String>,
    pub(super) cgroup_id_map: Option<CgroupIdMap>,
    #[serde(default)]
    pub(super) delete_departed: Vec<String>,
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
