//! `disk`: the name under which a disk's I/O is shown, by what `struct gendisk` says.

use super::{Definition, Resolve};
use crate::{
    key::KeyWidths,
    sources::{DISK_KEY_BYTES, DiskFolders, SourceType},
};

pub(super) const TABLE: Definition = Definition {
    name: "disk",
    key_widths: KeyWidths::OneOf(&[DISK_KEY_BYTES]),
    key: "the inode of `/sys/block/NAME` (8 bytes; 0: any), then `gendisk.disk_name` (32 bytes)",
    value: "name of a disk, for a path below NVMe multipath that of the multipath disk; empty once the disk is gone and was collected once more",
    sources: &[SourceType::of::<DiskFolders>()],
    resolve: Resolve::Found(|sources, key| sources.get::<DiskFolders>().name(key)),
};
