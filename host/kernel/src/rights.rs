//! The rights of this thread to load and attach BPF programs: for messages.

use std::fs;

use ebhost_confine::{Capabilities, LOADING, privileges};

use crate::{objections, perf};

/// The user and the capabilities of this thread, and whether a filter of system calls restricts it.
#[derive(Debug)]
pub(crate) struct Rights {
    user: String,
    effective: Capabilities,
    /// Whether a seccomp filter decides which system calls reach the kernel.
    pub(crate) has_seccomp_filter: bool,
}

impl Rights {
    /// Those of the calling thread.
    pub(crate) fn own() -> Self {
        Self::parse(&fs::read_to_string("/proc/thread-self/status").unwrap_or_default())
    }

    fn parse(status: &str) -> Self {
        const SECCOMP_MODE_FILTER: &str = "2";
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("?").trim();
        let effective = u64::from_str_radix(field("CapEff:"), 16).unwrap_or_default();
        let effective = Capabilities::from_bits_retain(effective);
        let user = field("Uid:").split_whitespace().nth(1).unwrap_or("?").to_owned();
        Self { user, effective, has_seccomp_filter: field("Seccomp:") == SECCOMP_MODE_FILTER }
    }

    /// Whether it may use BPF at all, so that the kernel itself refuses no system call.
    pub(crate) fn include_bpf(&self) -> bool {
        self.effective.contains(Capabilities::SYS_ADMIN) || self.effective.contains(LOADING)
    }

    /// Whether they are all that the kernel asks for, of any type of program.
    pub(crate) fn are_all(&self) -> bool {
        let all = LOADING | Capabilities::NET_ADMIN;
        self.effective.contains(Capabilities::SYS_ADMIN) || self.effective.contains(all)
    }

    /// The rights that are there and those that are needed.
    pub(crate) fn describe(&self) -> String {
        let found = format!("found user {} with the effective capabilities {:016x}", self.user, self.effective.bits());
        let mut more = perf::more_than_perfmon().unwrap_or_default();
        if let Some(calls) = objections::filtered_calls(self) {
            more += &format!("; a seccomp filter may forbid {calls} as well: {}", objections::ALLOW_CALLS);
        }
        if self.effective.contains(LOADING) {
            let others = privileges::asked_by_programs();
            return format!(
                "{found}, which has CAP_BPF and CAP_PERFMON; expected {others}: --capabilities.keep for packages that are loaded after the \
                 start{more}"
            );
        }
        format!(
            "{found}, expected root, or CAP_BPF and CAP_PERFMON (`setcap cap_bpf,cap_perfmon+ep` on the binary, or AmbientCapabilities= in \
             its unit){more}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_with_every_capability_is_not_told_to_be_root() {
        let rights = |effective| Rights { user: "0".to_owned(), effective, has_seccomp_filter: false };
        assert!(rights(Capabilities::all()).are_all() && rights(Capabilities::SYS_ADMIN).are_all());
        let two = rights(LOADING);
        assert!(!two.are_all() && two.include_bpf());
        assert!(two.describe().contains("expected CAP_NET_ADMIN"), "{}", two.describe());
        assert!(rights(Capabilities::empty()).describe().contains("expected root, or CAP_BPF and CAP_PERFMON"));
    }

    #[test]
    fn a_seccomp_filter_is_read_from_the_status() {
        let rights =
            |mode| Rights::parse(&format!("Name:\tx\nUid:\t0\t7\t0\t0\nCapEff:\t000000c000000000\nSeccomp:\t{mode}\n"));
        assert_eq!((rights(2).has_seccomp_filter, rights(0).has_seccomp_filter), (true, false));
        assert_eq!((rights(2).user.as_str(), rights(2).include_bpf()), ("7", true));
    }
}
