//! Disks by device number: what `/sys/dev/block/MAJOR:MINOR` links to.
//!
//! The kernel numbers what it tells udev of devices, after it is so: while that number stays, no disk has come, gone or changed
//! its name.

use std::{
    fs::File,
    os::{fd::OwnedFd, unix::fs::FileExt as _},
    path::PathBuf,
};

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

/// The folder of links, and the number of what was told of devices. Both are kept open.
#[derive(Debug)]
pub(super) struct Disks {
    path: PathBuf,
    folder: Option<OwnedFd>,
    told: Option<File>,
    /// As it was at the last [`Disks::refresh`]; none: nothing says that the names are as they were.
    told_before: Option<u64>,
}

impl Disks {
    pub(super) fn new(roots: &Roots) -> Self {
        let told = File::open(roots.sys.join("kernel/uevent_seqnum")).ok();
        Self { path: roots.sys.join("dev/block"), folder: None, told, told_before: None }
    }

    /// Whether a name may be another one than before the last call.
    pub(super) fn refresh(&mut self) -> bool {
        let before = std::mem::replace(&mut self.told_before, self.told.as_ref().and_then(number_in));
        self.told_before.is_none() || self.told_before != before
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

/// Digits and a line feed.
fn number_in(file: &File) -> Option<u64> {
    let mut text = [0; 24];
    let length = file.read_at(&mut text, 0).ok()?;
    str::from_utf8(&text[..length]).ok()?.trim_end().parse().ok()
}
