//! tracefs: the kernel's list of tracepoints and functions. See <https://docs.kernel.org/trace/ftrace.html>.

use std::{fs, io, path::Path};

use crate::objections;

const MOUNTS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// Its mount point.
///
/// # Errors
/// It is not mounted or cannot be read; the message says what to do. `PermissionDenied`: the kernel is locked down, and its tracefs is empty.
pub(crate) fn mount() -> io::Result<&'static Path> {
    let mount = MOUNTS.iter().map(Path::new).find(|folder| folder.join("events").is_dir());
    mount.ok_or_else(|| {
        if objections::is_confidential() {
            return rustix::io::Errno::PERM.into();
        }
        io::Error::other("tracefs cannot be read: mount -t tracefs tracefs /sys/kernel/tracing, as a user who may")
    })
}

/// Reads a tracepoint's id.
///
/// # Errors
/// `NotFound`: this kernel has no such tracepoint. `PermissionDenied`: tracefs may not be read; lockdown forbids it to root as well.
pub(crate) fn tracepoint(mount: &Path, category: &str, name: &str) -> io::Result<u64> {
    let text = fs::read_to_string(mount.join("events").join(category).join(name).join("id"))?;
    text.trim().parse().map_err(io::Error::other)
}
