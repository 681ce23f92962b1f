//! The lookup stage: names that the host finds for identity bytes, so that a plugin needs no access to anything.
//!
//! A name is found once and kept; before each scrape the kept ones are found again, and those that changed are reported,
//! so that only what depends on them is asked anew. It knows no plugin and no series.

mod cgroups;
mod disks;
mod interfaces;
mod pci;
mod symbols;
pub mod tables;

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
};

pub use crate::tables::LookupTable;

/// A question: the table, and the identity field's bytes.
pub type Question = (LookupTable, Box<[u8]>);

/// Where the tables are read from; tests read from a folder of their own.
#[derive(Debug, Clone)]
pub struct Roots {
    pub sys: PathBuf,
    pub proc: PathBuf,
    /// Of databases that distributions install.
    pub share: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self { sys: PathBuf::from("/sys"), proc: PathBuf::from("/proc"), share: PathBuf::from("/usr/share") }
    }
}

/// The names found so far.
#[derive(Debug)]
pub struct Lookups {
    names: HashMap<Question, Option<String>>,
    disks: disks::Disks,
    interfaces: interfaces::Interfaces,
    cgroups: cgroups::Cgroups,
    symbols: symbols::Symbols,
    pci: pci::Database,
}

impl Lookups {
    pub fn new(roots: &Roots) -> Self {
        Self {
            disks: disks::Disks::new(roots),
            interfaces: interfaces::Interfaces::new(roots),
            cgroups: cgroups::Cgroups::new(roots),
            symbols: symbols::Symbols::new(roots),
            pci: pci::Database::new(roots),
            names: HashMap::new(),
        }
    }

    /// Knows these names and no others: it never looks at the machine.
    pub fn recorded(names: impl IntoIterator<Item = (Question, Option<String>)>) -> Self {
        // Nothing lies under a file, so every table is empty.
        let nowhere = PathBuf::from("/dev/null");
        let nowhere = Roots { sys: nowhere.clone(), proc: nowhere.clone(), share: nowhere };
        Self { names: names.into_iter().collect(), ..Self::new(&nowhere) }
    }

    /// The name for `bytes`; none: not known to the host now.
    pub fn find(&mut self, table: LookupTable, bytes: &[u8]) -> Option<String> {
        let question = (table, bytes.into());
        if let Some(name) = self.names.get(&question) {
            return name.clone();
        }
        let name = self.look(table, bytes);
        self.names.insert(question, name.clone());
        name
    }

    /// Finds every kept name again and says which questions have another answer now.
    pub fn refresh(&mut self) -> HashSet<Question> {
        self.interfaces.refresh();
        self.cgroups.refresh();
        self.symbols.refresh();
        self.pci.refresh();
        let disks_change = self.disks.refresh();
        let mut names = std::mem::take(&mut self.names);
        let mut changed = HashSet::new();
        for (question, name) in &mut names {
            let is_disk = matches!(question.0, LookupTable::BlockDevice | LookupTable::BlockDeviceUser);
            if is_disk && !disks_change {
                continue;
            }
            let now = self.look(question.0, &question.1);
            if *name != now {
                *name = now;
                changed.insert(question.clone());
            }
        }
        self.names = names;
        changed
    }

    /// Forgets what nobody asks about any more.
    pub fn retain(&mut self, is_asked: impl Fn(&Question) -> bool) {
        self.names.retain(|question, _| is_asked(question));
    }

    /// Number of kept names.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    fn look(&mut self, table: LookupTable, bytes: &[u8]) -> Option<String> {
        match table {
            LookupTable::BlockDevice => self.disks.name(disks::Number::kernel(bytes)?),
            LookupTable::BlockDeviceUser => self.disks.name(disks::Number::user(bytes)?),
            LookupTable::NetworkInterface => self.interfaces.name(bytes),
            LookupTable::Cgroup => self.cgroups.path(bytes),
            LookupTable::CgroupFolder => self.cgroups.folder(bytes),
            LookupTable::KernelSymbol => self.symbols.places(bytes),
            LookupTable::KernelSymbolExact => self.symbols.exactly(bytes),
            LookupTable::KernelStack => self.symbols.functions(bytes),
            LookupTable::PciVendor => self.pci.vendor(number(bytes)?),
            LookupTable::PciDevice => self.pci.device(number(bytes)?),
            LookupTable::PciClass => self.pci.class(number(bytes)?),
            LookupTable::PciSubclass => self.pci.subclass(number(bytes)?),
        }
    }
}

/// A little-endian number of 1, 2, 4 or 8 bytes.
fn number(bytes: &[u8]) -> Option<u64> {
    match bytes.len() {
        1 => Some(u64::from(bytes[0])),
        2 => Some(u64::from(u16::from_le_bytes(bytes.try_into().ok()?))),
        4 => Some(u64::from(u32::from_le_bytes(bytes.try_into().ok()?))),
        8 => Some(u64::from_le_bytes(bytes.try_into().ok()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
