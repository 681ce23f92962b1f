//! Opens the readers of maps: those that the first component asks for, and later those that another component needs.

use std::{
    collections::BTreeSet,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    KernelContext, LoadError, MapReader, ObjectFile, Source, Wanted, events::EventReader, maps::Maps,
    object::GlobalCounter, program_counter::ProgramCounter, read::MapHints,
};
use ebhost_package as package;
use ebhost_package::MaxEntries;

/// The maps of a loaded object that have no reader yet.
///
/// It is shared between the thread that reads the maps and the thread that loads packages: only the latter may open perf
/// buffers, so it opens the readers that another component needs before the component is exchanged.
#[derive(Debug, Clone, Default)]
pub struct UnreadMaps {
    maps: Arc<Maps>,
    /// Maps that have a reader.
    read: Arc<Mutex<BTreeSet<String>>>,
}

impl UnreadMaps {
    /// All maps of an object that was just loaded.
    pub(crate) fn new(maps: Maps) -> Self {
        Self { maps: Arc::new(maps), read: Arc::default() }
    }

    /// The memory that each map takes now.
    pub(crate) fn memory(&self) -> Vec<(String, u64)> {
        self.maps.memory().map(|(name, bytes)| (name.to_owned(), bytes)).collect()
    }

    /// Opens readers for those of the `wanted` maps that have none yet. `object` is the one that was loaded.
    ///
    /// Nothing changes until they are given to [`Loaded::choose`](crate::Loaded::choose), which [`UnreadMaps::mark_read`] announces: after an
    /// error, or when the readers are dropped, each map can be asked for again.
    ///
    /// # Errors
    /// A map cannot be read.
    pub fn open(
        &self,
        object: &ObjectFile,
        bpf: &package::Bpf,
        wanted: &[Wanted<'_>],
        context: &KernelContext,
    ) -> Result<Vec<Source>, LoadError> {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let without_reader =
            |wanted: &&Wanted<'_>| object.maps.contains_key(wanted.name) && !read.contains(wanted.name);
        let wanted = wanted.iter().filter(without_reader);
        wanted.map(|wanted| reader(object, bpf, &self.maps, wanted, context)).collect()
    }

    /// From now on these readers have their maps.
    pub fn mark_read(&self, opened: &[Source]) {
        self.opened(opened.iter().map(Source::name));
    }

    /// Marks the maps of these sources as read.
    pub(crate) fn opened<'a>(&self, sources: impl Iterator<Item = &'a str>) {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.extend(sources.map(str::to_owned));
    }
}

/// Opens the reader of a map for its views.
///
/// # Errors
/// The object has no such map, or it is of a type that cannot be read.
pub(crate) fn reader(
    object: &ObjectFile,
    bpf: &package::Bpf,
    maps: &Maps,
    wanted: &Wanted<'_>,
    context: &KernelContext,
) -> Result<Source, LoadError> {
    object.map(wanted.name, "the plugin's manifest")?;
    let per_cpu = match bpf.max_entries.get(wanted.name) {
        Some(MaxEntries::PerCpu(entries)) => Some(*entries),
        Some(MaxEntries::Fixed(_)) | None => None,
    };
    let hints = MapHints { per_cpu, insertions: counter(maps, object.insertion_counter(wanted.name)) };
    open_reader(object, maps, wanted, hints, context)
        .map_err(|error| LoadError::unreadable(&bpf.object.path, wanted.name, error))
}

fn open_reader(
    object: &ObjectFile,
    maps: &Maps,
    wanted: &Wanted<'_>,
    hints: MapHints,
    context: &KernelContext,
) -> io::Result<Source> {
    let name = wanted.name;
    let map = maps.for_reader(name)?;
    let shape = map.shape();
    if shape.is_hash() || shape.is_array() || shape.is_lpm_trie() {
        return Ok(Source::Map(Box::new(MapReader::new(name, map, hints)?)));
    }
    if shape.is_events() {
        let drops = counter(maps, object.lost_counter(name));
        return EventReader::new(name, &map, wanted.event_readers(), drops, context).map(Source::Events);
    }
    Err(io::Error::other(
        "expected a hash, LRU hash, array, their per-CPU forms, an LPM trie, a ring buffer, or a perf event \
         array that `perf` does not name",
    ))
}

/// The counter that a program keeps in a global, if there is one.
fn counter(maps: &Maps, global: Option<&GlobalCounter>) -> Option<ProgramCounter> {
    Some(ProgramCounter::new(global?, maps.get(&global?.map)?.clone()))
}
