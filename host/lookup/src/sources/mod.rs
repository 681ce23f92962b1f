//! What tables read from: files of the kernel and databases that distributions install.
//!
//! A source is opened when a table is first asked about it, so that a host without, say, a package that looks up kernel symbols
//! never reads them. Tables that read the same source share it.

mod cgroups;
mod disk_folders;
mod disks;
mod interfaces;
mod kernel_symbols;
mod pci_ids;
mod uevents;

use std::{
    any::{Any, TypeId},
    fmt,
    path::PathBuf,
};

use super::Roots;
pub(crate) use cgroups::Cgroups;
pub(crate) use disk_folders::{DiskFolders, KEY_BYTES as DISK_KEY_BYTES};
pub(crate) use disks::{DeviceNumber, Disks};
pub(crate) use interfaces::Interfaces;
pub(crate) use kernel_symbols::{KernelSymbols, Symbol, nearest};
pub(crate) use pci_ids::PciIds;

/// Where tables find names.
pub(crate) trait Source: Any + fmt::Debug + Send {
    /// The files and folders that it reads.
    fn paths(roots: &Roots) -> Vec<PathBuf>
    where
        Self: Sized;

    fn open(roots: &Roots) -> Self
    where
        Self: Sized;

    /// Called before each collection: drops what is out of date.
    fn refresh(&mut self) -> Freshness;
}

/// Whether a source's answers may differ from those before its last refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    Unchanged,
    MayDiffer,
}

/// The sources that are open, by type.
#[derive(Debug)]
pub(crate) struct Sources {
    roots: Roots,
    /// A handful, so that a scan is faster than a hash.
    open: Vec<OpenSource>,
}

#[derive(Debug)]
struct OpenSource {
    kind: TypeId,
    source: Box<dyn Source>,
    freshness: Freshness,
}

impl Sources {
    pub(crate) fn new(roots: Roots) -> Self {
        Self { roots, open: Vec::new() }
    }

    /// The source of this type, which is opened if it is not.
    pub(crate) fn get<S: Source>(&mut self) -> &mut S {
        let kind = TypeId::of::<S>();
        let index = self.open.iter().position(|open| open.kind == kind).unwrap_or_else(|| {
            let source = Box::new(S::open(&self.roots));
            self.open.push(OpenSource { kind, source, freshness: Freshness::Unchanged });
            self.open.len() - 1
        });
        let source: &mut dyn Any = &mut *self.open[index].source;
        source.downcast_mut().expect("a source is kept under its own type")
    }

    pub(crate) fn refresh(&mut self) {
        for open in &mut self.open {
            open.freshness = open.source.refresh();
        }
    }

    /// The result of the last refresh. A source that is not open has given no answer that could differ.
    pub(crate) fn freshness(&self, kind: TypeId) -> Freshness {
        let open = self.open.iter().find(|open| open.kind == kind);
        open.map_or(Freshness::Unchanged, |open| open.freshness)
    }
}
