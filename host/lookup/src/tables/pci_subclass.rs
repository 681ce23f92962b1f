//! `pci-subclass`: a PCI subclass' name.

use super::{Definition, Resolve};
use crate::{
    key::{KeyWidths, number},
    sources::{PciIds, SourceType},
};

pub(super) const TABLE: Definition = Definition {
    name: "pci-subclass",
    key_widths: KeyWidths::OneOf(&[1, 2, 4, 8]),
    key: "`class << 8 | subclass`",
    value: "name of a PCI subclass, as in `pci-vendor`",
    sources: &[SourceType::of::<PciIds>()],
    resolve: Resolve::Name(|sources, key| sources.get::<PciIds>().name(number(key)?, |names| &names.subclasses)),
};
