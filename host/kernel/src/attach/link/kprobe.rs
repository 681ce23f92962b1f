//! Kernel functions: `kprobe`, `ksyscall`, `kprobe.multi`. See <https://docs.kernel.org/trace/kprobes.html>.

use std::{
    collections::BTreeSet,
    ffi::{CStr, CString},
    fs, io,
    os::fd::BorrowedFd,
};

use super::{
    super::section::FireAt,
    AttachError, Links, c_string, no_tracefs,
    pattern::{check_count, matches},
    perf_link::{self, ProbePmu},
};
use crate::{
    externs::{syscall_prefix, version_code},
    sys::{LinkExtra, ProbeScope, link_create, probe_open},
    tracefs,
};

/// `kprobe/SYMBOL+OFFSET` and `kretprobe/SYMBOL`; `MODULE:SYMBOL` is looked for in that module, `0xADDRESS` is a place in the kernel's code.
pub(super) fn kprobe(program: BorrowedFd<'_>, symbol: &str, offset: u64, when: FireAt) -> Result<Links, AttachError> {
    let pmu = ProbePmu::find("kprobe", when)?;
    let address = symbol.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
    let event = match address {
        Some(address) => probe_open(pmu.kind, pmu.config, None, address.wrapping_add(offset), ProbeScope::EveryTask),
        None => probe_open(pmu.kind, pmu.config, Some(&c_string(symbol)?), offset, ProbeScope::EveryTask),
    };
    let event = event.map_err(|error| match error.raw_os_error() {
        Some(libc::ENOENT) => {
            AttachError::Absent(format!("this kernel has no function `{symbol}` (it may be inlined)"))
        }
        // Kernels before 6.7, unless they have the change too, take the first of them.
        Some(libc::EADDRNOTAVAIL) => AttachError::Absent(format!(
            "this kernel has several functions `{symbol}`; expected the name of one function, as `SYMBOL+OFFSET` of the one before it, or its \
             address in /proc/kallsyms, as `kprobe/0xADDRESS`"
        )),
        _ => AttachError::refused(format!("function `{symbol}`"), error),
    })?;
    perf_link::attach(program, event, None, || format!("function `{symbol}`"))
}

/// `ksyscall/NAME`: the architecture's wrapper of a system call, or on kernels without wrappers the function itself.
pub(super) fn ksyscall(program: BorrowedFd<'_>, name: &str, when: FireAt) -> Result<Links, AttachError> {
    match kprobe(program, &format!("__{}_sys_{name}", syscall_prefix()), 0, when) {
        Err(AttachError::Absent(_)) => kprobe(program, &format!("__se_sys_{name}"), 0, when),
        attached => attached,
    }
}

/// `kprobe.multi/PATTERN`, `kretprobe.multi/PATTERN` and `kprobe.session/PATTERN`: one link for all functions.
pub(super) fn multi(
    program: BorrowedFd<'_>,
    pattern: &str,
    when: FireAt,
    attach_type: u32,
) -> Result<Links, AttachError> {
    let tracefs = tracefs::mount().map_err(|error| no_tracefs("functions by their names", error))?;
    let list = tracefs.join("available_filter_functions");
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
    let target = || format!("the {} functions that fit `{pattern}`", names.len());
    match link_create(program, 0, attach_type, extra) {
        Err(error) if is_unknown(&error) => Err(AttachError::Absent(format!("{}: {}", target(), needs(when)))),
        link => Links::one(link, target),
    }
}

/// Whether the kernel answered that it does not know this kind of link.
fn is_unknown(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP))
}

/// The requirements of links to several functions, and whether this kernel is built with them.
fn needs(when: FireAt) -> String {
    let (version, code) = if when == FireAt::Both { ("6.10", version(6, 10)) } else { ("5.18", version(5, 18)) };
    if version_code() < code {
        return format!("needs Linux {version}");
    }
    match crate::externs::is_configured("CONFIG_FPROBE") {
        Some(false) => "needs a kernel with CONFIG_FPROBE=y, which this one has not".to_owned(),
        Some(true) => "this kernel refuses them although it has CONFIG_FPROBE".to_owned(),
        None => "needs a kernel with CONFIG_FPROBE=y; this kernel's configuration is not known".to_owned(),
    }
}

/// `KERNEL_VERSION(major, minor, 0)`.
const fn version(major: u32, minor: u32) -> u32 {
    major << 16 | minor << 8
}
