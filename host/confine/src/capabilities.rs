//! Capability sets: those that the kinds of work need, and dropping to one of them.

use std::{io, str::FromStr};

use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

use crate::privileges::NAMES;

/// A set of capabilities(7).
pub type Capabilities = CapabilitySet;

/// No capability: for threads that only compute, or work with descriptors that are open already.
pub const NONE: Capabilities = CapabilitySet::empty();

/// Everything the process was started with: for the thread that loads the packages of the start, which ends before anything
/// is served.
pub const ALL: Capabilities = CapabilitySet::all();

/// Reading maps. Kernels before 6.0 ask for CAP_BPF to read a map; kernel symbols have addresses only for CAP_SYSLOG.
pub const READING: Capabilities = CapabilitySet::BPF.union(CapabilitySet::SYSLOG);

/// Writing maps, for which kernels before 6.0 ask for CAP_BPF.
pub const WRITING: Capabilities = CapabilitySet::BPF;

/// Loading and attaching BPF programs and opening perf events.
pub const LOADING: Capabilities = CapabilitySet::BPF.union(CapabilitySet::PERFMON);

/// Capabilities that an operator wants kept beside those that a thread needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep(pub Capabilities);

/// Names for none and for all of them, beside those of [`NAMES`].
const SETS: [(&str, CapabilitySet); 2] = [("none", CapabilitySet::empty()), ("all", CapabilitySet::all())];

impl FromStr for Keep {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let one = |name: &str| {
            let lower = name.trim().to_ascii_lowercase();
            let plain = lower.strip_prefix("cap_").unwrap_or(&lower);
            let known = NAMES.iter().chain(&SETS).find(|(known, _)| *known == plain);
            known.map(|(_, capability)| *capability).ok_or_else(|| {
                let names: Vec<_> = NAMES.iter().chain(&SETS).map(|(name, _)| *name).collect();
                format!("found `{name}`, expected names out of {}, with commas between them", names.join(", "))
            })
        };
        let names: Vec<_> = text.split(',').filter(|name| !name.trim().is_empty()).collect();
        let is_alone = |name: &&str| ["all", "none"].contains(&name.trim().to_ascii_lowercase().as_str());
        if let Some(name) = names.iter().find(|name| names.len() > 1 && is_alone(name)) {
            return Err(format!("found `{}` beside other names, expected it alone", name.trim()));
        }
        names.into_iter().map(one).try_fold(CapabilitySet::empty(), |all, one| Ok(all | one?)).map(Self)
    }
}

/// Drops every capability of this thread that is not in `keep`, from all of its sets. Threads that it starts inherit what is left.
///
/// # Errors
/// The kernel refused; the thread still has what it had and must not go on as if it had not.
pub fn keep_only(keep: Capabilities) -> io::Result<()> {
    let sets = capabilities(None)?;
    let left = CapabilitySets {
        effective: sets.effective & keep,
        permitted: sets.permitted & keep,
        inheritable: sets.inheritable & keep,
    };
    Ok(set_capabilities(None, left)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_named_as_everywhere() {
        let two = CapabilitySet::BPF | CapabilitySet::SYS_ADMIN;
        assert_eq!("cap_bpf,SYS_ADMIN".parse(), Ok(Keep(two)));
        assert_eq!("".parse(), Ok(Keep(CapabilitySet::empty())));
        for both in ["all,none", "cap_bpf,none", "all,bpf"] {
            assert!(both.parse::<Keep>().unwrap_err().contains("expected it alone"), "{both}");
        }
        let error = "cap_bpf,cap_foo".parse::<Keep>().unwrap_err();
        assert!(error.starts_with("found `cap_foo`, expected names out of bpf, perfmon,"), "{error}");
    }
}
