//! What the process gives up: capabilities, new privileges, and the sight of files that it has no business with.
//!
//! Capabilities are a thread's. Each thread keeps those that its own work needs once the start is over, and most need none. What is given up here
//! is not had back: neither by the host nor by code that was injected into it.

use std::{
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    str::FromStr,
};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_no_new_privs};
use tracing::{info, warn};

/// A set of them.
pub type Capabilities = CapabilitySet;

/// Of threads that only compute.
pub const NONE: CapabilitySet = CapabilitySet::empty();

/// What reading maps takes: kernels before 6.0 allow it to CAP_BPF alone; kernel symbols have addresses for CAP_SYSLOG.
pub const READING: CapabilitySet = CapabilitySet::BPF.union(CapabilitySet::SYSLOG);

/// What loading and attaching BPF programs and opening perf events takes.
pub const LOADING: CapabilitySet = CapabilitySet::BPF.union(CapabilitySet::PERFMON);

/// The newest rules that are known here; an older kernel applies what it knows of them.
const RULES: ABI = ABI::V6;

/// What of the kernel's own is read: /proc, /sys (with tracefs in it) and the devices.
const KERNEL: [&str; 3] = ["/proc", "/sys", "/dev"];

/// Where distributions install programs and libraries.
pub const PROGRAMS: [&str; 7] = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/opt", "/etc/ld.so.cache"];

/// Where distributions install databases of names: pci.ids.
const SHARED: [&str; 3] = ["/usr/share/misc", "/usr/share/hwdata", "/usr/share/pci.ids"];

/// Capabilities that an operator wants kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep(pub CapabilitySet);

/// Names as capabilities(7) has them, and a bit for each.
const NAMES: [(&str, CapabilitySet); 13] = [
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
    ("none", CapabilitySet::empty()),
    ("all", CapabilitySet::all()),
];

impl FromStr for Keep {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let one = |name: &str| {
            let lower = name.trim().to_ascii_lowercase();
            let plain = lower.strip_prefix("cap_").unwrap_or(&lower);
            let known = NAMES.iter().find(|(known, _)| *known == plain);
            known.map(|(_, capability)| *capability).ok_or_else(|| {
                let names: Vec<_> = NAMES.iter().map(|(name, _)| *name).collect();
                format!("found `{name}`, expected names out of {}, with commas between them", names.join(", "))
            })
        };
        let names = text.split(',').filter(|name| !name.trim().is_empty());
        names.map(one).try_fold(CapabilitySet::empty(), |all, one| Ok(all | one?)).map(Self)
    }
}

/// From here on this thread, and those that it starts, have of their capabilities these alone.
pub fn keep_in_this_thread(keep: CapabilitySet) {
    let dropped = capabilities(None).and_then(|sets| {
        let left = |set: CapabilitySet| set & keep;
        let sets = CapabilitySets {
            effective: left(sets.effective),
            permitted: left(sets.permitted),
            inheritable: left(sets.inheritable),
        };
        set_capabilities(None, sets)
    });
    if let Err(error) = dropped {
        warn!("capabilities are not dropped: {error}");
    }
}

/// For threads and processes that only compute.
pub fn give_up_all() {
    keep_in_this_thread(NONE);
    if let Err(error) = set_no_new_privs(true) {
        warn!("new privileges are not ruled out: {error}");
    }
    if let Err(error) = restrict(&[], None, &[]) {
        warn!("files are not ruled out: {error}");
    }
}

/// What came of confining the process, to be logged once there is a log.
#[derive(Debug)]
pub struct Confined(Result<RulesetStatus, RulesetError>);

impl Confined {
    pub fn announce(&self) {
        match &self.0 {
            Ok(RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced) => {
                info!(
                    "no files but the plugin folder, the cache, those that objects have probes in, the kernel's own (Landlock)"
                );
            }
            Ok(RulesetStatus::NotEnforced) => info!("files are not ruled out: this kernel has no Landlock"),
            Err(error) => warn!("files are not ruled out: {error}"),
        }
    }
}

/// Rules out new privileges, and every file but these; `sockets`: folders that unix sockets are made in. To be called before
/// threads are started: they inherit it.
pub fn confine(readable: &[&Path], cache: Option<&Path>, sockets: &[&Path]) -> Confined {
    // Cannot fail on a kernel that has BPF; Landlock asks for it too, and would say so.
    let _ = set_no_new_privs(true);
    if let Some(cache) = cache {
        // A rule is for a folder that is there. If it cannot be made, the cache says so when it is opened.
        let _ = fs::DirBuilder::new().recursive(true).mode(0o700).create(cache);
    }
    let mut all: Vec<PathBuf> = KERNEL.iter().chain(&SHARED).map(PathBuf::from).collect();
    // What the kernel was configured with: objects may ask.
    all.extend(
        fs::read_dir("/boot")
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("config-"))),
    );
    for path in readable {
        all.extend(linked(path));
        all.push(path.to_path_buf());
    }
    Confined(restrict(&all, cache, sockets))
}

/// Where the links in a folder lead now: packages may be linked in from elsewhere.
fn linked(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let links = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()));
    links.filter_map(|link| fs::canonicalize(link.path()).ok()).collect()
}

fn restrict(readable: &[PathBuf], writable: Option<&Path>, sockets: &[&Path]) -> Result<RulesetStatus, RulesetError> {
    let read: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::ReadDir;
    let write = read | AccessFs::WriteFile | AccessFs::MakeReg | AccessFs::RemoveFile | AccessFs::Truncate;
    let rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(RULES))?
        .handle_access(AccessNet::ConnectTcp)?
        .scope(Scope::from_all(RULES))?
        .create()?
        .add_rules(path_beneath_rules(readable, read))?
        .add_rules(path_beneath_rules(writable, write))?
        .add_rules(path_beneath_rules(sockets, AccessFs::MakeSock | AccessFs::RemoveFile))?;
    Ok(rules.restrict_self()?.ruleset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_named_as_everywhere() {
        let two = CapabilitySet::BPF | CapabilitySet::SYS_ADMIN;
        assert_eq!("cap_bpf,SYS_ADMIN".parse(), Ok(Keep(two)));
        assert_eq!("".parse(), Ok(Keep(CapabilitySet::empty())));
        let error = "cap_bpf,cap_foo".parse::<Keep>().unwrap_err();
        assert!(error.starts_with("found `cap_foo`, expected names out of bpf, perfmon,"), "{error}");
    }
}
