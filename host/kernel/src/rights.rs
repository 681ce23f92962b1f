//! The rights of this thread to load and attach BPF programs, and what else the kernel may have against one: for messages.

use std::fs;

use crate::perf;

const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// The user and the capabilities of this thread.
#[derive(Debug)]
pub(crate) struct Rights {
    user: String,
    effective: u64,
}

impl Rights {
    /// Those of the calling thread.
    pub(crate) fn own() -> Self {
        let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("?").trim();
        let effective = u64::from_str_radix(field("CapEff:"), 16).unwrap_or_default();
        Self { user: field("Uid:").split_whitespace().nth(1).unwrap_or("?").to_owned(), effective }
    }

    fn has(&self, capability: u32) -> bool {
        self.effective >> capability & 1 != 0
    }

    /// Whether they are all that the kernel asks for, of any type of program.
    pub(crate) fn are_all(&self) -> bool {
        self.has(CAP_SYS_ADMIN) || [CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN].iter().all(|capability| self.has(*capability))
    }

    /// The rights that are there and those that are needed.
    pub(crate) fn describe(&self) -> String {
        let found = format!("found user {} with the effective capabilities {:016x}", self.user, self.effective);
        let more = perf::more_than_perfmon().unwrap_or_default();
        if self.has(CAP_BPF) && self.has(CAP_PERFMON) {
            return format!(
                "{found}, which has CAP_BPF and CAP_PERFMON; expected CAP_NET_ADMIN for networks and cgroups, or CAP_SYS_ADMIN for uprobes and \
                 the types of modules: --capabilities.keep for packages that are loaded after the start{more}"
            );
        }
        format!(
            "{found}, expected root, or CAP_BPF and CAP_PERFMON (`setcap cap_bpf,cap_perfmon+ep` on the binary, or AmbientCapabilities= in \
             its unit){more}"
        )
    }
}

/// Why the kernel may refuse what this thread has all rights to.
pub(crate) fn other_objections() -> String {
    let lockdown = fs::read_to_string("/sys/kernel/security/lockdown").ok();
    let mode = lockdown.as_deref().and_then(|modes| modes.split_once('[')?.1.split_once(']')).map(|(mode, _)| mode);
    let modules = fs::read_to_string("/sys/kernel/security/lsm").ok();
    let lockdown = match mode {
        Some(mode) => format!("its lockdown mode is `{mode}`"),
        None => "its lockdown mode is not known (securityfs is not mounted)".to_owned(),
    };
    let modules = modules.map_or_else(|| "not known".to_owned(), |modules| modules.trim().to_owned());
    format!(
        "all rights are there, so this kernel may be built without what such a program needs, or forbid it ({lockdown}, its security modules \
         are {modules})"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_with_every_capability_is_not_told_to_be_root() {
        let rights = |effective| Rights { user: "0".to_owned(), effective };
        assert!(rights(0x1ff_ffff_ffff).are_all() && rights(1 << CAP_SYS_ADMIN).are_all());
        let two = rights(1 << CAP_BPF | 1 << CAP_PERFMON);
        assert!(!two.are_all());
        assert!(two.describe().contains("expected CAP_NET_ADMIN"), "{}", two.describe());
        assert!(rights(0).describe().contains("expected root, or CAP_BPF and CAP_PERFMON"));
        assert!(other_objections().starts_with("all rights are there"));
    }
}
