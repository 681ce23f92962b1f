//! Loads programs and their BTF (`BPF_PROG_LOAD`, `BPF_BTF_LOAD`), runs them (`BPF_PROG_RUN`), and reads what the kernel reports of a program.

use std::{
    ffi::CStr,
    io,
    os::fd::{AsRawFd as _, BorrowedFd, OwnedFd},
};

use super::{bpf, new_file, object_info, object_name};

const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_RUN: libc::c_long = 10;
const BPF_BTF_LOAD: libc::c_long = 18;

#[repr(C)]
struct BtfLoadAttr {
    btf: u64,
    log_buf: u64,
    btf_size: u32,
    log_size: u32,
    log_level: u32,
    zero: u32,
}

/// Loads an object's BTF into the kernel.
pub(crate) fn btf_load(types: &[u8]) -> io::Result<OwnedFd> {
    let (btf, btf_size) = (types.as_ptr() as u64, types.len() as u32);
    let mut attr = BtfLoadAttr { btf, log_buf: 0, btf_size, log_size: 0, log_level: 0, zero: 0 };
    // SAFETY: `btf` has the stated size and outlives the call, which only reads it.
    unsafe { new_file(BPF_BTF_LOAD, &mut attr) }
}

/// A program to be loaded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProgramAttr<'a> {
    /// `enum bpf_prog_type`.
    pub(crate) kind: u32,
    /// `enum bpf_attach_type`.
    pub(crate) attach_type: u32,
    /// The BTF type id of its attach target in the kernel; 0: the target is given when it is attached.
    pub(crate) attach_btf_id: u32,
    /// The BTF of the module that has the attach target; `None`: the kernel has it.
    pub(crate) attach_btf: Option<BorrowedFd<'a>>,
    /// Descriptors of modules' BTF that calls name by index; empty: none.
    pub(crate) module_fds: &'a [i32],
    pub(crate) flags: u32,
    pub(crate) kernel_version: u32,
    pub(crate) instructions: &'a [[u8; 8]],
    pub(crate) license: &'a CStr,
    /// The object's BTF in the kernel; without it `functions` and `lines` are left out.
    pub(crate) types: Option<BorrowedFd<'a>>,
    pub(crate) functions: Records<'a>,
    pub(crate) lines: Records<'a>,
}

/// Records of `.BTF.ext`: `func_info` or `line_info`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Records<'a> {
    pub(crate) bytes: &'a [u8],
    /// Bytes of one record.
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
    fd_array: u64,
}

/// Loads a program. The verifier's log goes into `log`, as far as it fits.
pub(crate) fn program_load(name: &str, program: &ProgramAttr<'_>, log: &mut [u8]) -> io::Result<OwnedFd> {
    let fits =
        |records: Records<'_>| records.bytes.len() >= (records.size as usize).saturating_mul(records.count as usize);
    if !fits(program.functions) || !fits(program.lines) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "found fewer bytes of BTF records than their count says",
        ));
    }
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
        name: object_name(name),
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
        attach_btf_obj_fd: program.attach_btf.map_or(0, |btf| btf.as_raw_fd() as u32),
        core_relo_cnt: 0,
        fd_array: if program.module_fds.is_empty() { 0 } else { program.module_fds.as_ptr() as u64 },
    };
    // SAFETY: instructions, records, log and descriptors have the stated lengths, the license ends in a zero byte, and all outlive the
    // call, which writes to the log alone.
    unsafe { new_file(BPF_PROG_LOAD, &mut attr) }
}

/// The part of `union bpf_attr` that `BPF_PROG_RUN` uses.
#[repr(C)]
#[derive(Default)]
struct RunAttr {
    fd: u32,
    retval: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    ctx_size_in: u32,
    ctx_size_out: u32,
    ctx_in: u64,
    ctx_out: u64,
    flags: u32,
    cpu: u32,
    batch_size: u32,
    padding: u32,
}

/// Runs a program of the type `BPF_PROG_TYPE_SYSCALL` once, without arguments.
pub(crate) fn program_run(program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = RunAttr { fd: program.as_raw_fd() as u32, ..RunAttr::default() };
    // SAFETY: the attributes hold numbers alone.
    unsafe { bpf(BPF_PROG_RUN, &mut attr) }
}

/// What the kernel reports of a program and its runs. Time and count stay 0 while statistics are off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunStatistics {
    pub id: u32,
    /// A digest of the instructions (`bpf_prog_info.tag`).
    pub tag: [u8; 8],
    pub run_time_ns: u64,
    pub runs: u64,
    /// Runs that the kernel skipped because the program was running on that CPU already.
    pub recursion_misses: u64,
}

/// Reads a program's run statistics from its `bpf_prog_info`.
pub(crate) fn run_statistics(program: BorrowedFd<'_>) -> io::Result<RunStatistics> {
    // Offsets in `struct bpf_prog_info` of linux/bpf.h; run_cnt and recursion_misses (5.12) follow run_time_ns.
    const ID: usize = 4;
    const TAG: usize = 8;
    const RUN_TIME_NS: usize = 192;
    const INFO_BYTES: usize = 232;
    let mut info = [0u8; INFO_BYTES];
    // SAFETY: `info` is zeroed, as the kernel demands, and holds no address.
    unsafe { object_info(program, &mut info) }?;
    let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| info[at + i]));
    Ok(RunStatistics {
        id: u32::from_le_bytes(std::array::from_fn(|i| info[ID + i])),
        tag: std::array::from_fn(|i| info[TAG + i]),
        run_time_ns: number(RUN_TIME_NS),
        runs: number(RUN_TIME_NS + 8),
        recursion_misses: number(RUN_TIME_NS + 16),
    })
}
