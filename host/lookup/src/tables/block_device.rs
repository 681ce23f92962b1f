//! `block-device`: a disk's or partition's name by the kernel's own device number.

use std::any::TypeId;

use super::Definition;
use crate::{
    key::KeyWidths,
    sources::{DeviceNumber, Disks, Source as _},
};

pub(super) const TABLE: Definition = Definition {
    name: "block-device",
    key_widths: KeyWidths::OneOf(&[4]),
    key: "the kernel's `dev_t`, `major << 20 | minor`",
    value: "name of a disk or partition",
    source: TypeId::of::<Disks>,
    paths: Disks::paths,
    resolve: |sources, key| sources.get::<Disks>().name(DeviceNumber::from_kernel(key)?),
};
