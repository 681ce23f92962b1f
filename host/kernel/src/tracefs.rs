//! tracefs: the kernel's list of tracepoints and functions. See <https://docs.kernel.org/trace/ftrace.html>.

use std::{fs, path::Path};

const MOUNTS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// Its mount point.
///
/// # Errors
/// It is not mounted or cannot be read; the message says what to do.
pub(crate) fn mount() -> Result<&'static Path, String> {
    MOUNTS.iter().map(Path::new).find(|folder| folder.join("events").is_dir()).ok_or_else(|| {
        "tracefs cannot be read: mount -t tracefs tracefs /sys/kernel/tracing, as a user who may".to_owned()
    })
}

/// A tracepoint's id; `None`: this kernel has no such tracepoint.
pub(crate) fn tracepoint(mount: &Path, category: &str, name: &str) -> Option<u64> {
    let id = fs::read_to_string(mount.join("events").join(category).join(name).join("id"));
    id.ok().and_then(|id| id.trim().parse().ok())
}
