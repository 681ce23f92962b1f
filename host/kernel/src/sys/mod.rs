//! The system calls of the kernel stage: bpf(2), perf_event_open(2), mmap(2).
//!
//! All `unsafe` of this crate is below here. Safety rests on sizes that are owned here: [`KernelMap`] asks the kernel for the sizes of its
//! keys and values and checks every buffer against them; slices carry their own lengths. No caller's word is taken for a size.
//!
//! One file per group of calls: `map` (elements, pins), `batch` (batched reads), `create`, `mapping`, `program`, `link`, `perf`.
//! Reference: <https://docs.kernel.org/userspace-api/ebpf/syscall.html>.

#![allow(unsafe_code, reason = "raw system calls are made here and nowhere else in this crate")]

mod batch;
mod btf;
mod create;
mod link;
mod map;
mod mapping;
mod perf;
mod program;

use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd},
};

pub(crate) use batch::{Batch, BatchCursor};
pub(crate) use btf::module_btf;
pub(crate) use create::{MapAttr, MapTypes};
pub(crate) use link::{LinkExtra, iterator_create, link_create, raw_tracepoint_open};
pub(crate) use map::KernelMap;
pub(crate) use mapping::{MappedArray, with_mapped};
pub(crate) use perf::{
    PERF_DISABLED, PERF_FREQUENCY, PerfAttr, ProbeScope, is_perf_event_open_reached, perf_event_enable,
    perf_event_open, perf_event_run, probe_open, tracepoint_open,
};
pub use program::RunStatistics;
pub(crate) use program::{ProgramAttr, Records, btf_load, program_load, program_run, run_statistics};

/// The size of a page of memory.
pub(crate) fn page_size() -> u32 {
    // SAFETY: this asks for a number and touches no memory of ours.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u32::try_from(size).unwrap_or(4096)
}

/// The number of possible CPUs: a per-CPU map has a value for each.
///
/// # Errors
/// `/sys/devices/system/cpu/possible` cannot be read. There is no default: a buffer for too few CPUs would be written past its end.
pub fn possible_cpus() -> io::Result<usize> {
    aya::util::nr_cpus().map_err(|(file, error)| {
        let why = format!("the number of possible CPUs cannot be read from {file} ({error}): mount sysfs at /sys");
        io::Error::new(error.kind(), why)
    })
}

/// A name as the kernel keeps it: 15 bytes at most, and only characters that it takes.
fn object_name(name: &str) -> [u8; 16] {
    let legal = |byte: u8| if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.' { byte } else { b'_' };
    let mut short = [0; 16];
    short.iter_mut().take(15).zip(name.bytes()).for_each(|(to, from)| *to = legal(from));
    short
}

/// Reads what the kernel reports of a map, program or BTF: `info` is the `struct bpf_*_info` of its kind, or the first bytes of it
/// (`BPF_OBJ_GET_INFO_BY_FD`).
///
/// SAFETY: `T` must be valid with any bytes, and every address in `info` valid for what the kernel writes there.
unsafe fn object_info<T>(object: BorrowedFd<'_>, info: &mut T) -> io::Result<()> {
    const BPF_OBJ_GET_INFO_BY_FD: libc::c_long = 15;
    #[repr(C)]
    struct InfoAttr {
        fd: u32,
        info_len: u32,
        info: u64,
    }
    let info_len = size_of::<T>() as u32;
    let mut attr = InfoAttr { fd: object.as_raw_fd() as u32, info_len, info: std::ptr::from_mut(info) as u64 };
    // SAFETY: `info` has the stated length and outlives the call; the rest by this function's contract.
    unsafe { bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attr) }
}

/// Makes one bpf(2) call.
///
/// SAFETY: `attr` must be what `command` takes, and every address in it valid for what the kernel does there.
unsafe fn bpf<T>(command: libc::c_long, attr: &mut T) -> io::Result<()> {
    // SAFETY: by this function's contract.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attr), size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Whether bpf(2) reaches the kernel, which knows no such command (EINVAL). What answers otherwise is a seccomp filter, or the kernel to a
/// thread without CAP_BPF.
pub(crate) fn is_bpf_reached() -> bool {
    // SAFETY: of the attributes no byte is read, because their length is 0.
    let result = unsafe { libc::syscall(libc::SYS_bpf, libc::c_long::from(i32::MAX), std::ptr::null::<u8>(), 0) };
    result >= 0 || io::Error::last_os_error().raw_os_error() == Some(libc::EINVAL)
}

/// Raises `RLIMIT_MEMLOCK`: kernels before 5.11 account maps and programs to it, and its usual value is soon used up.
fn raise_locked_memory() -> bool {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let no_limit = Rlimit { current: None, maximum: None };
    getrlimit(Resource::Memlock).current.is_some() && setrlimit(Resource::Memlock, no_limit).is_ok()
}

/// Makes a call that returns a new descriptor.
///
/// SAFETY: as for `bpf`.
unsafe fn new_file<T>(command: libc::c_long, attr: &mut T) -> io::Result<OwnedFd> {
    // SAFETY: by this function's contract.
    let call = |attr: *mut T| unsafe { libc::syscall(libc::SYS_bpf, command, attr, size_of::<T>()) };
    let mut result = call(attr);
    let is_refused = |result| result < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::EPERM);
    if is_refused(result) && raise_locked_memory() {
        result = call(attr);
    }
    match RawFd::try_from(result) {
        // SAFETY: the kernel just opened it for us, and nobody else has it.
        Ok(fd @ 0..) => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}
