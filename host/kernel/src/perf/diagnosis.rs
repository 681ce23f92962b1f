//! Why an event cannot be opened or does not count, and what to do about it.

use std::{fs, io};

use super::{super::objections, event::core_pmus};
use ebhost_package::perf::{Event, EventKind, PERF_TYPE_HARDWARE, PERF_TYPE_HW_CACHE, PERF_TYPE_RAW};

/// Why perf_event_open(2) refused an event; `index`: its index in the group.
pub(super) fn not_opened(event: &Event, index: usize, error: &io::Error) -> String {
    let is_hardware =
        matches!(event.kind, EventKind::Fixed { kind: PERF_TYPE_HARDWARE | PERF_TYPE_HW_CACHE | PERF_TYPE_RAW, .. });
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::EOPNOTSUPP | libc::ENODEV | libc::ENXIO) if is_hardware => {
            if core_pmus().is_empty() {
                "no hardware PMU: a virtual machine? try software/… events, or give the machine a PMU".to_owned()
            } else {
                "this machine's PMU has no such event: see `perf list`".to_owned()
            }
        }
        _ if objections::is_refusal(error) && objections::are_perf_events_filtered() => format!(
            "a seccomp filter forbids perf_event_open(2) to this process, whatever its capabilities: {}",
            objections::ALLOW_CALLS
        ),
        Some(libc::EACCES | libc::EPERM) => not_permitted(&setting("perf_event_paranoid")),
        Some(libc::EINVAL | libc::ENOSPC) if index > 0 => {
            format!("too many events for one group ({error}){}; split it into several sources", watchdog())
        }
        Some(libc::EMFILE) => too_many_files(),
        Some(libc::EBUSY) => "another process has exclusive use of the PMU".to_owned(),
        _ => format!("cannot be opened: {error}"),
    }
}

/// The process has as many files open as it may.
pub(crate) fn too_many_files() -> String {
    "too many open files: raise the limit (`ulimit -n`, or LimitNOFILE= in the unit)".to_owned()
}

/// For a thread that has CAP_PERFMON and may still not attach to tracepoints and probes: what else this kernel asks for. `None`: nothing.
pub(crate) fn more_than_perfmon() -> Option<String> {
    let paranoid = setting("perf_event_paranoid");
    needs_sys_admin(&paranoid).then(|| {
        format!(
            "; with kernel.perf_event_paranoid = {paranoid} this kernel also asks for CAP_SYS_ADMIN to attach to tracepoints and \
             probes: sysctl kernel.perf_event_paranoid=2, or --capabilities.keep cap_sys_admin for packages that are loaded after the start"
        )
    })
}

/// Values above 2 exist only in distributions' patched kernels: Debian's default is 3, Ubuntu's 4.
fn needs_sys_admin(paranoid: &str) -> bool {
    paranoid.parse().is_ok_and(|level: i32| level > 2)
}

fn not_permitted(paranoid: &str) -> String {
    if needs_sys_admin(paranoid) {
        format!(
            "not permitted: found kernel.perf_event_paranoid = {paranoid}, at which this kernel asks for CAP_SYS_ADMIN, expected \
             a value of at most 2 beside CAP_PERFMON; sysctl kernel.perf_event_paranoid=2, or start as root (which is enough for \
             events that are there at the start), with --capabilities.keep cap_sys_admin for those of packages that are loaded \
             later and CPUs that come online"
        )
    } else {
        format!(
            "not permitted: found kernel.perf_event_paranoid = {paranoid}, expected CAP_PERFMON, or a value of at most 0"
        )
    }
}

/// Why an event that is open does not count.
pub(super) fn not_counting() -> String {
    format!("wanted, but never given a counter: too many events at once{}", watchdog())
}

fn watchdog() -> &'static str {
    if setting("nmi_watchdog") == "1" { ", and kernel.nmi_watchdog = 1 holds a counter" } else { "" }
}

fn setting(name: &str) -> String {
    fs::read_to_string(format!("/proc/sys/kernel/{name}"))
        .map_or_else(|_| "?".to_owned(), |text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_of_a_distribution_is_distinguished_from_the_kernels() {
        assert!(not_permitted("2").ends_with("= 2, expected CAP_PERFMON, or a value of at most 0"));
        assert!(not_permitted("3").contains("= 3, at which this kernel asks for CAP_SYS_ADMIN"));
    }

    #[test]
    fn errors_become_reasons() {
        let why = |event: &Event, index, errno| not_opened(event, index, &io::Error::from_raw_os_error(errno));
        let (misses, faults) = (Event::fixed(0, 3), Event::fixed(1, 2));
        let absent = why(&misses, 0, libc::ENOENT);
        assert!(
            absent.starts_with("no hardware PMU: a virtual machine?")
                || absent.starts_with("this machine's PMU has no")
        );
        assert!(why(&faults, 0, libc::EACCES).starts_with("not permitted: found kernel.perf_event_paranoid = "));
        assert!(why(&misses, 3, libc::EINVAL).starts_with("too many events for one group"));
        assert!(why(&faults, 0, libc::EMFILE).starts_with("too many open files"));
        assert!(why(&faults, 0, libc::EINVAL).starts_with("cannot be opened: Invalid argument"));
    }
}
