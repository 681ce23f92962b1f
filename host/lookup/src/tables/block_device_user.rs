//! `block-device-user`: a disk's or partition's name by the device number of stat(2).

use std::any::TypeId;

use super::Definition;
use crate::{
    key::KeyWidths,
    sources::{DeviceNumber, Disks, Source as _},
};

pub(super) const TABLE: Definition = Definition {
    name: "block-device-user",
    key_widths: KeyWidths::OneOf(&[4]),
    key: "the device number of stat(2)",
    value: "name of a disk or partition",
    source: TypeId::of::<Disks>,
    paths: Disks::paths,
    resolve: |sources, key| sources.get::<Disks>().name(DeviceNumber::from_stat(key)?),
};
