//! `pci-subclass`: a PCI subclass' name.

use std::any::TypeId;

use super::Definition;
use crate::{
    key::{KeyWidths, number},
    sources::{PciIds, Source as _},
};

pub(super) const TABLE: Definition = Definition {
    name: "pci-subclass",
    key_widths: KeyWidths::OneOf(&[1, 2, 4, 8]),
    key: "`class << 8 | subclass`",
    value: "name of a PCI subclass, as in `pci-vendor`",
    source: TypeId::of::<PciIds>,
    paths: PciIds::paths,
    resolve: |sources, key| sources.get::<PciIds>().name(number(key)?, |names| &names.subclasses),
};
