//! Attaches programs to the targets that their sections name, one file per kind of link.
//!
//! A link is held by a descriptor: when that is closed, the program is detached. An error says what the kernel would have needed.

mod kprobe;
mod pattern;
mod perf_link;
mod tracepoint;
mod uprobe;
mod usdt_specs;

use std::{
    ffi::CString,
    fs, io,
    os::fd::{AsRawFd as _, BorrowedFd, OwnedFd},
    path::Path,
};

use aya_obj::generated::bpf_attach_type as attach_type;

use super::{
    probe::ProbeError,
    section::{Attach, Direction, Hook},
};
use crate::sys::{LinkExtra, iterator_create, link_create, raw_tracepoint_open};
use ebhost_cgroups as cgroups;
pub(crate) use usdt_specs::UsdtSpecs;

/// The descriptors that hold a program attached.
#[derive(Debug, Default)]
pub(crate) struct Links {
    pub(crate) files: Vec<OwnedFd>,
    pub(crate) run: RunBy,
}

/// What runs an attached program.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunBy {
    /// What it is attached to.
    #[default]
    Kernel,
    /// The host, which reads the iterator before it reads the maps.
    Iterator,
    /// The host, once, by calling the function `post_attach_mark`.
    Mark,
    /// The samples of its section's own event, which the perf source of its name opens.
    Samples,
}

/// Why a program is not attached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttachError {
    /// The section names no target.
    #[error("{0}")]
    NoTarget(String),
    /// This machine does not have the target.
    #[error("{0}")]
    Absent(String),
    /// The file of a probe cannot be read or does not have the target.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The kernel refuses.
    #[error("{target}: {error}")]
    Refused {
        target: String,
        #[source]
        error: io::Error,
    },
}

impl AttachError {
    /// The section has no target. `expected`: the form of one that has.
    pub(crate) fn unplaced(expected: Option<&str>) -> Self {
        Self::NoTarget(match expected {
            Some(expected) => format!("its section names no target, expected `{expected}`"),
            None => "programs of its type are attached by their user, never by a section's name".to_owned(),
        })
    }

    fn refused(target: impl Into<String>, error: io::Error) -> Self {
        Self::Refused { target: target.into(), error }
    }
}

impl Links {
    fn one(link: io::Result<OwnedFd>, target: impl FnOnce() -> String) -> Result<Self, AttachError> {
        let link = link.map_err(|error| AttachError::refused(target(), error))?;
        Ok(Self { files: vec![link], run: RunBy::Kernel })
    }

    /// Runs the program of an iterator; the text that it prints is dropped.
    pub(crate) fn run_iterator(&self) -> io::Result<()> {
        for link in &self.files {
            let mut file = fs::File::from(iterator_create(std::os::fd::AsFd::as_fd(link))?);
            io::copy(&mut file, &mut io::sink())?;
        }
        Ok(())
    }
}

/// Attaches a loaded program. A program for perf events is attached by the reader of its event.
///
/// # Errors
/// See [`AttachError`].
pub(crate) fn attach(
    program: BorrowedFd<'_>,
    attach: &Attach,
    specs: Option<&mut UsdtSpecs<'_>>,
) -> Result<Links, AttachError> {
    match attach {
        Attach::PerfEvent(_) => Ok(Links::default()),
        Attach::Typed(Hook::Iterator, name) => iterator(program, name),
        Attach::Typed(hook, name) => {
            if *hook == Hook::Lsm {
                check_lsm()?;
            }
            Links::one(raw_tracepoint_open(program, None), || format!("`{name}`"))
        }
        Attach::RawTracepoint(_, name) => tracepoint::raw(program, name),
        Attach::Tracepoint { category, name } => tracepoint::tracepoint(program, category, name),
        Attach::Kprobe { symbol, offset, when } => kprobe::kprobe(program, symbol, *offset, *when),
        Attach::Ksyscall { name, when } => kprobe::ksyscall(program, name, *when),
        Attach::KprobeMulti { pattern, when } => kprobe::multi(program, pattern, *when, attach.kind().1),
        Attach::Uprobe { file, symbol, offset, when } => {
            uprobe::uprobe(program, file, symbol.as_deref(), *offset, *when)
        }
        Attach::UprobeMulti { file, pattern, when } => uprobe::multi(program, file, pattern, *when, attach.kind().1),
        Attach::Usdt { file, provider, name } => uprobe::usdt(program, file, provider, name, specs),
        Attach::Xdp { interface: None } => {
            Err(AttachError::NoTarget("its section names no interface, expected `xdp/INTERFACE`".to_owned()))
        }
        Attach::Tc { interface: None, .. } => Err(AttachError::NoTarget(
            "its section names no interface, expected `tcx/ingress/INTERFACE` or `tcx/egress/INTERFACE`".to_owned(),
        )),
        Attach::Xdp { interface: Some(interface) } => network(program, interface, attach_type::BPF_XDP, ""),
        Attach::Tc { interface: Some(interface), direction } => {
            let attach_type = match direction {
                Direction::Ingress => attach_type::BPF_TCX_INGRESS,
                Direction::Egress => attach_type::BPF_TCX_EGRESS,
            };
            network(program, interface, attach_type, " (needs the tcx links of Linux 6.6)")
        }
        Attach::Cgroup { attach_type, .. } => cgroup(program, *attach_type),
        Attach::Unplaced { expected, .. } => Err(AttachError::unplaced(*expected)),
    }
}

fn iterator(program: BorrowedFd<'_>, name: &str) -> Result<Links, AttachError> {
    let link = link_create(program, 0, attach_type::BPF_TRACE_ITER as u32, LinkExtra::None);
    Ok(Links { run: RunBy::Iterator, ..Links::one(link, || format!("iterator `{name}`"))? })
}

fn cgroup(program: BorrowedFd<'_>, attach_type: u32) -> Result<Links, AttachError> {
    let root = cgroups::mount().ok_or_else(|| {
        AttachError::Absent(
            "no cgroup hierarchy of version 2 is mounted: `mount -t cgroup2 none FOLDER` mounts it".to_owned(),
        )
    })?;
    let folder = fs::File::open(&root)
        .map_err(|error| AttachError::refused(format!("the cgroup2 mount {}", root.display()), error))?;
    let link = link_create(program, folder.as_raw_fd() as u32, attach_type, LinkExtra::None);
    Links::one(link, || format!("cgroup {}", root.display()))
}

fn network(
    program: BorrowedFd<'_>,
    interface: &str,
    attach_type: attach_type,
    needs: &str,
) -> Result<Links, AttachError> {
    let index = fs::read_to_string(Path::new("/sys/class/net").join(interface).join("ifindex"));
    let index = index.ok().and_then(|index| index.trim().parse().ok());
    let Some(index) = index else {
        return Err(AttachError::Absent(format!("this machine has no interface `{interface}`")));
    };
    let link = link_create(program, index, attach_type as u32, LinkExtra::None);
    Links::one(link, || format!("interface `{interface}`{needs}"))
}

/// The kernel attaches programs to LSM hooks even if BPF is no active security module, and then never runs them.
fn check_lsm() -> Result<(), AttachError> {
    match fs::read_to_string("/sys/kernel/security/lsm") {
        Ok(active) if !active.trim().split(',').any(|name| name == "bpf") => Err(AttachError::Absent(format!(
            "found the active security modules {}, expected `bpf` among them: boot with `lsm=…,bpf`",
            active.trim()
        ))),
        _ => Ok(()),
    }
}

/// `target`, which tracefs lists, cannot be attached to without it.
fn no_tracefs(target: &str, error: io::Error) -> AttachError {
    match error.kind() {
        io::ErrorKind::PermissionDenied => AttachError::refused(target, error),
        _ => AttachError::Absent(error.to_string()),
    }
}

fn c_string(text: &str) -> Result<CString, AttachError> {
    CString::new(text).map_err(|_| AttachError::Absent(format!("found a zero byte in `{}`", text.escape_debug())))
}
