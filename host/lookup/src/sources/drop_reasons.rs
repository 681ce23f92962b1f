//! The kernel's names for the reasons of dropped packets, from its BTF: each version has its own numbers.

use std::{collections::HashMap, fs, path::PathBuf};

use ebhost_object::{Btf, btf::Kind};

use super::{Freshness, Source};
use crate::Roots;

/// The reasons of the network core and its enumerators' prefix.
const REASONS: (&str, &str) = ("skb_drop_reason", "SKB_DROP_REASON_");
/// The parts of the kernel that have reasons of their own, such as Open vSwitch, and their enumerators' prefix.
const SUBSYSTEMS: (&str, &str) = ("skb_drop_reason_subsys", "SKB_DROP_REASON_SUBSYS_");
/// A reason has the number of its subsystem in the upper half, which is 0 for the network core.
const SUBSYSTEM_SHIFT: u32 = 16;
/// Linux 5.17 was the first to give a reason.
const NO_REASON: &str = "NOT_SPECIFIED";

/// The names, which the running kernel never changes.
#[derive(Debug)]
pub(crate) struct DropReasons {
    reasons: HashMap<u64, String>,
    subsystems: HashMap<u64, String>,
}

impl DropReasons {
    /// The name of a reason as the kernel's tracepoint prints it, such as `NO_SOCKET`. Reasons of a subsystem have the subsystem's name.
    pub(crate) fn name(&self, reason: u64) -> String {
        let name = match reason >> SUBSYSTEM_SHIFT {
            0 => self.reasons.get(&reason),
            subsystem => self.subsystems.get(&subsystem),
        };
        name.cloned().unwrap_or_else(|| NO_REASON.to_owned())
    }
}

impl Source for DropReasons {
    fn paths(roots: &Roots) -> Vec<PathBuf> {
        vec![roots.sys.join("kernel/btf/vmlinux")]
    }

    fn open(roots: &Roots) -> Self {
        let types = fs::read(roots.sys.join("kernel/btf/vmlinux")).ok().and_then(|bytes| Btf::parse(&bytes).ok());
        let names = |(name, prefix)| types.as_ref().map(|types| enumerators(types, name, prefix)).unwrap_or_default();
        Self { reasons: names(REASONS), subsystems: names(SUBSYSTEMS) }
    }

    fn refresh(&mut self) -> Freshness {
        Freshness::Unchanged
    }
}

/// The enumerators of an enum by their value, without their prefix.
fn enumerators(types: &Btf, name: &str, prefix: &str) -> HashMap<u64, String> {
    let found = types.find(name, Kind::Enum).and_then(|id| types.get(id));
    let values = found.map(|ty| types.enumerators(ty)).unwrap_or_default();
    values
        .iter()
        .map(|value| (value.value as u64, value.name.strip_prefix(prefix).unwrap_or(value.name).to_owned()))
        .collect()
}
