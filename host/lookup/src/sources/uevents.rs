//! The kernel's count of its uevents.
//!
//! The kernel raises the count after a device has changed. While it stays the same, no device has come, gone or changed its name, and
//! nothing is looked up again.

use std::{fs::File, os::unix::fs::FileExt as _, path::PathBuf};

use crate::Roots;

/// The file with the count, which is kept open.
#[derive(Debug)]
pub(super) struct Uevents {
    file: Option<File>,
    /// The count when it was read last; `None` if it cannot be read, so that nothing says that the names are still the same.
    count: Option<u64>,
}

impl Uevents {
    pub(super) fn path(roots: &Roots) -> PathBuf {
        roots.sys.join("kernel/uevent_seqnum")
    }

    /// Reads the count. To be called before any name is read: a device that changes in between is noticed the next time.
    pub(super) fn open(roots: &Roots) -> Self {
        let file = File::open(Self::path(roots)).ok();
        let count = file.as_ref().and_then(read_number);
        Self { file, count }
    }

    /// Whether there may have been uevents since the last call.
    pub(super) fn came(&mut self) -> bool {
        let count = self.file.as_ref().and_then(read_number);
        let before = std::mem::replace(&mut self.count, count);
        count.is_none() || count != before
    }
}

/// Reads digits and a line feed.
fn read_number(file: &File) -> Option<u64> {
    let mut text = [0; 24];
    let length = file.read_at(&mut text, 0).ok()?;
    str::from_utf8(&text[..length]).ok()?.trim_end().parse().ok()
}
