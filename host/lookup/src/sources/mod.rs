//! What tables read from: files of the kernel and databases that distributions install.
//!
//! A source is opened when a table is first asked about it, so that a host without, say, a package that looks up kernel symbols
//! never reads them. Tables that read the same source share it.

mod cgroups;
mod containers;
mod disk_folders;
mod disks;
mod drop_reasons;
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
pub use containers::container_id;
pub(crate) use containers::{ContainerLabel, Containers};
pub(crate) use disk_folders::{DiskFolders, KEY_BYTES as DISK_KEY_BYTES};
pub(crate) use disks::{DeviceNumber, Disks};
pub(crate) use drop_reasons::DropReasons;
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

    /// Called when a package that may ask is loaded: begins what takes long.
    fn start(&mut self) {}

    /// Called before each collection: drops what is out of date.
    fn refresh(&mut self) -> Freshness;

    /// A sentence for the log if names are missing on this machine; each is given once.
    fn warning(&mut self) -> Option<String> {
        None
    }
}

/// Whether a source's answers may differ from those before its last refresh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Freshness {
    Unchanged,
    MayDiffer,
    /// Those about the keys that are these numbers may.
    Numbers(Vec<u64>),
}

impl Freshness {
    /// That of answers which come from both.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unchanged, freshness) | (freshness, Self::Unchanged) => freshness,
            (Self::Numbers(mut numbers), Self::Numbers(more)) => {
                numbers.extend(more);
                Self::Numbers(numbers)
            }
            _ => Self::MayDiffer,
        }
    }
}

/// A type of sources.
#[derive(Clone, Copy)]
pub(crate) struct SourceType {
    id: fn() -> TypeId,
    paths: fn(&Roots) -> Vec<PathBuf>,
    start: fn(&mut Sources),
}

impl SourceType {
    pub(crate) const fn of<S: Source>() -> Self {
        Self { id: TypeId::of::<S>, paths: S::paths, start: |sources| sources.get::<S>().start() }
    }

    /// The files and folders that it reads.
    pub(crate) fn paths(self, roots: &Roots) -> Vec<PathBuf> {
        (self.paths)(roots)
    }
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

    /// Opens and starts the source of this type.
    pub(crate) fn start(&mut self, kind: SourceType) {
        (kind.start)(self);
    }

    /// The results of the last refresh of these, together. A source that is not open has given no answer that could differ.
    pub(crate) fn freshness(&self, kinds: &[SourceType]) -> Freshness {
        let of = |kind: &SourceType| {
            let id = (kind.id)();
            let open = self.open.iter().find(|open| open.kind == id);
            open.map_or(Freshness::Unchanged, |open| open.freshness.clone())
        };
        kinds.iter().map(of).fold(Freshness::Unchanged, Freshness::and)
    }

    /// The source of this type, if it is open.
    pub(crate) fn opened<S: Source>(&self) -> Option<&S> {
        let open = self.open.iter().find(|open| open.kind == TypeId::of::<S>())?;
        let source: &dyn Any = &*open.source;
        source.downcast_ref()
    }

    /// New sentences for the log.
    pub(crate) fn warnings(&mut self) -> Vec<String> {
        self.open.iter_mut().filter_map(|open| open.source.warning()).collect()
    }
}
