//! `block-device-user`: a disk's or partition's name by the device number of stat(2).

use super::{Definition, Resolve};
use crate::{
    key::KeyWidths,
    sources::{DeviceNumber, Disks, SourceType},
};

pub(super) const TABLE: Definition = Definition {
    name: "block-device-user",
    key_widths: KeyWidths::OneOf(&[4]),
    key: "the device number of stat(2)",
    value: "name of a disk or partition",
    sources: &[SourceType::of::<Disks>()],
    resolve: Resolve::Name(|sources, key| sources.get::<Disks>().name(DeviceNumber::from_stat(key)?)),
};
