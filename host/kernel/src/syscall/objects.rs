//! Maps, types and programs put into the kernel, and programs attached there: the calls of bpf(2) that aya keeps to itself.

use std::{
    ffi::CStr,
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

use super::{ElemAttr, PerfAttr, bpf};

const BPF_MAP_CREATE: libc::c_long = 0;
const BPF_MAP_UPDATE_ELEM: libc::c_long = 2;
const BPF_MAP_DELETE_ELEM: libc::c_long = 3;
const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_RAW_TRACEPOINT_OPEN: libc::c_long = 17;
const BPF_BTF_LOAD: libc::c_long = 18;
const BPF_MAP_FREEZE: libc::c_long = 22;
const BPF_LINK_CREATE: libc::c_long = 28;
const BPF_ITER_CREATE: libc::c_long = 33;

/// A name as the kernel keeps it: 15 bytes at most, and only those that it takes.
fn short(name: &str) -> [u8; 16] {
    let legal = |byte: u8| if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.' { byte } else { b'_' };
    let mut short = [0; 16];
    short.iter_mut().take(15).zip(name.bytes()).for_each(|(to, from)| *to = legal(from));
    short
}

/// A map to be created, in the kernel's terms.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct MapAttr<'a> {
    pub(crate) kind: u32,
    pub(crate) key_size: u32,
    pub(crate) value_size: u32,
    pub(crate) max_entries: u32,
    pub(crate) flags: u32,
    pub(crate) extra: u64,
    pub(crate) inner: Option<BorrowedFd<'a>>,
    /// The object's types, and the key's and the value's numbers among them.
    pub(crate) types: Option<(BorrowedFd<'a>, u32, u32)>,
}

#[repr(C)]
struct MapCreateAttr {
    kind: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
    inner_map_fd: u32,
    numa_node: u32,
    name: [u8; 16],
    ifindex: u32,
    btf_fd: u32,
    btf_key_type_id: u32,
    btf_value_type_id: u32,
    btf_vmlinux_value_type_id: u32,
    extra: u64,
}

pub(crate) fn map_create(name: &str, map: &MapAttr<'_>) -> io::Result<OwnedFd> {
    let fd = |fd: BorrowedFd<'_>| fd.as_raw_fd() as u32;
    let (btf_fd, key, value) = map.types.map_or((0, 0, 0), |(btf, key, value)| (fd(btf), key, value));
    let mut attr = MapCreateAttr {
        kind: map.kind,
        key_size: map.key_size,
        value_size: map.value_size,
        max_entries: map.max_entries,
        flags: map.flags,
        inner_map_fd: map.inner.map_or(0, fd),
        numa_node: 0,
        name: short(name),
        ifindex: 0,
        btf_fd,
        btf_key_type_id: key,
        btf_value_type_id: value,
        btf_vmlinux_value_type_id: 0,
        extra: map.extra,
    };
    // SAFETY: the attributes hold numbers alone.
    unsafe { new_file(BPF_MAP_CREATE, &mut attr) }
}

/// Writes one entry; `key` and `value` have the sizes that the map was made with.
pub(crate) fn map_update(map: BorrowedFd<'_>, sizes: (u32, u32), key: &[u8], value: &[u8]) -> io::Result<()> {
    assert!(key.len() == sizes.0 as usize && value.len() == sizes.1 as usize, "an entry has its map's sizes");
    let mut attr =
        ElemAttr { map_fd: map.as_raw_fd() as u32, key: key.as_ptr() as u64, value: value.as_ptr() as u64, flags: 0 };
    // SAFETY: key and value have the map's sizes, as asserted, and outlive the call, which only reads them.
    unsafe { bpf(BPF_MAP_UPDATE_ELEM, &mut attr) }
}

/// Deletes one entry; that there is none is no error.
pub(crate) fn map_delete(map: BorrowedFd<'_>, key_size: u32, key: &[u8]) -> io::Result<()> {
    assert_eq!(key.len(), key_size as usize, "a key has its map's size");
    let mut attr = ElemAttr { map_fd: map.as_raw_fd() as u32, key: key.as_ptr() as u64, value: 0, flags: 0 };
    // SAFETY: the key has the map's size, as asserted, and outlives the call.
    super::found(unsafe { bpf(BPF_MAP_DELETE_ELEM, &mut attr) }).map(|_| ())
}

/// Lets no system call change the map any more, so that the verifier may take its bytes for constants.
pub(crate) fn map_freeze(map: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = map.as_raw_fd() as u32;
    // SAFETY: the attributes begin with the map's descriptor, and the rest is zero.
    unsafe { bpf(BPF_MAP_FREEZE, &mut attr) }
}

#[repr(C)]
struct BtfLoadAttr {
    btf: u64,
    log_buf: u64,
    btf_size: u32,
    log_size: u32,
    log_level: u32,
    zero: u32,
}

/// Gives the kernel an object's types.
pub(crate) fn btf_load(types: &[u8]) -> io::Result<OwnedFd> {
    let (btf, btf_size) = (types.as_ptr() as u64, types.len() as u32);
    let mut attr = BtfLoadAttr { btf, log_buf: 0, btf_size, log_size: 0, log_level: 0, zero: 0 };
    // SAFETY: `btf` has the stated size and outlives the call, which only reads it.
    unsafe { new_file(BPF_BTF_LOAD, &mut attr) }
}

/// A program to be loaded, in the kernel's terms.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProgramAttr<'a> {
    pub(crate) kind: u32,
    pub(crate) attach_type: u32,
    /// What it is attached to, as a number among the kernel's types; 0: that is said when it is attached.
    pub(crate) attach_btf_id: u32,
    pub(crate) flags: u32,
    pub(crate) kernel_version: u32,
    pub(crate) instructions: &'a [[u8; 8]],
    pub(crate) license: &'a CStr,
    /// The object's types, and records of its functions and lines, with a record's size and number.
    pub(crate) types: Option<BorrowedFd<'a>>,
    pub(crate) functions: Records<'a>,
    pub(crate) lines: Records<'a>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Records<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) size: u32,
    pub(crate) count: u32,
}

#[repr(C)]
struct ProgramLoadAttr {
    kind: u32,
    insn_count: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    flags: u32,
    name: [u8; 16],
    ifindex: u32,
    expected_attach_type: u32,
    btf_fd: u32,
    func_info_rec_size: u32,
    func_info: u64,
    func_info_cnt: u32,
    line_info_rec_size: u32,
    line_info: u64,
    line_info_cnt: u32,
    attach_btf_id: u32,
    attach_btf_obj_fd: u32,
    core_relo_cnt: u32,
}

/// Has the kernel verify a program and keep it. What the verifier says goes into `log`, as far as it fits.
pub(crate) fn program_load(name: &str, program: &ProgramAttr<'_>, log: &mut [u8]) -> io::Result<OwnedFd> {
    let fits = |records: Records<'_>| records.bytes.len() >= (records.size as usize) * records.count as usize;
    assert!(fits(program.functions) && fits(program.lines), "records fill their bytes");
    let records = |records: Records<'_>| match program.types {
        Some(_) if records.size > 0 => (records.bytes.as_ptr() as u64, records.count, records.size),
        _ => (0, 0, 0),
    };
    let (functions, lines) = (records(program.functions), records(program.lines));
    let mut attr = ProgramLoadAttr {
        kind: program.kind,
        insn_count: program.instructions.len() as u32,
        insns: program.instructions.as_ptr() as u64,
        license: program.license.as_ptr() as u64,
        log_level: u32::from(!log.is_empty()),
        log_size: log.len() as u32,
        log_buf: if log.is_empty() { 0 } else { log.as_mut_ptr() as u64 },
        kern_version: program.kernel_version,
        flags: program.flags,
        name: short(name),
        ifindex: 0,
        expected_attach_type: program.attach_type,
        btf_fd: program.types.map_or(0, |types| types.as_raw_fd() as u32),
        func_info_rec_size: functions.2,
        func_info: functions.0,
        func_info_cnt: functions.1,
        line_info_rec_size: lines.2,
        line_info: lines.0,
        line_info_cnt: lines.1,
        attach_btf_id: program.attach_btf_id,
        attach_btf_obj_fd: 0,
        core_relo_cnt: 0,
    };
    // SAFETY: instructions, records and log have the stated lengths, the license ends in a zero byte, and all outlive the
    // call, which writes to the log alone.
    unsafe { new_file(BPF_PROG_LOAD, &mut attr) }
}

#[repr(C)]
struct RawTracepointAttr {
    name: u64,
    prog_fd: u32,
    zero: u32,
}

/// Attaches a program to a raw tracepoint, or without a name to what it was loaded for.
pub(crate) fn raw_tracepoint_open(program: BorrowedFd<'_>, name: Option<&CStr>) -> io::Result<OwnedFd> {
    let mut attr = RawTracepointAttr {
        name: name.map_or(0, |name| name.as_ptr() as u64),
        prog_fd: program.as_raw_fd() as u32,
        zero: 0,
    };
    // SAFETY: the name ends in a zero byte and outlives the call, which only reads it.
    unsafe { new_file(BPF_RAW_TRACEPOINT_OPEN, &mut attr) }
}

/// What a link needs beyond a program and a target.
#[derive(Debug, Clone, Copy)]
pub(crate) enum LinkExtra<'a> {
    None,
    /// A number that the program gets when it runs.
    Cookie(u64),
    /// Functions, and whether the program runs when they return.
    Functions {
        names: &'a [&'a CStr],
        on_return: u32,
    },
    /// Places in a file, and the same.
    Places {
        path: &'a CStr,
        offsets: &'a [u64],
        on_return: u32,
    },
}

#[repr(C)]
struct LinkAttr {
    prog_fd: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
    extra: [u64; 6],
}

/// Attaches a program to a file (`target` is its descriptor) or to an interface (its number).
pub(crate) fn link_create(
    program: BorrowedFd<'_>,
    target: u32,
    attach_type: u32,
    extra: LinkExtra<'_>,
) -> io::Result<OwnedFd> {
    let names: Vec<u64> = match extra {
        LinkExtra::Functions { names, .. } => names.iter().map(|name| name.as_ptr() as u64).collect(),
        LinkExtra::None | LinkExtra::Cookie(_) | LinkExtra::Places { .. } => Vec::new(),
    };
    let extra = match extra {
        LinkExtra::None => [0; 6],
        LinkExtra::Cookie(cookie) => [cookie, 0, 0, 0, 0, 0],
        LinkExtra::Functions { on_return, .. } => {
            [u64::from(on_return) | (names.len() as u64) << 32, names.as_ptr() as u64, 0, 0, 0, 0]
        }
        LinkExtra::Places { path, offsets, on_return } => {
            let count = offsets.len() as u64;
            [path.as_ptr() as u64, offsets.as_ptr() as u64, 0, 0, count | u64::from(on_return) << 32, 0]
        }
    };
    let mut attr = LinkAttr { prog_fd: program.as_raw_fd() as u32, target, attach_type, flags: 0, extra };
    // SAFETY: there are as many names or offsets as is said, names and paths end in a zero byte, and all outlive the call, which
    // only reads them.
    unsafe { new_file(BPF_LINK_CREATE, &mut attr) }
}

/// A file whose reading to the end runs the iterator once.
pub(crate) fn iterator_create(link: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut attr = [link.as_raw_fd() as u32, 0];
    // SAFETY: the attributes are a descriptor and flags.
    unsafe { new_file(BPF_ITER_CREATE, &mut attr) }
}

/// Whose passing by a probe counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    Everyone,
    ThisThread,
}

/// Opens a perf event that fires at a tracepoint (its number in `config`).
pub(crate) fn tracepoint_open(config: u64) -> io::Result<OwnedFd> {
    const PERF_TYPE_TRACEPOINT: u32 = 2;
    let mut attr = PerfAttr::new(PERF_TYPE_TRACEPOINT, config);
    attr.sample = 1;
    open(&attr, Whose::Everyone)
}

/// Opens a perf event that fires at a place in the kernel (a function's name) or in a file (its path), so many bytes into it.
pub(crate) fn probe_open(pmu: u32, config: u64, name: &CStr, offset: u64, whose: Whose) -> io::Result<OwnedFd> {
    let mut attr = PerfAttr::new(pmu, config);
    attr.sample = 1;
    // The kernel copies the name during the call that opens the event.
    attr.config1 = name.as_ptr() as u64;
    attr.config2 = offset;
    open(&attr, whose)
}

fn open(attr: &PerfAttr, whose: Whose) -> io::Result<OwnedFd> {
    match whose {
        Whose::Everyone => super::perf_event_open_for(attr, (-1, 0), None),
        Whose::ThisThread => super::perf_event_open_for(attr, (0, -1), None),
    }
}

/// Kernels before 5.11 count what maps and programs take as locked memory, and the usual limit of that is soon reached.
fn raise_locked_memory() -> bool {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let no_limit = Rlimit { current: None, maximum: None };
    getrlimit(Resource::Memlock).current.is_some() && setrlimit(Resource::Memlock, no_limit).is_ok()
}

/// SAFETY: as `bpf`, for a command that answers with a new descriptor.
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
