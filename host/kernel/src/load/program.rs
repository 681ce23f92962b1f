//! Loads one program: the kernel verifies it and keeps it.

use std::{
    ffi::CStr,
    io,
    os::fd::{BorrowedFd, OwnedFd},
};

use aya_obj::{
    Function,
    btf::{Btf, BtfKind},
};

use crate::{
    attach::{Attach, Hook, Section},
    relocate::version_code,
    sys::{ProgramAttr, Records, program_load},
};

/// Room for the end of the verifier's log: newer kernels keep the end of a longer one, older ones refuse a buffer that is too small.
const LOG_BYTES: [usize; 2] = [1 << 20, 16 << 20];

/// Why a program is not loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProgramError {
    /// Its attach target is not among the kernel's types.
    #[error("{0}")]
    NoTarget(String),
    /// Its attach target needs the kernel's BTF, which cannot be read.
    #[error("the kernel shows no BTF")]
    NoBtf,
    #[error("the kernel refuses it: {error}")]
    Refused {
        #[source]
        error: io::Error,
        /// The verifier's log; empty: the verifier did not see the program.
        log: String,
    },
}

/// The object's data that all its programs share.
#[derive(Debug, Clone, Copy)]
pub(super) struct ObjectData<'a> {
    pub(super) license: &'a CStr,
    /// The object's BTF in the kernel.
    pub(super) btf: Option<BorrowedFd<'a>>,
}

/// Loads a program whose instructions are relocated.
///
/// # Errors
/// See [`ProgramError`].
pub(super) fn load(
    name: &str,
    section: &Section,
    function: &Function,
    object: ObjectData<'_>,
    kernel_btf: Option<&Btf>,
) -> Result<OwnedFd, ProgramError> {
    let (kind, attach_type) = section.attach.kind();
    let attach_btf_id = match &section.attach {
        Attach::Typed(hook, target) => type_id(kernel_btf.ok_or(ProgramError::NoBtf)?, *hook, target)?,
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
        license: object.license,
        types: object.btf,
        functions: records(&functions, function.func_info.len(), function.func_info_rec_size),
        lines: records(&lines, function.line_info.len(), function.line_info_rec_size),
    };
    program_load(name, &attr, &mut []).map_err(|error| explain(name, &attr, error))
}

/// Loads the program once more, with a log.
fn explain(name: &str, attr: &ProgramAttr<'_>, error: io::Error) -> ProgramError {
    for size in LOG_BYTES {
        let mut log = vec![0; size];
        match program_load(name, attr, &mut log) {
            Err(again) if again.raw_os_error() == Some(libc::ENOSPC) => {}
            _ => {
                let end = log.iter().position(|byte| *byte == 0).unwrap_or(log.len());
                return ProgramError::Refused { error, log: String::from_utf8_lossy(&log[..end]).into_owned() };
            }
        }
    }
    ProgramError::Refused { error, log: String::new() }
}

fn records(bytes: &[u8], count: usize, size: usize) -> Records<'_> {
    // Records of a newer compiler may be longer than those that aya keeps; these are left out.
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

fn type_id(types: &Btf, hook: Hook, target: &str) -> Result<u32, ProgramError> {
    let (name, kind, what) = match hook {
        Hook::Tracepoint => (format!("btf_trace_{target}"), BtfKind::Typedef, "tracepoint"),
        Hook::Entry | Hook::Exit | Hook::ModifyReturn => (target.to_owned(), BtfKind::Func, "function"),
        Hook::Lsm => (format!("bpf_lsm_{target}"), BtfKind::Func, "LSM hook"),
        Hook::Iterator => (format!("bpf_iter_{target}"), BtfKind::Func, "iterator"),
    };
    types.id_by_type_name_kind(&name, kind).map_err(|_| {
        ProgramError::NoTarget(format!(
            "this kernel's types have no {what} `{target}` (those of modules are not looked at)"
        ))
    })
}
