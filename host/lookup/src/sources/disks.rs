//! Disks by device number: the link `/sys/dev/block/MAJOR:MINOR`.

use std::{os::fd::OwnedFd, path::PathBuf};

use rustix::fs::{Mode, OFlags, open, readlinkat};

use super::{Freshness, Source, uevents::Uevents};
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

/// The folder of links, which is kept open.
#[derive(Debug)]
pub(crate) struct Disks {
    path: PathBuf,
    folder: Option<OwnedFd>,
    uevents: Uevents,
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
        vec![links(roots), Uevents::path(roots)]
    }

    fn open(roots: &Roots) -> Self {
        Self { path: links(roots), folder: None, uevents: Uevents::open(roots) }
    }

    fn refresh(&mut self) -> Freshness {
        if self.uevents.came() { Freshness::MayDiffer } else { Freshness::Unchanged }
    }
}

fn links(roots: &Roots) -> PathBuf {
    roots.sys.join("dev/block")
}
