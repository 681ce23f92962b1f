//! bpf(2), mmap(2) and perf_event_open(2), where aya has no call for what is needed: batched reads, mapped arrays, run
//! statistics, counting perf events.
//!
//! All `unsafe` of the kernel stage is in this file and `syscall/objects.rs`. Each function takes slices whose lengths it
//! checks against what the kernel is told, so a caller cannot make the kernel write past a buffer.

#![allow(unsafe_code, reason = "the kernel is asked through raw system calls here and nowhere else")]

mod objects;

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    ptr::NonNull,
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::mm::{MapFlags, ProtFlags};

pub(super) use objects::{
    LinkExtra, MapAttr, ProgramAttr, Records, Whose, btf_load, iterator_create, link_create, map_create, map_delete,
    map_freeze, map_update, probe_open, program_load, raw_tracepoint_open, tracepoint_open,
};

const BPF_MAP_LOOKUP_ELEM: libc::c_long = 1;
const BPF_MAP_UPDATE_ELEM: libc::c_long = 2;
const BPF_MAP_DELETE_ELEM: libc::c_long = 3;
const BPF_MAP_GET_NEXT_KEY: libc::c_long = 4;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const BPF_MAP_LOOKUP_BATCH: libc::c_long = 24;

pub(super) fn page_size() -> u32 {
    // SAFETY: this asks for a number and touches no memory of ours.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u32::try_from(size).unwrap_or(4096)
}

/// Sizes of a map's key and of all that one lookup gives: a per-CPU value counts once a CPU.
#[derive(Debug, Clone, Copy)]
pub(super) struct EntrySize {
    pub(super) key: usize,
    pub(super) value: usize,
}

/// What one batched read gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Batch {
    /// So many entries; more follow.
    More(usize),
    /// So many entries; they were the last.
    Last(usize),
    /// Not even one bucket fits: ask again from the same place with larger buffers.
    TooSmall,
}

impl Batch {
    pub(super) fn count(self) -> usize {
        match self {
            Self::More(count) | Self::Last(count) => count,
            Self::TooSmall => 0,
        }
    }
}

/// Where a batched read goes on. The kernel keeps a bucket's number or a key in it.
#[derive(Debug)]
pub(super) struct Cursor {
    token: Vec<u8>,
    is_started: bool,
}

impl Cursor {
    pub(super) fn new(size: EntrySize) -> Self {
        Self { token: vec![0; size.key.max(8)], is_started: false }
    }

    pub(super) fn rewind(&mut self) {
        self.is_started = false;
    }
}

#[repr(C)]
struct BatchAttr {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

#[repr(C)]
struct ElemAttr {
    map_fd: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
struct InfoAttr {
    fd: u32,
    info_len: u32,
    info: u64,
}

/// Reads as many entries as `keys` and `values` hold and moves the cursor behind them.
pub(super) fn lookup_batch(
    map: BorrowedFd<'_>,
    size: EntrySize,
    cursor: &mut Cursor,
    keys: &mut [u8],
    values: &mut [u8],
) -> io::Result<Batch> {
    let room = (keys.len() / size.key).min(values.len() / size.value);
    let mut attr = BatchAttr {
        in_batch: if cursor.is_started { cursor.token.as_ptr() as u64 } else { 0 },
        out_batch: cursor.token.as_mut_ptr() as u64,
        keys: keys.as_mut_ptr() as u64,
        values: values.as_mut_ptr() as u64,
        count: u32::try_from(room).unwrap_or(u32::MAX),
        map_fd: map.as_raw_fd() as u32,
        elem_flags: 0,
        flags: 0,
    };
    // SAFETY: the buffers hold `count` keys and values by the division above; the token holds a key or a bucket number,
    // whichever the map type keeps in it; all of them outlive the call.
    let result = unsafe { bpf(BPF_MAP_LOOKUP_BATCH, &mut attr) };
    let count = attr.count as usize;
    match result {
        Ok(()) => {
            cursor.is_started = true;
            Ok(Batch::More(count))
        }
        Err(error) => match error.raw_os_error() {
            Some(libc::ENOENT) => Ok(Batch::Last(count)),
            // Keys of a trie went while they were read, and older kernels stop there; what came before is whole.
            Some(libc::EINTR) => {
                cursor.is_started |= count > 0;
                Ok(Batch::More(count))
            }
            Some(libc::ENOSPC) => Ok(Batch::TooSmall),
            _ => Err(error),
        },
    }
}

/// Writes the key after `after` into `next`; false: there is none.
pub(super) fn next_key(map: BorrowedFd<'_>, after: Option<&[u8]>, next: &mut [u8]) -> io::Result<bool> {
    if let Some(after) = after {
        assert_eq!(after.len(), next.len(), "keys of one map have one size");
    }
    let mut attr = ElemAttr {
        map_fd: map.as_raw_fd() as u32,
        key: after.map_or(0, |key| key.as_ptr() as u64),
        value: next.as_mut_ptr() as u64,
        flags: 0,
    };
    // SAFETY: both keys have the map's key size, which the caller's buffers were made with, and outlive the call.
    found(unsafe { bpf(BPF_MAP_GET_NEXT_KEY, &mut attr) })
}

/// Reads the value under `key`; false: the entry is gone.
pub(super) fn lookup(map: BorrowedFd<'_>, size: EntrySize, key: &[u8], value: &mut [u8]) -> io::Result<bool> {
    assert!(key.len() == size.key && value.len() == size.value, "an entry has its map's sizes");
    let mut attr = ElemAttr {
        map_fd: map.as_raw_fd() as u32,
        key: key.as_ptr() as u64,
        value: value.as_mut_ptr() as u64,
        flags: 0,
    };
    // SAFETY: key and value have the map's sizes, as asserted, and outlive the call.
    found(unsafe { bpf(BPF_MAP_LOOKUP_ELEM, &mut attr) })
}

/// Puts a file (a perf event) into an array of files, at `index`.
pub(super) fn put_file(map: BorrowedFd<'_>, index: u32, file: BorrowedFd<'_>) -> io::Result<()> {
    let file = file.as_raw_fd();
    let mut attr = ElemAttr {
        map_fd: map.as_raw_fd() as u32,
        key: std::ptr::from_ref(&index) as u64,
        value: std::ptr::from_ref(&file) as u64,
        flags: 0,
    };
    // SAFETY: arrays of files have keys and values of 4 bytes, as both variables have, which outlive the call.
    unsafe { bpf(BPF_MAP_UPDATE_ELEM, &mut attr) }
}

/// Takes the file at `index` out of an array of files; that there is none is no error.
pub(super) fn take_file(map: BorrowedFd<'_>, index: u32) -> io::Result<()> {
    let mut attr =
        ElemAttr { map_fd: map.as_raw_fd() as u32, key: std::ptr::from_ref(&index) as u64, value: 0, flags: 0 };
    // SAFETY: arrays of files have keys of 4 bytes, as `index` has, which outlives the call.
    found(unsafe { bpf(BPF_MAP_DELETE_ELEM, &mut attr) }).map(|_| ())
}

/// The first 72 bytes of `struct perf_event_attr` (PERF_ATTR_SIZE_VER1), which every kernel takes.
#[repr(C)]
#[derive(Debug, Clone, Default)]
pub(super) struct PerfAttr {
    kind: u32,
    size: u32,
    pub(super) config: u64,
    /// A period, or with `PERF_FREQUENCY` a frequency; 0: no samples.
    pub(super) sample: u64,
    sample_type: u64,
    pub(super) read_format: u64,
    pub(super) flags: u64,
    wakeup: u32,
    breakpoint: u32,
    pub(super) config1: u64,
    pub(super) config2: u64,
}

impl PerfAttr {
    /// An event that only counts.
    pub(super) fn new(kind: u32, config: u64) -> Self {
        Self { kind, config, ..Self::default() }
    }
}

/// Bits of `PerfAttr::flags`.
pub(super) const PERF_DISABLED: u64 = 1;
pub(super) const PERF_FREQUENCY: u64 = 1 << 10;

/// Opens a perf event of one CPU and of every process there, in the group of `leader` if there is one.
pub(super) fn perf_event_open(attr: &PerfAttr, cpu: u32, leader: Option<BorrowedFd<'_>>) -> io::Result<OwnedFd> {
    const EVERY_PROCESS: libc::pid_t = -1;
    perf_event_open_for(attr, (EVERY_PROCESS, cpu as libc::c_int), leader)
}

/// The same for a process (-1: every one; 0: this thread) and a CPU (-1: every one).
fn perf_event_open_for(
    attr: &PerfAttr,
    (process, cpu): (libc::pid_t, libc::c_int),
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

/// Starts a perf event, and with it the group that it leads.
pub(super) fn perf_event_enable(event: BorrowedFd<'_>) -> io::Result<()> {
    const PERF_EVENT_IOC_ENABLE: libc::c_ulong = 0x2400;
    // SAFETY: this request takes a number and touches no memory of ours.
    ioctl_done(unsafe { libc::ioctl(event.as_raw_fd(), PERF_EVENT_IOC_ENABLE, 0) })
}

/// Has each sample of a perf event run a program, until the event is closed.
pub(super) fn perf_event_run(event: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    const PERF_EVENT_IOC_SET_BPF: libc::c_ulong = 0x4004_2408;
    // SAFETY: this request takes a file descriptor and touches no memory of ours.
    ioctl_done(unsafe { libc::ioctl(event.as_raw_fd(), PERF_EVENT_IOC_SET_BPF, program.as_raw_fd()) })
}

fn ioctl_done(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn found(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

/// What the kernel says of a program and its runs; time and count stay 0 until statistics are switched on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunStatistics {
    pub id: u32,
    /// A digest of the instructions.
    pub tag: [u8; 8],
    pub run_time_ns: u64,
    pub runs: u64,
    /// Runs left out because the program was running on that CPU already.
    pub recursion_misses: u64,
}

/// Reads a program's run statistics from its `bpf_prog_info`.
pub(super) fn run_statistics(program: BorrowedFd<'_>) -> io::Result<RunStatistics> {
    // Of `struct bpf_prog_info` in linux/bpf.h: id and tag, and run_time_ns, run_cnt and recursion_misses (5.12) at these bytes.
    const ID: usize = 4;
    const TAG: usize = 8;
    const RUN_TIME_NS: usize = 192;
    const INFO_BYTES: usize = 232;
    let mut info = [0u8; INFO_BYTES];
    let mut attr =
        InfoAttr { fd: program.as_raw_fd() as u32, info_len: INFO_BYTES as u32, info: info.as_mut_ptr() as u64 };
    // SAFETY: `info` has the stated length, is zeroed as the kernel demands, and outlives the call.
    unsafe { bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attr) }?;
    let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| info[at + i]));
    Ok(RunStatistics {
        id: u32::from_le_bytes(std::array::from_fn(|i| info[ID + i])),
        tag: std::array::from_fn(|i| info[TAG + i]),
        run_time_ns: number(RUN_TIME_NS),
        runs: number(RUN_TIME_NS + 8),
        recursion_misses: number(RUN_TIME_NS + 16),
    })
}

/// SAFETY: `attr` must be what `command` takes, and every address in it valid for what the kernel does there.
unsafe fn bpf<T>(command: libc::c_long, attr: &mut T) -> io::Result<()> {
    // SAFETY: by this function's contract.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attr), size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// What of a file is mapped into this process, to be read.
#[derive(Debug)]
struct Mapping {
    address: NonNull<libc::c_void>,
    bytes: usize,
}

impl Mapping {
    fn new(file: BorrowedFd<'_>, bytes: usize, flags: MapFlags) -> io::Result<Self> {
        // SAFETY: a new mapping at an address that the kernel chooses touches no memory of ours.
        let address = unsafe { rustix::mm::mmap(std::ptr::null_mut(), bytes, ProtFlags::READ, flags, file, 0) }?;
        let address = NonNull::new(address).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { address, bytes })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this address and length, and nothing refers to it any more.
        let unmapped = unsafe { rustix::mm::munmap(self.address.as_ptr(), self.bytes) };
        debug_assert!(unmapped.is_ok(), "unmapping what was mapped");
    }
}

/// Lends the bytes of a file of the kernel's, which nobody changes or cuts short, without reading them.
pub(super) fn lend<T>(file: BorrowedFd<'_>, bytes: usize, borrow: impl FnOnce(&[u8]) -> T) -> io::Result<T> {
    let mapping = Mapping::new(file, bytes, MapFlags::PRIVATE)?;
    // SAFETY: so many bytes are mapped there until `mapping` is dropped, of a file that stays as it is.
    Ok(borrow(unsafe { std::slice::from_raw_parts(mapping.address.as_ptr().cast::<u8>(), bytes) }))
}

/// An array map (`BPF_F_MMAPABLE`) mapped into this process: read without a system call.
#[derive(Debug)]
pub(super) struct MappedArray {
    mapping: Mapping,
    words: usize,
}

// SAFETY: the mapping is shared, read-only and lives until drop; it is read through atomics alone.
unsafe impl Send for MappedArray {}

impl MappedArray {
    /// Maps `bytes` (a multiple of 8) of the array.
    pub(super) fn new(map: BorrowedFd<'_>, bytes: usize) -> io::Result<Self> {
        Ok(Self { mapping: Mapping::new(map, bytes, MapFlags::SHARED)?, words: bytes / 8 })
    }

    /// Copies the array as it is now. Each 8-byte word is read whole; words may be of different moments.
    pub(super) fn copy_to(&self, to: &mut [u8]) {
        assert_eq!(to.len(), self.words * 8, "the copy is as large as the array");
        let base = self.mapping.address.cast::<u64>();
        for (word, bytes) in to.chunks_exact_mut(8).enumerate() {
            // SAFETY: `word` is below `words`, so the address lies in the mapping, aligned to 8; programs write it
            // concurrently, hence the atomic, which never writes.
            let value = unsafe { AtomicU64::from_ptr(base.add(word).as_ptr()) }.load(Ordering::Relaxed);
            bytes.copy_from_slice(&value.to_ne_bytes());
        }
    }
}
