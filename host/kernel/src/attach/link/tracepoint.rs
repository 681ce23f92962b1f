//! Tracepoints, by their format in tracefs or raw. See <https://docs.kernel.org/trace/tracepoints.html>.

use std::os::fd::BorrowedFd;

use super::{AttachError, Links, c_string, perf_link};
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
    let tracefs = tracefs::mount().map_err(AttachError::Absent)?;
    let Some(id) = tracefs::tracepoint(tracefs, category, name) else {
        return Err(AttachError::Absent(format!(
            "found no {category}/{name} below {}/events; does this kernel have that tracepoint?",
            tracefs.display()
        )));
    };
    let target = || format!("tracepoint {category}/{name}");
    let event = tracepoint_open(id).map_err(|error| AttachError::refused(target(), error))?;
    perf_link::attach(program, event, None, target)
}
