//! `kernel-stack`: a kernel stack as the names of its functions.

use super::{Definition, Resolve};
use crate::{
    key::{KeyWidths, addresses},
    sources::{KernelSymbols, SourceType, Symbol, nearest},
};

pub(super) const TABLE: Definition = Definition {
    name: "kernel-stack",
    key_widths: KeyWidths::ListOf(8),
    key: "addresses, up to the first 0",
    value: "function names of a kernel stack, one line each; `??` below the first symbol",
    sources: &[SourceType::of::<KernelSymbols>()],
    resolve: Resolve::Name(|sources, key| {
        let symbols = sources.get::<KernelSymbols>().all();
        let name = |address| nearest(symbols, address).map_or("??", Symbol::last_name);
        (!symbols.is_empty()).then(|| addresses(key).map(name).collect::<Vec<_>>().join("\n"))
    }),
};
