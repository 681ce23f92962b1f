//! Programs run by perf events: tracepoints, kprobes and uprobes are events of this kind.

use std::{
    fs,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
    path::Path,
};

use aya_obj::generated::bpf_attach_type::BPF_PERF_EVENT;

use super::{super::section::FireAt, AttachError, Links};
use crate::sys::{LinkExtra, link_create, perf_event_enable, perf_event_run};

/// The PMU that probes of one kind are opened on.
#[derive(Debug, Clone, Copy)]
pub(super) struct ProbePmu {
    /// `perf_event_attr.type`.
    pub(super) kind: u32,
    /// `perf_event_attr.config`: the bit that asks for return probes.
    pub(super) config: u64,
}

impl ProbePmu {
    /// Finds the PMU `kprobe` or `uprobe`.
    pub(super) fn find(name: &str, when: FireAt) -> Result<Self, AttachError> {
        let folder = Path::new("/sys/bus/event_source/devices").join(name);
        let read = |file: &str| fs::read_to_string(folder.join(file)).ok();
        let kind = read("type").and_then(|text| text.trim().parse().ok());
        let kind =
            kind.ok_or_else(|| AttachError::Absent(format!("this kernel has no {name}s ({})", folder.display())))?;
        let bit = read("format/retprobe").and_then(|text| text.trim().strip_prefix("config:")?.parse::<u32>().ok());
        Ok(Self { kind, config: if when == FireAt::Return { 1 << bit.unwrap_or(0) } else { 0 } })
    }
}

/// Runs a program at each firing of a perf event; `cookie` is what `bpf_get_attach_cookie` gives it.
pub(super) fn attach(
    program: BorrowedFd<'_>,
    event: OwnedFd,
    cookie: Option<u64>,
    target: impl FnOnce() -> String,
) -> Result<Links, AttachError> {
    if aya::features().bpf_perf_link() {
        let extra = cookie.map_or(LinkExtra::None, LinkExtra::Cookie);
        let link = link_create(program, event.as_raw_fd() as u32, BPF_PERF_EVENT as u32, extra);
        return Links::one(link, target);
    }
    if cookie.is_some() {
        // libbpf finds a probe by its address then, which is known beforehand only for programs that are not position independent.
        let why = "arguments of USDT probes need attach cookies, which Linux has from 5.15 on";
        return Err(AttachError::Absent(why.to_owned()));
    }
    let run = perf_event_run(event.as_fd(), program).and_then(|()| perf_event_enable(event.as_fd()));
    run.map_err(|error| AttachError::refused(target(), error))?;
    Ok(Links { files: vec![event], ..Links::default() })
}
