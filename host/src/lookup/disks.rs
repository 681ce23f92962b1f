//! Disks by device number: what `/sys/dev/block/MAJOR:MINOR` links to.

use std::{os::fd::OwnedFd, path::PathBuf};

use rustix::fs::{Mode, OFlags, open, readlinkat};

use super::{Roots, number};

/// A block device's number, split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Number {
    major: u32,
    minor: u32,
}

impl Number {
    /// The kernel's own form: `major << 20 | minor`.
    pub(super) fn kernel(bytes: &[u8]) -> Option<Self> {
        let number = number(bytes)? as u32;
        Some(Self { major: number >> 20, minor: number & 0xf_ffff })
    }

    /// The form of stat(2): 8 bits of minor, 12 of major, the rest of the minor.
    pub(super) fn user(bytes: &[u8]) -> Option<Self> {
        let number = number(bytes)? as u32;
        Some(Self { major: (number >> 8) & 0xfff, minor: (number & 0xff) | ((number >> 12) & 0xf_ff00) })
    }
}

/// The folder of links. It is kept open: every name is read in every scrape.
#[derive(Debug)]
pub(super) struct Disks {
    path: PathBuf,
    folder: Option<OwnedFd>,
}

impl Disks {
    pub(super) fn new(roots: &Roots) -> Self {
        Self { path: roots.sys.join("dev/block"), folder: None }
    }

    /// The disk's or partition's name in /sys.
    pub(super) fn name(&mut self, number: Number) -> Option<String> {
        if self.folder.is_none() {
            self.folder = open(&self.path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok();
        }
        let link = format!("{}:{}", number.major, number.minor);
        let target = readlinkat(self.folder.as_ref()?, link, Vec::new()).ok()?;
        let name = target.to_str().ok()?.rsplit('/').next().filter(|name| !name.is_empty())?;
        // A `/` in a device's name (cciss/c0d0) stands as `!` in /sys.
        Some(name.replace('!', "/"))
    }
}
