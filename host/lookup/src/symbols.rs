//! Kernel addresses as symbols, from `/proc/kallsyms`.
//!
//! The table is read once and again when the modules have changed; where the kernel hides the addresses (they read as 0
//! without CAP_SYSLOG) no symbol is known.

use std::{fs, path::PathBuf};

use super::Roots;

#[derive(Debug)]
pub(super) struct Symbols {
    kallsyms: PathBuf,
    modules: PathBuf,
    /// By address; none until one is asked about.
    table: Option<Vec<(u64, String)>>,
    modules_then: String,
}

impl Symbols {
    pub(super) fn new(roots: &Roots) -> Self {
        let (kallsyms, modules) = (roots.proc.join("kallsyms"), roots.proc.join("modules"));
        Self { kallsyms, modules, table: None, modules_then: String::new() }
    }

    /// Addresses of 8 bytes each, up to the first 0, as lines of `name` or `name+0x1a`.
    pub(super) fn places(&mut self, bytes: &[u8]) -> Option<String> {
        let table = self.table();
        let lines: Option<Vec<_>> = addresses(bytes).map(|address| place(table, address)).collect();
        lines.map(|lines| lines.join("\n"))
    }

    /// The same as lines of `name`; `??` for an address below the first symbol. None: no symbol is known.
    pub(super) fn functions(&mut self, bytes: &[u8]) -> Option<String> {
        let table = self.table();
        let name = |address| nearest(table, address).map_or("??", |(_, name)| name);
        (!table.is_empty()).then(|| addresses(bytes).map(name).collect::<Vec<_>>().join("\n"))
    }

    /// The symbol that begins at the one address, 0 among them.
    pub(super) fn exactly(&mut self, bytes: &[u8]) -> Option<String> {
        let address = super::number(bytes)?;
        nearest(self.table(), address).filter(|(start, _)| *start == address).map(|(_, name)| name.to_owned())
    }

    fn table(&mut self) -> &[(u64, String)] {
        if self.table.is_none() {
            self.modules_then = fs::read_to_string(&self.modules).unwrap_or_default();
        }
        self.table.get_or_insert_with(|| parse(&fs::read_to_string(&self.kallsyms).unwrap_or_default()))
    }

    pub(super) fn refresh(&mut self) {
        if self.table.is_some() && fs::read_to_string(&self.modules).unwrap_or_default() != self.modules_then {
            self.table = None;
        }
    }
}

/// Of 8 bytes each, up to the first 0.
fn addresses(bytes: &[u8]) -> impl Iterator<Item = u64> {
    let addresses = bytes.chunks_exact(8).map(|address| u64::from_le_bytes(std::array::from_fn(|i| address[i])));
    addresses.take_while(|address| *address != 0)
}

fn place(table: &[(u64, String)], address: u64) -> Option<String> {
    let (start, name) = nearest(table, address)?;
    Some(if start == address { name.to_owned() } else { format!("{name}+{:#x}", address - start) })
}

/// The last symbol that begins at the address or before it.
fn nearest(table: &[(u64, String)], address: u64) -> Option<(u64, &str)> {
    let after = table.partition_point(|(start, _)| *start <= address);
    table.get(after.checked_sub(1)?).map(|(start, name)| (*start, name.as_str()))
}

fn parse(kallsyms: &str) -> Vec<(u64, String)> {
    let mut table: Vec<_> = kallsyms
        .lines()
        .filter_map(|line| {
            let (address, rest) = line.split_once(' ')?;
            let address = u64::from_str_radix(address, 16).ok().filter(|address| *address != 0)?;
            Some((address, rest.split_once(' ')?.1.to_owned()))
        })
        .collect();
    table.sort_by_key(|(address, _)| *address);
    // Aliases: the first of an address stays, as the kernel's own look-up has it.
    table.dedup_by_key(|(address, _)| *address);
    table
}
