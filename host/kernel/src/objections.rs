//! Seccomp filters and the kernel's lockdown, which forbid system calls to threads that have every right to them. For messages.
//!
//! Containers and units come with seccomp filters, and Secure Boot with lockdown. Both answer EPERM, as missing capabilities do, so they are
//! looked for before capabilities are blamed. See <https://docs.kernel.org/userspace-api/seccomp_filter.html> and `kernel_lockdown(7)`.

use std::{fs, io};

use crate::{rights::Rights, sys};

/// Helpers that read any kernel memory: lockdown in mode `confidentiality` hides them from programs.
const READING_HELPERS: [&str; 5] = [
    "bpf_probe_read",
    "bpf_probe_read_str",
    "bpf_probe_read_kernel",
    "bpf_probe_read_kernel_str",
    "bpf_probe_write_user",
];

/// Advice about a filter that forbids the calls of a loader of BPF programs.
pub(crate) const ALLOW_CALLS: &str = "expected a filter that allows bpf, perf_event_open, landlock_create_ruleset, landlock_add_rule and \
     landlock_restrict_self: SystemCallFilter= in a unit, the seccomp profile of a container (docker's own one allows bpf and perf_event_open \
     with --cap-add BPF --cap-add PERFMON)";

/// The system calls that a seccomp filter forbids to this process, as text; `None`: the kernel is asked. A filter that looks at arguments
/// may still refuse.
pub(crate) fn filtered_calls(rights: &Rights) -> Option<&'static str> {
    if !rights.has_seccomp_filter {
        return None;
    }
    match (sys::is_bpf_reached(), sys::is_perf_event_open_reached()) {
        (true, true) => None,
        (false, true) => Some("bpf(2)"),
        (true, false) => Some("perf_event_open(2)"),
        (false, false) => Some("bpf(2) and perf_event_open(2)"),
    }
}

/// Whether a seccomp filter forbids perf events to this process.
pub(crate) fn are_perf_events_filtered() -> bool {
    Rights::own().has_seccomp_filter && !sys::is_perf_event_open_reached()
}

/// Whether an error is one that a seccomp filter, lockdown or missing rights give: EPERM, EACCES, or ENOSYS, which some filters answer.
pub(crate) fn is_refusal(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES | libc::ENOSYS))
}

/// The kernel's lockdown mode; `None`: securityfs is not mounted, or the kernel has no lockdown.
pub(crate) fn lockdown_mode() -> Option<String> {
    mode_in(&fs::read_to_string("/sys/kernel/security/lockdown").ok()?).map(str::to_owned)
}

/// The mode in brackets: `none integrity [confidentiality]`.
fn mode_in(modes: &str) -> Option<&str> {
    modes.split_once('[')?.1.split_once(']').map(|(mode, _)| mode)
}

/// Whether lockdown forbids kprobes, tracefs and reading kernel memory, to root too.
pub(crate) fn is_confidential() -> bool {
    lockdown_mode().is_some_and(|mode| mode == "confidentiality")
}

/// Whether lockdown is why something was not attached: it answers EPERM, where missing rights to probes and files have EACCES.
pub(crate) fn is_locked_down(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EPERM) && is_confidential()
}

/// The helper without which the verifier refuses a program, if it is one that lockdown hides. `log`: the verifier's.
pub(crate) fn hidden_helper(log: &str) -> Option<&'static str> {
    let line = log.lines().rev().find(|line| line.contains("unknown func ") || line.contains("cannot use helper "))?;
    let name = line.rsplit(' ').next()?.split('#').next()?;
    READING_HELPERS.into_iter().find(|helper| *helper == name)
}

/// Why the kernel may refuse what this thread has all rights to, and no filter forbids.
pub(crate) fn others() -> String {
    let lockdown = match lockdown_mode() {
        Some(mode) => format!("its lockdown mode is `{mode}`"),
        None => "its lockdown mode is not known (securityfs is not mounted)".to_owned(),
    };
    let modules = fs::read_to_string("/sys/kernel/security/lsm");
    let modules = modules.map_or_else(|_| "not known".to_owned(), |modules| modules.trim().to_owned());
    format!(
        "all rights are there, so this kernel may be built without what such a program needs, or forbid it ({lockdown}, its security modules \
         are {modules})"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_is_the_one_in_brackets() {
        assert_eq!(mode_in("none integrity [confidentiality]\n"), Some("confidentiality"));
        assert_eq!(mode_in("[none] integrity confidentiality"), Some("none"));
        assert_eq!(mode_in("none"), None);
    }

    #[test]
    fn a_helper_that_lockdown_hides_is_recognized_in_the_logs_of_old_and_new_kernels() {
        let log =
            |end: &str| format!("0: (b7) r1 = 0\n5: (85) call bpf_probe_read_kernel#113\n{end}\nprocessed 6 insns\n");
        for end in [
            "unknown func bpf_probe_read_kernel#113",
            "program of this type cannot use helper bpf_probe_read_kernel#113",
        ] {
            assert_eq!(hidden_helper(&log(end)), Some("bpf_probe_read_kernel"), "{end}");
        }
        assert_eq!(hidden_helper(&log("unknown func bpf_get_stack#67")), None);
        assert_eq!(hidden_helper(&log("R1 invalid mem access 'inv'")), None);
    }

    #[test]
    fn a_thread_without_a_filter_reaches_the_kernel() {
        assert!(sys::is_bpf_reached() && sys::is_perf_event_open_reached());
        assert!(others().starts_with("all rights are there"));
    }
}
