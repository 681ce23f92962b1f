//! `kernel-symbol`: kernel addresses as symbols and offsets.

use super::{Definition, Resolve};
use crate::{
    key::{KeyWidths, addresses},
    sources::{KernelSymbols, SourceType, Symbol, nearest},
};

pub(super) const TABLE: Definition = Definition {
    name: "kernel-symbol",
    key_widths: KeyWidths::ListOf(8),
    key: "addresses, up to the first 0",
    value: "kernel symbols at the addresses, as lines of `name` or `name+0x1a`",
    sources: &[SourceType::of::<KernelSymbols>()],
    resolve: Resolve::Name(|sources, key| {
        let symbols = sources.get::<KernelSymbols>().all();
        let lines: Option<Vec<_>> = addresses(key).map(|address| with_offset(symbols, address)).collect();
        lines.map(|lines| lines.join("\n"))
    }),
};

fn with_offset(symbols: &[Symbol], address: u64) -> Option<String> {
    let symbol = nearest(symbols, address)?;
    let offset = address - symbol.address;
    Some(if offset == 0 { symbol.name.clone() } else { format!("{}+{offset:#x}", symbol.name) })
}
