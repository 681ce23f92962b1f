//! Programs attached to where their sections say.
//!
//! What is attached is held by descriptors: when they are closed, it is detached. What a kernel does not offer says what
//! it would have needed.

mod file;

use std::{
    collections::BTreeSet,
    ffi::{CStr, CString},
    fmt, fs, io,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
    path::Path,
};

use aya_obj::generated::bpf_attach_type as at;

use super::{
    externs::syscall_prefix,
    section::{Attach, Direction, Hook, When},
    syscall::{self, LinkExtra, Whose},
    tracefs,
};
use ebhost_cgroups as cgroups;
use ebhost_limits::PROBED_FUNCTIONS;
pub(super) use file::UsdtSpecs;

/// What holds a program where it is attached.
#[derive(Debug, Default)]
pub(super) struct Links {
    pub(super) files: Vec<OwnedFd>,
    /// Run when it is read.
    pub(super) is_iterator: bool,
    /// Run once, by the host itself; then its link is done.
    pub(super) is_mark: bool,
}

/// Why a program is not attached.
#[derive(Debug)]
pub(super) enum Fault {
    /// The section names nothing to attach it to.
    NoTarget(String),
    /// What it names is not on this machine.
    Absent(String),
    Refused(String, io::Error),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTarget(why) | Self::Absent(why) => f.write_str(why),
            Self::Refused(what, error) => write!(f, "{what}: {error}"),
        }
    }
}

/// Attaches a loaded program; one for perf events is attached by the reader of its event.
pub(super) fn attach(
    program: BorrowedFd<'_>,
    attach: &Attach,
    specs: Option<&mut UsdtSpecs<'_>>,
) -> Result<Links, Fault> {
    match attach {
        Attach::PerfEvent(_) => Ok(Links::default()),
        Attach::Typed(Hook::Iterator, name) => {
            let link = syscall::link_create(program, 0, at::BPF_TRACE_ITER as u32, LinkExtra::None);
            let link = link.map_err(|error| Fault::Refused(format!("iterator `{name}`"), error))?;
            Ok(Links { files: vec![link], is_iterator: true, is_mark: false })
        }
        Attach::Typed(hook, name) => {
            if *hook == Hook::Lsm {
                check_lsm()?;
            }
            one(syscall::raw_tracepoint_open(program, None), || format!("`{name}`"))
        }
        Attach::RawTracepoint(_, name) => {
            let text = c_string(name)?;
            let opened = syscall::raw_tracepoint_open(program, Some(&text));
            one(opened, || format!("raw tracepoint `{name}` (does this kernel have that tracepoint?)"))
        }
        Attach::Tracepoint { category, name } => tracepoint(program, category, name),
        Attach::Kprobe { symbol, offset, when } => kprobe(program, symbol, *offset, *when),
        Attach::SystemCall { name, when } => {
            let wrapped = kprobe(program, &format!("__{}_sys_{name}", syscall_prefix()), 0, *when);
            wrapped.or_else(|_| kprobe(program, &format!("__se_sys_{name}"), 0, *when))
        }
        Attach::Kprobes { pattern, when } => kprobes(program, pattern, *when, attach.kind().1),
        Attach::Uprobe { file, symbol, offset, when } => file::uprobe(program, file, symbol.as_deref(), *offset, *when),
        Attach::Uprobes { file, pattern, when } => file::uprobes(program, file, pattern, *when, attach.kind().1),
        Attach::Usdt { file, provider, name } => file::usdt(program, file, provider, name, specs),
        Attach::Xdp { interface: None } => {
            Err(Fault::NoTarget("its section names no interface, expected `xdp/INTERFACE`".to_owned()))
        }
        Attach::Tc { interface: None, .. } => Err(Fault::NoTarget(
            "its section names no interface, expected `tcx/ingress/INTERFACE` or `tcx/egress/INTERFACE`".to_owned(),
        )),
        Attach::Xdp { interface: Some(interface) } => interface_link(program, interface, at::BPF_XDP as u32, ""),
        Attach::Tc { interface: Some(interface), direction } => {
            let attach_type = match direction {
                Direction::Ingress => at::BPF_TCX_INGRESS,
                Direction::Egress => at::BPF_TCX_EGRESS,
            };
            interface_link(program, interface, attach_type as u32, " (needs the tcx links of Linux 6.6)")
        }
        Attach::Cgroup { attach_type, .. } => {
            let root = cgroups::mount();
            let folder = fs::File::open(&root)
                .map_err(|error| Fault::Refused(format!("the cgroup2 mount {}", root.display()), error))?;
            let link = syscall::link_create(program, folder.as_raw_fd() as u32, *attach_type, LinkExtra::None);
            one(link, || format!("cgroup {}", root.display()))
        }
    }
}

fn one(link: io::Result<OwnedFd>, what: impl FnOnce() -> String) -> Result<Links, Fault> {
    let link = link.map_err(|error| Fault::Refused(what(), error))?;
    Ok(Links { files: vec![link], ..Links::default() })
}

fn c_string(text: &str) -> Result<CString, Fault> {
    CString::new(text).map_err(|_| Fault::Absent(format!("found a zero byte in `{}`", text.escape_debug())))
}

/// Programs on LSM hooks are taken by kernels that never call them.
fn check_lsm() -> Result<(), Fault> {
    match fs::read_to_string("/sys/kernel/security/lsm") {
        Ok(active) if !active.trim().split(',').any(|name| name == "bpf") => Err(Fault::Absent(format!(
            "found the active security modules {}, expected `bpf` among them: boot with `lsm=…,bpf`",
            active.trim()
        ))),
        _ => Ok(()),
    }
}

fn tracepoint(program: BorrowedFd<'_>, category: &str, name: &str) -> Result<Links, Fault> {
    let tracefs = tracefs::mount().map_err(Fault::Absent)?;
    let Some(id) = tracefs::tracepoint(tracefs, category, name) else {
        return Err(Fault::Absent(format!(
            "found no {category}/{name} below {}/events; does this kernel have that tracepoint?",
            tracefs.display()
        )));
    };
    let event =
        syscall::tracepoint_open(id).map_err(|error| Fault::Refused(format!("tracepoint {category}/{name}"), error))?;
    run_by(program, event, None, || format!("tracepoint {category}/{name}"))
}

/// Has a perf event run a program, with a number that it gets if there is one.
fn run_by(
    program: BorrowedFd<'_>,
    event: OwnedFd,
    cookie: Option<u64>,
    what: impl FnOnce() -> String,
) -> Result<Links, Fault> {
    if aya::features().bpf_perf_link() {
        let extra = cookie.map_or(LinkExtra::None, LinkExtra::Cookie);
        let link = syscall::link_create(program, event.as_raw_fd() as u32, at::BPF_PERF_EVENT as u32, extra);
        return one(link, what);
    }
    if cookie.is_some() {
        return Err(Fault::Absent("arguments of USDT probes need the links of Linux 5.15".to_owned()));
    }
    let run = syscall::perf_event_run(event.as_fd(), program);
    run.and_then(|()| syscall::perf_event_enable(event.as_fd())).map_err(|error| Fault::Refused(what(), error))?;
    Ok(Links { files: vec![event], ..Links::default() })
}

/// The kernel's number of a PMU that makes probes, and the bit that asks for returns.
fn probe_pmu(name: &str, when: When) -> Result<(u32, u64), Fault> {
    let folder = Path::new("/sys/bus/event_source/devices").join(name);
    let read = |file: &str| fs::read_to_string(folder.join(file)).ok();
    let number = read("type").and_then(|text| text.trim().parse().ok());
    let number = number.ok_or_else(|| Fault::Absent(format!("this kernel has no {name}s ({})", folder.display())))?;
    let bit = read("format/retprobe").and_then(|text| text.trim().strip_prefix("config:")?.parse::<u32>().ok());
    Ok((number, if when == When::Return { 1 << bit.unwrap_or(0) } else { 0 }))
}

fn kprobe(program: BorrowedFd<'_>, symbol: &str, offset: u64, when: When) -> Result<Links, Fault> {
    let (pmu, config) = probe_pmu("kprobe", when)?;
    let event = syscall::probe_open(pmu, config, &c_string(symbol)?, offset, Whose::Everyone);
    let event = event.map_err(|error| match error.raw_os_error() {
        Some(libc::ENOENT) => Fault::Absent(format!("this kernel has no function `{symbol}` (it may be inlined)")),
        _ => Fault::Refused(format!("function `{symbol}`"), error),
    })?;
    run_by(program, event, None, || format!("function `{symbol}`"))
}

fn kprobes(program: BorrowedFd<'_>, pattern: &str, when: When, attach_type: u32) -> Result<Links, Fault> {
    let list = tracefs::mount().map_err(Fault::Absent)?.join("available_filter_functions");
    let text = fs::read_to_string(&list)
        .map_err(|error| Fault::Refused(format!("the list of functions {}", list.display()), error))?;
    let fitting = text.lines().filter_map(|line| line.split_ascii_whitespace().next());
    let names: BTreeSet<_> = fitting.filter(|name| fits(name.as_bytes(), pattern.as_bytes())).collect();
    if names.is_empty() {
        return Err(Fault::Absent(format!("this kernel has no function that fits `{pattern}`")));
    }
    if names.len() > PROBED_FUNCTIONS {
        let why = format!("found {} functions that fit `{pattern}`, expected at most {PROBED_FUNCTIONS}", names.len());
        return Err(Fault::Absent(why));
    }
    let names = names.into_iter().map(c_string).collect::<Result<Vec<_>, _>>()?;
    let names: Vec<&CStr> = names.iter().map(CString::as_c_str).collect();
    let extra = LinkExtra::Functions { names: &names, on_return: u32::from(when == When::Return) };
    let link = syscall::link_create(program, 0, attach_type, extra);
    let needs = if when == When::Both { "6.10" } else { "5.18" };
    one(link, || format!("the {} functions that fit `{pattern}` (needs Linux {needs})", names.len()))
}

/// Whether a name fits a pattern: `*` stands for any text, `?` for one character.
fn fits(name: &[u8], pattern: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, rest) => rest.is_none(),
        (Some((b'*', others)), _) => (0..=name.len()).any(|from| fits(&name[from..], others)),
        (Some((b'?', others)), Some((_, rest))) => fits(rest, others),
        (Some((wanted, others)), Some((found, rest))) => wanted == found && fits(rest, others),
        (Some(_), None) => false,
    }
}

fn interface_link(program: BorrowedFd<'_>, interface: &str, attach_type: u32, needs: &str) -> Result<Links, Fault> {
    let number = fs::read_to_string(Path::new("/sys/class/net").join(interface).join("ifindex"));
    let number = number.ok().and_then(|number| number.trim().parse().ok());
    let Some(number) = number else {
        return Err(Fault::Absent(format!("this machine has no interface `{interface}`")));
    };
    let link = syscall::link_create(program, number, attach_type, LinkExtra::None);
    one(link, || format!("interface `{interface}`{needs}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_patterns() {
        for (name, pattern) in
            [("tcp_sendmsg", "tcp_*"), ("tcp_sendmsg", "*msg"), ("a", "*"), ("abc", "a?c"), ("", "*")]
        {
            assert!(fits(name.as_bytes(), pattern.as_bytes()), "{name} {pattern}");
        }
        for (name, pattern) in [("tcp_sendmsg", "udp_*"), ("abc", "a?"), ("abc", "abcd"), ("", "?")] {
            assert!(!fits(name.as_bytes(), pattern.as_bytes()), "{name} {pattern}");
        }
    }
}
