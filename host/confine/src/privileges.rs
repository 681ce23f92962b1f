//! Everything that takes more than CAP_BPF and CAP_PERFMON: the one table that docs/privileges.md, the log of the start, `ebhost options` and the messages of
//! refused programs are made of.

use std::io;

use rustix::thread::{CapabilitySet, capabilities};

use crate::Capabilities;

/// Something that takes a capability beside CAP_BPF and CAP_PERFMON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feature {
    PerfEvents,
    ClassicTracepoints,
    UserProbes,
    NetworkPrograms,
    ModuleTypes,
    KernelAddresses,
    RuntimeFiles,
    ProgramCosts,
    CgroupReports,
}

/// A feature with what it takes.
#[derive(Debug, Clone, Copy)]
pub struct Privilege {
    pub feature: Feature,
    /// The feature's name in sentences: "uprobes and USDT".
    pub name: &'static str,
    /// When it takes the capability, if not always.
    pub when: &'static str,
    /// The capability.
    pub capability: Capabilities,
    /// The alternative to it.
    pub otherwise: &'static str,
    /// How an operator grants it, in Markdown, beside the capability itself.
    pub granted: &'static str,
}

/// Every privilege, in the order of the documents.
pub static PRIVILEGES: [Privilege; 9] = [
    Privilege {
        feature: Feature::PerfEvents,
        name: "perf events and what is attached by one (classic tracepoints, kprobes, uprobes)",
        when: "where `kernel.perf_event_paranoid` is above 2 (Debian has 3, Ubuntu 4)",
        capability: CapabilitySet::SYS_ADMIN,
        otherwise: "the setting at 2",
        granted: "`--capabilities.keep cap_sys_admin` for CPUs that come online later",
    },
    Privilege {
        feature: Feature::ClassicTracepoints,
        name: "classic tracepoints",
        when: "",
        capability: CapabilitySet::DAC_READ_SEARCH,
        otherwise: "user 0",
        granted: "a mounted tracefs; in a chart `host.tracing: true`",
    },
    Privilege {
        feature: Feature::UserProbes,
        name: "uprobes and USDT",
        when: "",
        capability: CapabilitySet::SYS_ADMIN,
        otherwise: "",
        granted: "with Landlock also `--landlock off` for binaries elsewhere than in the usual folders",
    },
    Privilege {
        feature: Feature::NetworkPrograms,
        name: "XDP, tcx and cgroup programs",
        when: "",
        capability: CapabilitySet::NET_ADMIN,
        otherwise: "",
        granted: "",
    },
    Privilege {
        feature: Feature::ModuleTypes,
        name: "types of kernel modules",
        when: "for programs at functions and `tp_btf` tracepoints of modules",
        capability: CapabilitySet::SYS_ADMIN,
        otherwise: "",
        granted: "",
    },
    Privilege {
        feature: Feature::KernelAddresses,
        name: "names of kernel addresses",
        when: "",
        capability: CapabilitySet::SYSLOG,
        otherwise: "",
        granted: "`ProtectKernelLogs=no`",
    },
    Privilege {
        feature: Feature::RuntimeFiles,
        name: "names of containers from files of root's runtimes",
        when: "",
        capability: CapabilitySet::DAC_READ_SEARCH,
        otherwise: "user 0",
        granted: "`--capabilities.keep cap_dac_read_search`; the kubelet's folders need none ([containers.md](containers.md))",
    },
    Privilege {
        feature: Feature::ProgramCosts,
        name: "the cost of BPF programs",
        when: "(`kernel_cpu` budgets, `--bpf.stats`)",
        capability: CapabilitySet::SYS_ADMIN,
        otherwise: "`kernel.bpf_stats_enabled` at 1",
        granted: "a process of its own keeps it, no thread that serves",
    },
    Privilege {
        feature: Feature::CgroupReports,
        name: "reports of all cgroups by one mark",
        when: "since Linux 6.6",
        capability: CapabilitySet::SYS_ADMIN,
        otherwise: "a watch on each cgroup",
        granted: "only at the start",
    },
];

/// Capabilities by their names, as capabilities(7) has them.
pub(crate) const NAMES: [(&str, Capabilities); 11] = [
    ("bpf", CapabilitySet::BPF),
    ("perfmon", CapabilitySet::PERFMON),
    ("syslog", CapabilitySet::SYSLOG),
    ("sys_admin", CapabilitySet::SYS_ADMIN),
    ("sys_resource", CapabilitySet::SYS_RESOURCE),
    ("sys_ptrace", CapabilitySet::SYS_PTRACE),
    ("dac_override", CapabilitySet::DAC_OVERRIDE),
    ("dac_read_search", CapabilitySet::DAC_READ_SEARCH),
    ("net_admin", CapabilitySet::NET_ADMIN),
    ("net_bind_service", CapabilitySet::NET_BIND_SERVICE),
    ("ipc_lock", CapabilitySet::IPC_LOCK),
];

impl Feature {
    /// Its row of the table.
    ///
    /// # Panics
    /// Never: a test finds every feature in the table.
    pub fn privilege(self) -> &'static Privilege {
        PRIVILEGES.iter().find(|privilege| privilege.feature == self).expect("the table has every feature")
    }
}

impl Privilege {
    /// The capability's name: `CAP_SYS_ADMIN`.
    pub fn capability_name(&self) -> String {
        capability_name(self.capability)
    }

    /// One line for a list: `CAP_DAC_READ_SEARCH, or user 0, for classic tracepoints`.
    pub fn line(&self) -> String {
        let otherwise =
            if self.otherwise.is_empty() { String::new() } else { format!(", or {},", plain(self.otherwise)) };
        let when = if self.when.is_empty() { String::new() } else { format!(" {}", plain(self.when)) };
        format!("{}{otherwise} for {}{when}", self.capability_name(), self.name)
    }

    /// Whether a thread of this user with these capabilities has it. User 0 owns the files that CAP_DAC_READ_SEARCH opens.
    fn is_held(&self, capabilities: Capabilities, user: u32) -> bool {
        let owns_files = user == 0 && self.capability == CapabilitySet::DAC_READ_SEARCH;
        owns_files || capabilities.contains(self.capability)
    }
}

/// A capability's name: `CAP_BPF`.
fn capability_name(capability: Capabilities) -> String {
    let known = NAMES.iter().find(|(_, known)| *known == capability);
    known.map_or_else(|| format!("{capability:?}"), |(name, _)| format!("CAP_{}", name.to_uppercase()))
}

/// Text without the marks of Markdown.
fn plain(text: &str) -> String {
    text.replace('`', "")
}

/// The privileges that this thread was started with, for the log: its capabilities, and the features that it lacks others for. `None`: it lacks none.
///
/// # Errors
/// The kernel does not tell.
pub fn describe_start() -> io::Result<Option<String>> {
    Ok(described(capabilities(None)?.effective, rustix::process::geteuid().as_raw()))
}

fn described(found: Capabilities, user: u32) -> Option<String> {
    let lacking: Vec<_> = PRIVILEGES.iter().filter(|privilege| !privilege.is_held(found, user)).collect();
    let mut groups: Vec<(Capabilities, Vec<&str>)> = Vec::new();
    for privilege in lacking {
        match groups.iter_mut().find(|(capability, _)| *capability == privilege.capability) {
            Some((_, names)) => names.push(privilege.name),
            None => groups.push((privilege.capability, vec![privilege.name])),
        }
    }
    if groups.is_empty() {
        return None;
    }
    let names: Vec<_> =
        NAMES.iter().filter(|(_, one)| found.contains(*one)).map(|(_, one)| capability_name(*one)).collect();
    let found = if names.is_empty() { "no capability".to_owned() } else { names.join(", ") };
    let groups: Vec<_> = groups
        .iter()
        .map(|(capability, names)| format!("{} for {}", capability_name(*capability), names.join(", ")))
        .collect();
    Some(format!("started as user {user} with {found}; packages may also need {}", groups.join("; ")))
}

/// The privileges for programs of types that CAP_BPF and CAP_PERFMON do not load: for the messages about refused ones.
pub fn asked_by_programs() -> String {
    let features = [Feature::NetworkPrograms, Feature::UserProbes, Feature::ModuleTypes];
    features
        .map(|feature| format!("{} for {}", feature.privilege().capability_name(), feature.privilege().name))
        .join(", ")
}

#[cfg(test)]
mod tests {
    use std::{env, fs, path::Path};

    use super::*;

    const BEGIN: &str =
        "<!-- privileges: written by `EBHOST_WRITE=1 cargo test --release -p ebhost-confine privileges` -->\n";
    const END: &str = "<!-- end of privileges -->\n";

    fn row(privilege: &Privilege) -> String {
        let joined =
            |parts: [&str; 2], by: &str| parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(by);
        let capability = format!("`{}`", privilege.capability_name());
        let needs = joined([&privilege.capability_name(), privilege.otherwise], ", or ");
        format!(
            "| {} | {needs} | {} |\n",
            joined([privilege.name, privilege.when], " "),
            joined([&capability, privilege.granted], "; ")
        )
    }

    #[test]
    fn the_document_has_the_table() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/privileges.md");
        let found = fs::read_to_string(&file).unwrap();
        let (before, rest) = found.split_once(BEGIN).expect("the mark where the table begins");
        let (_, after) = rest.split_once(END).expect("the mark where it ends");
        let rows: String = PRIVILEGES.iter().map(row).collect();
        let head = "| for | beyond the two | as a service: `AmbientCapabilities=` and `CapabilityBoundingSet=`, in a chart `extraCapabilities` |\n|---|---|---|\n";
        let expected = format!("{before}{BEGIN}\n{head}{rows}\n{END}{after}");
        if env::var_os("EBHOST_WRITE").is_some() {
            fs::write(&file, &expected).unwrap();
        } else {
            assert!(
                found == expected,
                "docs/privileges.md differs from the table of privileges; write it with EBHOST_WRITE=1:\n{expected}"
            );
        }
    }

    #[test]
    fn every_feature_is_in_the_table_once() {
        for privilege in &PRIVILEGES {
            assert_eq!(PRIVILEGES.iter().filter(|other| other.feature == privilege.feature).count(), 1);
            assert!(capability_name(privilege.capability).starts_with("CAP_"));
        }
        assert_eq!(Feature::CgroupReports as usize + 1, PRIVILEGES.len());
    }

    #[test]
    fn a_service_with_two_capabilities_is_told_what_it_lacks_others_for() {
        let two = CapabilitySet::BPF | CapabilitySet::PERFMON;
        let told = described(two, 1000).unwrap();
        assert!(told.starts_with("started as user 1000 with CAP_BPF, CAP_PERFMON; packages may also need "), "{told}");
        assert!(told.contains("CAP_DAC_READ_SEARCH for classic tracepoints, names of containers"), "{told}");
        let root = described(two, 0).unwrap();
        assert!(
            !root.contains("DAC_READ_SEARCH") && root.contains("CAP_NET_ADMIN for XDP, tcx and cgroup programs"),
            "{root}"
        );
        assert_eq!(described(CapabilitySet::all(), 0), None);
    }
}
