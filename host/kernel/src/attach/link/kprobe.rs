//! Kernel functions: `kprobe`, `ksyscall`, `kprobe.multi`. See <https://docs.kernel.org/trace/kprobes.html>.

use std::{
    collections::BTreeSet,
    ffi::{CStr, CString},
    fs,
    os::fd::BorrowedFd,
};

use super::{
    super::section::FireAt,
    AttachError, Links, c_string,
    pattern::{check_count, matches},
    perf_link::{self, ProbePmu},
};
use crate::{
    relocate::syscall_prefix,
    sys::{LinkExtra, ProbeScope, link_create, probe_open},
    tracefs,
};

/// `kprobe/SYMBOL+OFFSET` and `kretprobe/SYMBOL`.
pub(super) fn kprobe(program: BorrowedFd<'_>, symbol: &str, offset: u64, when: FireAt) -> Result<Links, AttachError> {
    let pmu = ProbePmu::find("kprobe", when)?;
    let event = probe_open(pmu.kind, pmu.config, &c_string(symbol)?, offset, ProbeScope::EveryTask);
    let event = event.map_err(|error| match error.raw_os_error() {
        Some(libc::ENOENT) => {
            AttachError::Absent(format!("this kernel has no function `{symbol}` (it may be inlined)"))
        }
        _ => AttachError::refused(format!("function `{symbol}`"), error),
    })?;
    perf_link::attach(program, event, None, || format!("function `{symbol}`"))
}

/// `ksyscall/NAME`: the architecture's wrapper of a system call, or on kernels without wrappers the function itself.
pub(super) fn ksyscall(program: BorrowedFd<'_>, name: &str, when: FireAt) -> Result<Links, AttachError> {
    let wrapped = kprobe(program, &format!("__{}_sys_{name}", syscall_prefix()), 0, when);
    wrapped.or_else(|_| kprobe(program, &format!("__se_sys_{name}"), 0, when))
}

/// `kprobe.multi/PATTERN`, `kretprobe.multi/PATTERN` and `kprobe.session/PATTERN`: one link for all functions.
pub(super) fn multi(
    program: BorrowedFd<'_>,
    pattern: &str,
    when: FireAt,
    attach_type: u32,
) -> Result<Links, AttachError> {
    let list = tracefs::mount().map_err(AttachError::Absent)?.join("available_filter_functions");
    let text = fs::read_to_string(&list)
        .map_err(|error| AttachError::refused(format!("the list of functions {}", list.display()), error))?;
    let functions = text.lines().filter_map(|line| line.split_ascii_whitespace().next());
    let names: BTreeSet<_> = functions.filter(|name| matches(name.as_bytes(), pattern.as_bytes())).collect();
    if names.is_empty() {
        return Err(AttachError::Absent(format!("this kernel has no function that fits `{pattern}`")));
    }
    check_count(names.len(), pattern, "")?;
    let names = names.into_iter().map(c_string).collect::<Result<Vec<_>, _>>()?;
    let names: Vec<&CStr> = names.iter().map(CString::as_c_str).collect();
    let extra = LinkExtra::Functions { names: &names, flags: u32::from(when == FireAt::Return) };
    let link = link_create(program, 0, attach_type, extra);
    let needs = if when == FireAt::Both { "6.10" } else { "5.18" };
    Links::one(link, || format!("the {} functions that fit `{pattern}` (needs Linux {needs})", names.len()))
}
