//! Tracepoints, by their format in tracefs or raw. See <https://docs.kernel.org/trace/tracepoints.html>.

use std::{io, os::fd::BorrowedFd};

use super::{AttachError, Links, c_string, no_tracefs, perf_link};
use crate::{
    sys::{raw_tracepoint_open, tracepoint_open},
    tracefs,
};

/// `raw_tp/NAME`.
pub(super) fn raw(program: BorrowedFd<'_>, name: &str) -> Result<Links, AttachError> {
    let opened = raw_tracepoint_open(program, Some(&c_string(name)?));
    Links::one(opened, || format!("raw tracepoint `{name}` (does this kernel have that tracepoint?)"))
}

/// `tracepoint/CATEGORY/NAME`.
pub(super) fn tracepoint(program: BorrowedFd<'_>, category: &str, name: &str) -> Result<Links, AttachError> {
    let id = tracefs::mount().map_err(|error| no_tracefs("tracepoints", error)).and_then(|mount| {
        tracefs::tracepoint(mount, category, name).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => AttachError::refused(format!("tracepoint {category}/{name}"), error),
            _ => AttachError::Absent(format!(
                "found no {category}/{name} below {}/events; does this kernel have that tracepoint?",
                mount.display()
            )),
        })
    })?;
    let target = || format!("tracepoint {category}/{name}");
    let event = tracepoint_open(id).map_err(|error| AttachError::refused(target(), error))?;
    perf_link::attach(program, event, None, target)
}
