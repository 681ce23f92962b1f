//! `pci-device`: a PCI device's name.

use super::{Definition, Resolve};
use crate::{
    key::{KeyWidths, number},
    sources::{PciIds, SourceType},
};

pub(super) const TABLE: Definition = Definition {
    name: "pci-device",
    key_widths: KeyWidths::OneOf(&[1, 2, 4, 8]),
    key: "`vendor << 16 | device`",
    value: "name of a PCI device, as in `pci-vendor`",
    sources: &[SourceType::of::<PciIds>()],
    resolve: Resolve::Name(|sources, key| sources.get::<PciIds>().name(number(key)?, |names| &names.devices)),
};
