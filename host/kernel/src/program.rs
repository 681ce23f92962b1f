//! One program, verified and kept by the kernel.

use std::{
    ffi::CStr,
    io,
    os::fd::{BorrowedFd, OwnedFd},
};

use aya_obj::{
    Function,
    btf::{Btf, BtfKind},
};

use super::{
    externs::version_code,
    section::{Attach, Hook, Section},
    syscall::{self, ProgramAttr, Records},
};

/// Enough for the verifier's last words; newer kernels keep the end, older ones want room for all.
const LOG_BYTES: [usize; 2] = [1 << 20, 16 << 20];

/// Why the kernel does not have a program.
#[derive(Debug)]
pub(super) enum Refusal {
    /// What it is attached to is not among the kernel's types.
    Absent(String),
    /// The kernel's types are needed, and cannot be read.
    NoTypes,
    Kernel {
        error: io::Error,
        log: String,
    },
}

/// Loads a program, whose instructions are ready.
pub(super) fn load(
    name: &str,
    section: &Section,
    function: &Function,
    license: &CStr,
    object_types: Option<BorrowedFd<'_>>,
    kernel_types: Option<&Btf>,
) -> Result<OwnedFd, Refusal> {
    let (kind, attach_type) = section.attach.kind();
    let attach_btf_id = match &section.attach {
        Attach::Typed(hook, target) => type_id(kernel_types.ok_or(Refusal::NoTypes)?, *hook, target)?,
        _ => 0,
    };
    let instructions: Vec<_> = function.instructions.iter().map(bytes).collect();
    let (functions, lines) = (function.func_info.func_info_bytes(), function.line_info.line_info_bytes());
    let attr = ProgramAttr {
        kind,
        attach_type,
        attach_btf_id,
        flags: section.flags,
        kernel_version: version_code(),
        instructions: &instructions,
        license,
        types: object_types,
        functions: records(&functions, function.func_info.len(), function.func_info_rec_size),
        lines: records(&lines, function.line_info.len(), function.line_info_rec_size),
    };
    syscall::program_load(name, &attr, &mut []).map_err(|error| explained(name, &attr, error))
}

/// Loads it once more, for what the verifier says.
fn explained(name: &str, attr: &ProgramAttr<'_>, first: io::Error) -> Refusal {
    for size in LOG_BYTES {
        let mut log = vec![0; size];
        match syscall::program_load(name, attr, &mut log) {
            Err(error) if error.raw_os_error() == Some(libc::ENOSPC) => {}
            _ => {
                let end = log.iter().position(|byte| *byte == 0).unwrap_or(log.len());
                return Refusal::Kernel { error: first, log: String::from_utf8_lossy(&log[..end]).into_owned() };
            }
        }
    }
    Refusal::Kernel { error: first, log: String::new() }
}

fn records(bytes: &[u8], count: usize, size: usize) -> Records<'_> {
    // Records of a newer compiler may be longer than those that aya keeps; then they are left out.
    if count == 0 || bytes.len() != count * size {
        return Records::default();
    }
    Records { bytes, size: size as u32, count: count as u32 }
}

fn bytes(instruction: &aya_obj::generated::bpf_insn) -> [u8; 8] {
    let (offset, number) = (instruction.off.to_le_bytes(), instruction.imm.to_le_bytes());
    let registers = instruction.dst_reg() | instruction.src_reg() << 4;
    [instruction.code, registers, offset[0], offset[1], number[0], number[1], number[2], number[3]]
}

fn type_id(types: &Btf, hook: Hook, target: &str) -> Result<u32, Refusal> {
    let (name, kind, what) = match hook {
        Hook::Tracepoint => (format!("btf_trace_{target}"), BtfKind::Typedef, "tracepoint"),
        Hook::Entry | Hook::Exit | Hook::Return => (target.to_owned(), BtfKind::Func, "function"),
        Hook::Lsm => (format!("bpf_lsm_{target}"), BtfKind::Func, "LSM hook"),
        Hook::Iterator => (format!("bpf_iter_{target}"), BtfKind::Func, "iterator"),
    };
    types.id_by_type_name_kind(&name, kind).map_err(|_| {
        Refusal::Absent(format!("this kernel's types have no {what} `{target}` (those of modules are not looked at)"))
    })
}
