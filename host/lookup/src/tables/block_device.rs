//! `block-device`: a disk's or partition's name by the kernel's own device number.

use super::{Definition, Resolve};
use crate::{
    key::KeyWidths,
    sources::{DeviceNumber, Disks, SourceType},
};

pub(super) const TABLE: Definition = Definition {
    name: "block-device",
    key_widths: KeyWidths::OneOf(&[4]),
    key: "the kernel's `dev_t`, `major << 20 | minor`",
    value: "name of a disk or partition",
    sources: &[SourceType::of::<Disks>()],
    resolve: Resolve::Name(|sources, key| sources.get::<Disks>().name(DeviceNumber::from_kernel(key)?)),
};
