//! BTF objects of kernel modules (`BPF_BTF_GET_NEXT_ID`, `BPF_BTF_GET_FD_BY_ID`).

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
};

use super::{bpf, new_file, object_info};

const BPF_BTF_GET_FD_BY_ID: libc::c_long = 19;
const BPF_BTF_GET_NEXT_ID: libc::c_long = 23;

#[repr(C)]
#[derive(Default)]
struct IdAttr {
    id: u32,
    next_id: u32,
    open_flags: u32,
}

/// `struct bpf_btf_info`.
#[repr(C)]
#[derive(Default)]
struct BtfInfo {
    btf: u64,
    btf_size: u32,
    id: u32,
    name: u64,
    name_len: u32,
    kernel_btf: u32,
}

/// Opens the BTF of a loaded module.
///
/// # Errors
/// There is no such module, or this process may not open it (CAP_SYS_ADMIN).
pub(crate) fn module_btf(module: &str) -> io::Result<OwnedFd> {
    let mut attr = IdAttr::default();
    loop {
        // SAFETY: the attributes hold numbers alone.
        unsafe { bpf(BPF_BTF_GET_NEXT_ID, &mut attr) }?;
        attr.id = attr.next_id;
        let mut open = IdAttr { id: attr.id, ..IdAttr::default() };
        // SAFETY: the attributes hold numbers alone.
        let Ok(found) = (unsafe { new_file(BPF_BTF_GET_FD_BY_ID, &mut open) }) else { continue };
        if is_module(&found, module)? {
            return Ok(found);
        }
    }
}

fn is_module(btf: &OwnedFd, module: &str) -> io::Result<bool> {
    let mut name = [0u8; 64];
    let mut info = BtfInfo { name: name.as_mut_ptr() as u64, name_len: name.len() as u32, ..BtfInfo::default() };
    // SAFETY: the name that `info` points to has the stated length and outlives the call.
    unsafe { object_info(btf.as_fd(), &mut info) }?;
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    Ok(info.kernel_btf != 0 && &name[..end] == module.as_bytes())
}
