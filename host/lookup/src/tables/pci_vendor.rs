//! `pci-vendor`: a PCI vendor's name.

use super::{Definition, Resolve};
use crate::{
    key::{KeyWidths, number},
    sources::{PciIds, SourceType},
};

pub(super) const TABLE: Definition = Definition {
    name: "pci-vendor",
    key_widths: KeyWidths::OneOf(&[1, 2, 4, 8]),
    key: "`vendor`",
    value: "name of a PCI vendor in pci.ids; empty if it is not in it, none without pci.ids",
    sources: &[SourceType::of::<PciIds>()],
    resolve: Resolve::Name(|sources, key| sources.get::<PciIds>().name(number(key)?, |names| &names.vendors)),
};
