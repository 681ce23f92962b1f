//! Disks by device number: what `/sys/dev/block/MAJOR:MINOR` links to.

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

/// The disk's or partition's name in /sys.
pub(super) fn name(roots: &Roots, number: Number) -> Option<String> {
    let link = roots.sys.join(format!("dev/block/{}:{}", number.major, number.minor));
    let target = std::fs::read_link(link).ok()?;
    // A `/` in a device's name (cciss/c0d0) stands as `!` in /sys.
    Some(target.file_name()?.to_str()?.replace('!', "/"))
}
