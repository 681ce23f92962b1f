//! The lookup tables, one file each.
//!
//! To add a table: write its file, add it to the `mod` list and to [`REGISTRY`], and run
//! `EBHOST_WRITE=1 cargo test --release -p ebhost-lookup generated`, which writes its row into `docs/contract.md` and its constant into
//! the SDK. A grant in `plugin.yaml` is the right to name a table.

mod block_device;
mod block_device_user;
mod cgroup;
mod cgroup_folder;
mod container;
mod disk;
mod drop_reason;
mod kernel_stack;
mod kernel_symbol;
mod kernel_symbol_exact;
mod live_cgroup;
mod network_interface;
mod pci_class;
mod pci_device;
mod pci_subclass;
mod pci_vendor;
mod pod;
mod pod_namespace;
mod pod_uid;
mod unit;

use std::fmt;

use crate::{
    Found,
    key::KeyWidths,
    sources::{SourceType, Sources},
};

/// Every table, in the order in which messages and documents list them.
pub(crate) static REGISTRY: [Definition; 20] = [
    block_device::TABLE,
    block_device_user::TABLE,
    disk::TABLE,
    network_interface::TABLE,
    drop_reason::TABLE,
    cgroup::TABLE,
    cgroup_folder::TABLE,
    live_cgroup::TABLE,
    unit::TABLE,
    container::TABLE,
    pod::TABLE,
    pod_namespace::TABLE,
    pod_uid::TABLE,
    kernel_symbol::TABLE,
    kernel_symbol_exact::TABLE,
    kernel_stack::TABLE,
    pci_vendor::TABLE,
    pci_device::TABLE,
    pci_class::TABLE,
    pci_subclass::TABLE,
];

/// All that there is to say about a table.
pub(crate) struct Definition {
    /// Its name in manifests, grants and recordings. In capitals it is the SDK's constant.
    pub(crate) name: &'static str,
    /// The widths of the identity fields that can be looked up in it.
    pub(crate) key_widths: KeyWidths,
    /// What the bytes of a key mean, for the documents.
    pub(crate) key: &'static str,
    /// What is found, for the documents.
    pub(crate) value: &'static str,
    /// The [`Source`](crate::sources::Source)s that it reads, whose refreshes say whether its names may have changed.
    pub(crate) sources: &'static [SourceType],
    /// Finds the name for a key.
    pub(crate) resolve: Resolve,
}

/// How a table finds a name.
#[derive(Clone, Copy)]
pub(crate) enum Resolve {
    /// `None`: there is no such thing now.
    Name(fn(&mut Sources, &[u8]) -> Option<String>),
    /// The source can tell what is gone from what was never there.
    Found(fn(&mut Sources, &[u8]) -> Found),
}

/// A lookup table: a position in the registry.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LookupTable(u8);

impl LookupTable {
    /// Every table.
    pub const ALL: [Self; REGISTRY.len()] = {
        let mut all = [Self(0); REGISTRY.len()];
        let mut index = 0;
        while index < all.len() {
            all[index] = Self(index as u8);
            index += 1;
        }
        all
    };

    /// Its name in manifests and grants.
    pub fn name(self) -> &'static str {
        self.definition().name
    }

    /// The table of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name() == name)
    }

    /// All names, for messages.
    pub fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    /// Whether an identity field of so many bytes can be looked up in it.
    pub fn takes(self, bytes: usize) -> bool {
        self.definition().key_widths.contain(bytes)
    }

    /// The widths of its keys, for people: `4 or 8 bytes`.
    pub fn key_widths(self) -> String {
        self.definition().key_widths.to_string()
    }

    /// What the bytes of a key mean, for people: `the cgroup's id`.
    pub fn key(self) -> &'static str {
        self.definition().key
    }

    /// What it finds, for people.
    pub fn value(self) -> &'static str {
        self.definition().value
    }

    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }

    pub(crate) fn sources(self) -> &'static [SourceType] {
        self.definition().sources
    }

    /// A number as each of the keys that the table may have for it.
    pub(crate) fn keys_of(self, number: u64) -> impl Iterator<Item = Box<[u8]>> {
        let key = move |width: usize| self.takes(width).then(|| number.to_le_bytes()[..width].into());
        [4, 8].into_iter().filter_map(key)
    }

    pub(crate) fn resolve(self, sources: &mut Sources, key: &[u8]) -> Found {
        match self.definition().resolve {
            Resolve::Name(resolve) => resolve(sources, key).map_or(Found::Unknown, Found::Name),
            Resolve::Found(resolve) => resolve(sources, key),
        }
    }

    fn definition(self) -> &'static Definition {
        &REGISTRY[self.index()]
    }
}

impl fmt::Debug for LookupTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
