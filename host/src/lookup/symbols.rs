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
    pub(super) fn stack(&mut self, bytes: &[u8]) -> Option<String> {
        if self.table.is_none() {
            self.modules_then = fs::read_to_string(&self.modules).unwrap_or_default();
            self.table = Some(parse(&fs::read_to_string(&self.kallsyms).unwrap_or_default()));
        }
        let table = self.table.as_deref().unwrap_or_default();
        let addresses = bytes.chunks_exact(8).map(|address| u64::from_le_bytes(std::array::from_fn(|i| address[i])));
        let lines: Option<Vec<_>> =
            addresses.take_while(|address| *address != 0).map(|address| symbol(table, address)).collect();
        lines.map(|lines| lines.join("\n"))
    }

    pub(super) fn refresh(&mut self) {
        if self.table.is_some() && fs::read_to_string(&self.modules).unwrap_or_default() != self.modules_then {
            self.table = None;
        }
    }
}

fn symbol(table: &[(u64, String)], address: u64) -> Option<String> {
    let after = table.partition_point(|(start, _)| *start <= address);
    let (start, name) = table.get(after.checked_sub(1)?)?;
    Some(if *start == address { name.clone() } else { format!("{name}+{:#x}", address - start) })
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
