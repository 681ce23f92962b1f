//! Loads one program: the kernel verifies it and keeps it.

use std::{
    ffi::CStr,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use crate::{
    attach::{Attach, Hook, Section},
    externs::version_code,
    sys::{ProgramAttr, Records, program_load},
    types::{KernelBtf, ModuleFds, module_error, split_module},
};
use ebhost_object::{Linked, btf::Kind};

/// Room for the end of the verifier's log: newer kernels keep the end of a longer one, older ones refuse a buffer that is too small.
const LOG_BYTES: [usize; 2] = [1 << 20, 16 << 20];

/// Why a program is not loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProgramError {
    /// Its attach target is not among the kernel's types.
    #[error("{0}")]
    NoTarget(String),
    /// Its attach target needs the kernel's BTF, which cannot be read.
    #[error("the kernel shows no BTF: {0}")]
    NoBtf(String),
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
    /// Modules that the object's instructions name.
    pub(super) modules: &'a ModuleFds,
}

/// Loads a program whose instructions are relocated.
///
/// # Errors
/// See [`ProgramError`].
pub(super) fn load(
    name: &str,
    section: &Section,
    linked: &Linked,
    object: ObjectData<'_>,
    kernel_btf: Result<&KernelBtf, &String>,
) -> Result<OwnedFd, ProgramError> {
    let (kind, attach_type) = section.attach.kind();
    let (attach_btf_id, attach_btf) = match &section.attach {
        Attach::Typed(hook, target) => {
            type_id(kernel_btf.map_err(|why| ProgramError::NoBtf(why.clone()))?, *hook, target)?
        }
        _ => (0, None),
    };
    let instructions: Vec<_> = linked.insns.iter().map(|insn| insn.to_bytes()).collect();
    let functions: Vec<u8> = linked.functions.iter().flatten().flat_map(|number| number.to_ne_bytes()).collect();
    let lines: Vec<u8> = linked.lines.iter().flatten().flat_map(|number| number.to_ne_bytes()).collect();
    let module_fds = object.modules.array();
    let attr = ProgramAttr {
        kind,
        attach_type,
        attach_btf_id,
        attach_btf: attach_btf.as_ref().map(AsFd::as_fd),
        module_fds: &module_fds,
        flags: section.flags,
        kernel_version: version_code(),
        instructions: &instructions,
        license: object.license,
        types: object.btf,
        functions: Records { bytes: &functions, size: 8, count: linked.functions.len() as u32 },
        lines: Records { bytes: &lines, size: 16, count: linked.lines.len() as u32 },
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

/// The type id of an attach target, and the BTF of the module that has it.
fn type_id(types: &KernelBtf, hook: Hook, target: &str) -> Result<(u32, Option<OwnedFd>), ProgramError> {
    let (module, target) = split_module(target);
    let (name, kind, what) = match hook {
        Hook::Tracepoint => (format!("btf_trace_{target}"), Kind::Typedef, "tracepoint"),
        Hook::Entry | Hook::Exit | Hook::ModifyReturn => (target.to_owned(), Kind::Func, "function"),
        Hook::Lsm => (format!("bpf_lsm_{target}"), Kind::Func, "LSM hook"),
        Hook::Iterator => (format!("bpf_iter_{target}"), Kind::Func, "iterator"),
    };
    let name = module.map_or(name.clone(), |module| format!("{module}:{name}"));
    let Some(found) = types.find(&name, kind) else {
        let why =
            format!("this kernel's types have no {what} `{target}`, and neither have those of its loaded modules");
        return Err(ProgramError::NoTarget(why));
    };
    let Some(module) = found.module else { return Ok((found.id, None)) };
    let btf = crate::sys::module_btf(&module).map_err(|_| ProgramError::NoTarget(module_error(&module).to_string()))?;
    Ok((found.id, Some(btf)))
}
