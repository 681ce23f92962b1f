//! Attaches programs (`BPF_RAW_TRACEPOINT_OPEN`, `BPF_LINK_CREATE`): a link holds its program attached until it is closed.

use std::{
    ffi::CStr,
    io,
    os::fd::{AsRawFd as _, BorrowedFd, OwnedFd},
};

use super::new_file;

const BPF_RAW_TRACEPOINT_OPEN: libc::c_long = 17;
const BPF_LINK_CREATE: libc::c_long = 28;
const BPF_ITER_CREATE: libc::c_long = 33;

#[repr(C)]
struct RawTracepointAttr {
    name: u64,
    prog_fd: u32,
    zero: u32,
}

/// Attaches a program to the raw tracepoint of that name. Without a name: to the hook that it was loaded for (fentry, `tp_btf`, LSM).
pub(crate) fn raw_tracepoint_open(program: BorrowedFd<'_>, name: Option<&CStr>) -> io::Result<OwnedFd> {
    let mut attr = RawTracepointAttr {
        name: name.map_or(0, |name| name.as_ptr() as u64),
        prog_fd: program.as_raw_fd() as u32,
        zero: 0,
    };
    // SAFETY: the name ends in a zero byte and outlives the call, which only reads it.
    unsafe { new_file(BPF_RAW_TRACEPOINT_OPEN, &mut attr) }
}

/// Attributes of a link that depend on its type.
#[derive(Debug, Clone, Copy)]
pub(crate) enum LinkExtra<'a> {
    None,
    /// A number that the program gets from `bpf_get_attach_cookie`.
    Cookie(u64),
    /// `BPF_TRACE_KPROBE_MULTI`: kernel functions. Flags: `BPF_F_KPROBE_MULTI_RETURN` (1) runs the program when they return.
    Functions {
        names: &'a [&'a CStr],
        flags: u32,
    },
    /// `BPF_TRACE_UPROBE_MULTI`: offsets in a file. Flags: `BPF_F_UPROBE_MULTI_RETURN` (1).
    Offsets {
        path: &'a CStr,
        offsets: &'a [u64],
        flags: u32,
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

/// Attaches a program. `target`: the descriptor of a cgroup folder or perf event, or the index of a network interface; 0 where the type has none.
pub(crate) fn link_create(
    program: BorrowedFd<'_>,
    target: u32,
    attach_type: u32,
    extra: LinkExtra<'_>,
) -> io::Result<OwnedFd> {
    let names: Vec<u64> = match extra {
        LinkExtra::Functions { names, .. } => names.iter().map(|name| name.as_ptr() as u64).collect(),
        LinkExtra::None | LinkExtra::Cookie(_) | LinkExtra::Offsets { .. } => Vec::new(),
    };
    let extra = match extra {
        LinkExtra::None => [0; 6],
        LinkExtra::Cookie(cookie) => [cookie, 0, 0, 0, 0, 0],
        LinkExtra::Functions { flags, .. } => {
            [u64::from(flags) | (names.len() as u64) << 32, names.as_ptr() as u64, 0, 0, 0, 0]
        }
        LinkExtra::Offsets { path, offsets, flags } => {
            let count = offsets.len() as u64;
            [path.as_ptr() as u64, offsets.as_ptr() as u64, 0, 0, count | u64::from(flags) << 32, 0]
        }
    };
    let mut attr = LinkAttr { prog_fd: program.as_raw_fd() as u32, target, attach_type, flags: 0, extra };
    // SAFETY: counts are those of the slices, names and paths end in a zero byte, and all outlive the call, which only reads them.
    unsafe { new_file(BPF_LINK_CREATE, &mut attr) }
}

/// Opens a file that runs the iterator once when it is read to its end.
pub(crate) fn iterator_create(link: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut attr = [link.as_raw_fd() as u32, 0];
    // SAFETY: the attributes are a descriptor and flags.
    unsafe { new_file(BPF_ITER_CREATE, &mut attr) }
}
