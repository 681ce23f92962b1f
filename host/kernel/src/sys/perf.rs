//! Perf events (`perf_event_open(2)`): counters, samples that run programs, tracepoints and probes.

use std::{
    ffi::CStr,
    io,
    os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd},
};

/// The first 72 bytes of `struct perf_event_attr` (PERF_ATTR_SIZE_VER1), which every kernel takes.
#[repr(C)]
#[derive(Debug, Clone, Default)]
pub(crate) struct PerfAttr {
    kind: u32,
    size: u32,
    pub(crate) config: u64,
    /// A period, or with `PERF_FREQUENCY` a frequency; 0: no samples.
    pub(crate) sample: u64,
    sample_type: u64,
    pub(crate) read_format: u64,
    pub(crate) flags: u64,
    wakeup: u32,
    breakpoint: u32,
    pub(crate) config1: u64,
    pub(crate) config2: u64,
}

impl PerfAttr {
    /// A counting event: `enum perf_type_id` and its configuration.
    pub(crate) fn new(kind: u32, config: u64) -> Self {
        Self { kind, config, ..Self::default() }
    }
}

/// Bits of [`PerfAttr::flags`].
pub(crate) const PERF_DISABLED: u64 = 1;
pub(crate) const PERF_FREQUENCY: u64 = 1 << 10;

/// Opens a perf event on one CPU, for every process there, in the group of `leader` if there is one.
pub(crate) fn perf_event_open(attr: &PerfAttr, cpu: u32, leader: Option<BorrowedFd<'_>>) -> io::Result<OwnedFd> {
    const EVERY_PROCESS: libc::pid_t = -1;
    perf_event_open_for(attr, EVERY_PROCESS, cpu as libc::c_int, leader)
}

/// Opens a perf event for a process (-1: every process; 0: this thread) on a CPU (-1: every CPU).
fn perf_event_open_for(
    attr: &PerfAttr,
    process: libc::pid_t,
    cpu: libc::c_int,
    leader: Option<BorrowedFd<'_>>,
) -> io::Result<OwnedFd> {
    const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 8;
    let attr = PerfAttr { size: size_of::<PerfAttr>() as u32, ..attr.clone() };
    let leader = leader.map_or(-1, |leader| leader.as_raw_fd());
    // SAFETY: the kernel reads `size` bytes of the attributes and writes nothing but, if it knows fewer, their size.
    let fd = unsafe {
        libc::syscall(libc::SYS_perf_event_open, std::ptr::from_ref(&attr), process, cpu, leader, PERF_FLAG_FD_CLOEXEC)
    };
    match RawFd::try_from(fd) {
        // SAFETY: the kernel just opened it for us, and nobody else has it.
        Ok(fd @ 0..) => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether perf_event_open(2) reaches the kernel, which knows no such flag (EINVAL) and looks at nothing else then. What answers otherwise is
/// a seccomp filter.
pub(crate) fn is_perf_event_open_reached() -> bool {
    const NO_FLAG: libc::c_ulong = 1 << 30;
    // SAFETY: the kernel refuses the flag before it reads the attributes.
    let result = unsafe { libc::syscall(libc::SYS_perf_event_open, std::ptr::null::<PerfAttr>(), 0, -1, -1, NO_FLAG) };
    result >= 0 || io::Error::last_os_error().raw_os_error() == Some(libc::EINVAL)
}

/// Starts a perf event, and with it the group that it leads.
pub(crate) fn perf_event_enable(event: BorrowedFd<'_>) -> io::Result<()> {
    const PERF_EVENT_IOC_ENABLE: libc::c_ulong = 0x2400;
    // SAFETY: this request takes a number and touches no memory of ours.
    ioctl_done(unsafe { libc::ioctl(event.as_raw_fd(), PERF_EVENT_IOC_ENABLE, 0) })
}

/// Runs a program at each sample of a perf event, until the event is closed.
pub(crate) fn perf_event_run(event: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    const PERF_EVENT_IOC_SET_BPF: libc::c_ulong = 0x4004_2408;
    // SAFETY: this request takes a file descriptor and touches no memory of ours.
    ioctl_done(unsafe { libc::ioctl(event.as_raw_fd(), PERF_EVENT_IOC_SET_BPF, program.as_raw_fd()) })
}

fn ioctl_done(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The tasks that a probe fires for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProbeScope {
    EveryTask,
    ThisThread,
}

/// Opens a perf event that fires at a tracepoint. `id`: its number in tracefs.
pub(crate) fn tracepoint_open(id: u64) -> io::Result<OwnedFd> {
    const PERF_TYPE_TRACEPOINT: u32 = 2;
    let mut attr = PerfAttr::new(PERF_TYPE_TRACEPOINT, id);
    attr.sample = 1;
    open(&attr, ProbeScope::EveryTask)
}

/// Opens a perf event that fires `offset` bytes into a kernel function (`name`) or a file (`name` is its path). Without a name `offset` is an
/// address in the kernel.
pub(crate) fn probe_open(
    pmu: u32,
    config: u64,
    name: Option<&CStr>,
    offset: u64,
    scope: ProbeScope,
) -> io::Result<OwnedFd> {
    let mut attr = PerfAttr::new(pmu, config);
    attr.sample = 1;
    // The kernel copies the name during the call that opens the event.
    attr.config1 = name.map_or(0, |name| name.as_ptr() as u64);
    attr.config2 = offset;
    open(&attr, scope)
}

fn open(attr: &PerfAttr, scope: ProbeScope) -> io::Result<OwnedFd> {
    match scope {
        ProbeScope::EveryTask => perf_event_open_for(attr, -1, 0, None),
        ProbeScope::ThisThread => perf_event_open_for(attr, 0, -1, None),
    }
}
