//! Disks by device number: the link `/sys/dev/block/MAJOR:MINOR`.
//!
//! The kernel counts its uevents, and raises the count after a device has changed. While the count stays the same, no disk has come,
//! gone or changed its name, and nothing is looked up again.

use std::{
    fs::File,
    os::{fd::OwnedFd, unix::fs::FileExt as _},
    path::PathBuf,
};

use rustix::fs::{Mode, OFlags, open, readlinkat};

use super::{Freshness, Source};
use crate::{Roots, key};

/// A block device's number, split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DeviceNumber {
    major: u32,
    minor: u32,
}

impl DeviceNumber {
    /// The kernel's own form: `major << 20 | minor`.
    pub(crate) fn from_kernel(key: &[u8]) -> Option<Self> {
        let number = key::number(key)? as u32;
        Some(Self { major: number >> 20, minor: number & 0xf_ffff })
    }

    /// The form of stat(2): 8 bits of minor, 12 of major, the rest of the minor.
    pub(crate) fn from_stat(key: &[u8]) -> Option<Self> {
        let number = key::number(key)? as u32;
        Some(Self { major: (number >> 8) & 0xfff, minor: (number & 0xff) | ((number >> 12) & 0xf_ff00) })
    }
}

/// The folder of links and the uevent counter. Both are kept open.
#[derive(Debug)]
pub(crate) struct Disks {
    path: PathBuf,
    folder: Option<OwnedFd>,
    uevent_counter: Option<File>,
    /// The count at the last refresh; `None` if it cannot be read, so that nothing says that the names are still the same.
    uevents: Option<u64>,
}

impl Disks {
    /// The disk's or partition's name.
    pub(crate) fn name(&mut self, number: DeviceNumber) -> Option<String> {
        if self.folder.is_none() {
            self.folder = open(&self.path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok();
        }
        let link = format!("{}:{}", number.major, number.minor);
        let target = readlinkat(self.folder.as_ref()?, link, Vec::new()).ok()?;
        let name = target.to_str().ok()?.rsplit('/').next().filter(|name| !name.is_empty())?;
        // A `/` in a device's name (cciss/c0d0) is a `!` in /sys.
        Some(name.replace('!', "/"))
    }
}

impl Source for Disks {
    fn paths(roots: &Roots) -> Vec<PathBuf> {
        vec![links(roots), uevent_counter(roots)]
    }

    fn open(roots: &Roots) -> Self {
        let uevent_counter = File::open(uevent_counter(roots)).ok();
        // Read before any name is: a device that changes in between is noticed at the next refresh.
        let uevents = uevent_counter.as_ref().and_then(read_number);
        Self { path: links(roots), folder: None, uevent_counter, uevents }
    }

    fn refresh(&mut self) -> Freshness {
        let uevents = self.uevent_counter.as_ref().and_then(read_number);
        let before = std::mem::replace(&mut self.uevents, uevents);
        if uevents.is_some() && uevents == before { Freshness::Unchanged } else { Freshness::MayDiffer }
    }
}

fn links(roots: &Roots) -> PathBuf {
    roots.sys.join("dev/block")
}

fn uevent_counter(roots: &Roots) -> PathBuf {
    roots.sys.join("kernel/uevent_seqnum")
}

/// Reads digits and a line feed.
fn read_number(file: &File) -> Option<u64> {
    let mut text = [0; 24];
    let length = file.read_at(&mut text, 0).ok()?;
    str::from_utf8(&text[..length]).ok()?.trim_end().parse().ok()
}
