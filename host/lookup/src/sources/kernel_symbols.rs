//! Kernel addresses as symbols, from `/proc/kallsyms`.
//!
//! The symbols are read once, and again when modules were loaded or unloaded. Without CAP_SYSLOG the kernel shows every address as 0,
//! and no symbol is known.

use std::{fs, path::PathBuf};

use super::{Freshness, Source};
use crate::Roots;

#[derive(Debug)]
pub(crate) struct KernelSymbols {
    kallsyms: PathBuf,
    modules: PathBuf,
    /// By address; `None` until one is asked about.
    symbols: Option<Vec<Symbol>>,
    /// The modules when `symbols` was read.
    modules_then: Vec<LoadedModule>,
}

/// A module as far as its symbols depend on it. Its reference count and its users change all the time.
#[derive(Debug, PartialEq, Eq)]
struct LoadedModule {
    name: String,
    size: String,
    state: String,
    address: String,
}

#[derive(Debug)]
pub(crate) struct Symbol {
    pub(crate) address: u64,
    /// The first of the address' names, as in the kernel's own lookup.
    pub(crate) name: String,
    /// The last of them, if it has several.
    alias: Option<Box<str>>,
}

impl Symbol {
    /// The last name of its address: the one that ebpf_exporter shows.
    pub(crate) fn last_name(&self) -> &str {
        self.alias.as_deref().unwrap_or(&self.name)
    }
}

impl KernelSymbols {
    /// Every symbol, in the order of addresses; empty if the kernel hides them.
    pub(crate) fn all(&mut self) -> &[Symbol] {
        if self.symbols.is_none() {
            self.modules_then = self.loaded_modules();
        }
        self.symbols.get_or_insert_with(|| parse(&fs::read_to_string(&self.kallsyms).unwrap_or_default()))
    }

    fn loaded_modules(&self) -> Vec<LoadedModule> {
        let modules = fs::read_to_string(&self.modules).unwrap_or_default();
        modules.lines().filter_map(LoadedModule::parse).collect()
    }
}

impl LoadedModule {
    /// Parses a line of /proc/modules: name, size, reference count, users, state, address.
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split(' ').map(str::to_owned);
        let (name, size) = (fields.next()?, fields.next()?);
        let (state, address) = (fields.nth(2)?, fields.next()?);
        Some(Self { name, size, state, address })
    }
}

/// The last symbol that begins at the address or before it.
pub(crate) fn nearest(symbols: &[Symbol], address: u64) -> Option<&Symbol> {
    let after = symbols.partition_point(|symbol| symbol.address <= address);
    symbols.get(after.checked_sub(1)?)
}

impl Source for KernelSymbols {
    fn paths(roots: &Roots) -> Vec<PathBuf> {
        vec![roots.proc.join("kallsyms"), roots.proc.join("modules")]
    }

    fn open(roots: &Roots) -> Self {
        let (kallsyms, modules) = (roots.proc.join("kallsyms"), roots.proc.join("modules"));
        Self { kallsyms, modules, symbols: None, modules_then: Vec::new() }
    }

    fn refresh(&mut self) -> Freshness {
        if self.symbols.is_some() && self.loaded_modules() == self.modules_then {
            return Freshness::Unchanged;
        }
        self.symbols = None;
        Freshness::MayDiffer
    }
}

fn parse(kallsyms: &str) -> Vec<Symbol> {
    let mut symbols: Vec<_> = kallsyms
        .lines()
        .filter_map(|line| {
            let (address, rest) = line.split_once(' ')?;
            let address = u64::from_str_radix(address, 16).ok().filter(|address| *address != 0)?;
            Some(Symbol { address, name: rest.split_once(' ')?.1.to_owned(), alias: None })
        })
        .collect();
    symbols.sort_by_key(|symbol| symbol.address);
    symbols.dedup_by(|next, first| {
        let is_alias = next.address == first.address;
        if is_alias {
            first.alias = Some(std::mem::take(&mut next.name).into_boxed_str());
        }
        is_alias
    });
    symbols
}
