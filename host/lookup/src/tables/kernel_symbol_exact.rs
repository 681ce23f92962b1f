//! `kernel-symbol-exact`: the symbol that begins at an address.

use super::{Definition, Resolve};
use crate::{
    key::{KeyWidths, number},
    sources::{KernelSymbols, SourceType, nearest},
};

pub(super) const TABLE: Definition = Definition {
    name: "kernel-symbol-exact",
    key_widths: KeyWidths::OneOf(&[8]),
    key: "an address",
    value: "kernel symbol that begins at that address",
    sources: &[SourceType::of::<KernelSymbols>()],
    resolve: Resolve::Name(|sources, key| {
        let address = number(key)?;
        let symbol = nearest(sources.get::<KernelSymbols>().all(), address)?;
        (symbol.address == address).then(|| symbol.last_name().to_owned())
    }),
};
