//! A package's object and perf events in the kernel, and what can be asked of them there.

use std::{
    collections::BTreeSet,
    io::{self, Read as _},
    os::fd::{AsFd as _, OwnedFd},
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    KernelTypes, LoadError, ObjectFile,
    cgroup_map::CgroupMap,
    events::{DropCounter, EventReader},
    link::Links,
    maps::Maps,
    perf::PerfReader,
    read::MapReader,
    source::Source,
    syscall::{self, RunStatistics},
};
use ebhost_package as package;

/// A package's object and perf events in the kernel. Dropping it detaches, closes and unloads everything.
#[derive(Debug)]
pub struct Loaded {
    /// Detached first: no program runs while its buffers are closed.
    pub programs: Vec<Program>,
    /// The sources that were asked for, in that order.
    pub sources: Vec<Source>,
    /// Perf events that no view reads: they run programs, or are read by them.
    pub others: Vec<PerfReader>,
    /// Kernel symbols of `kaddrs` that this kernel does not show.
    pub missing_symbols: Vec<String>,
    /// What an earlier version of the component asked for: a later one may ask again.
    pub(super) spare: Vec<Source>,
    pub(super) unread: UnreadMaps,
    pub(super) cgroup_map: Option<CgroupMap>,
    pub(super) failed_iterators: BTreeSet<String>,
}

/// A program of the object.
#[derive(Debug)]
pub struct Program {
    pub name: String,
    /// Why it is not attached.
    pub left_out: Option<LeftOut>,
    pub(super) file: Option<OwnedFd>,
    pub(super) links: Links,
}

/// Why a program is not attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// In one word.
    pub reason: &'static str,
    pub fault: String,
}

/// A source that views read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted<'a> {
    pub name: &'a str,
    /// The sizes of the views' values, each once.
    pub value_sizes: Vec<usize>,
}

impl Program {
    /// What the kernel says of it and how often and how long it ran; none: the kernel does not have it, or does not say.
    pub fn statistics(&self) -> Option<RunStatistics> {
        syscall::run_statistics(self.file.as_ref()?.as_fd()).ok()
    }
}

impl Loaded {
    /// The object's maps that have no reader yet, for a thread that prepares readers for another component.
    pub fn unread_maps(&self) -> UnreadMaps {
        self.unread.clone()
    }

    /// Reads these sources from now on, in this order. The programs stay attached and the maps stay what they are.
    ///
    /// `opened` are the readers that [`UnreadMaps::open`] made for the same sources; it is the only step that can fail, and it
    /// comes before this one.
    pub fn choose(&mut self, opened: Vec<Source>, wanted: &[Wanted<'_>]) {
        let mut all: Vec<_> = opened.into_iter().chain(self.spare.drain(..)).chain(self.sources.drain(..)).collect();
        all.extend(self.others.drain(..).map(Source::Perf));
        for wanted in wanted {
            if let Some(place) = all.iter().position(|source| source.name() == wanted.name) {
                let mut source = all.swap_remove(place);
                if let Source::Events(events) = &mut source {
                    events.announce(&wanted.value_sizes);
                }
                self.sources.push(source);
            }
        }
        for source in all {
            match source {
                Source::Perf(reader) => self.others.push(reader),
                source => self.spare.push(source),
            }
        }
    }

    /// Runs the programs that run when they are read, so that the maps have what they count. What fails says so once.
    pub fn run_iterators(&mut self) -> Vec<String> {
        let mut news = Vec::new();
        for program in self.programs.iter().filter(|program| program.links.is_iterator) {
            for link in &program.links.files {
                match run(link) {
                    Ok(()) => _ = self.failed_iterators.remove(&program.name),
                    Err(error) if self.failed_iterators.insert(program.name.clone()) => {
                        news.push(format!("iterator `{}` cannot be read: {error}", program.name));
                    }
                    Err(_) => {}
                }
            }
        }
        news
    }

    /// Cgroups in the cgroup id map, and how often it did not take one; none: there is no such map.
    pub fn cgroup_map(&self) -> Option<(u64, u64)> {
        self.cgroup_map.as_ref().map(CgroupMap::tally)
    }

    /// Every perf source.
    pub fn perf(&self) -> impl Iterator<Item = &PerfReader> {
        let read = self.sources.iter().filter_map(|source| match source {
            Source::Perf(reader) => Some(reader),
            Source::Map(_) | Source::Events(_) => None,
        });
        read.chain(&self.others)
    }

    /// What has become of perf events since this was last asked, a line each.
    pub fn perf_news(&mut self) -> Vec<String> {
        let read = self.sources.iter_mut().filter_map(|source| match source {
            Source::Perf(reader) => Some(reader),
            Source::Map(_) | Source::Events(_) => None,
        });
        read.chain(&mut self.others).flat_map(PerfReader::news).collect()
    }
}

/// Reads an iterator to its end; what it prints is not for us.
fn run(link: &OwnedFd) -> io::Result<()> {
    let mut file = std::fs::File::from(syscall::iterator_create(link.as_fd())?);
    let mut buffer = [0; 4096];
    while file.read(&mut buffer)? > 0 {}
    Ok(())
}

/// The maps of a loaded object that have no reader yet.
///
/// It is shared between the thread that reads the maps and the thread that loads packages: only the latter may open perf
/// buffers, so it opens the readers that another component needs before the component is exchanged.
#[derive(Debug, Clone, Default)]
pub struct UnreadMaps(Arc<Mutex<Unread>>);

#[derive(Debug, Default)]
pub(super) struct Unread {
    pub(super) maps: Maps,
    /// Maps that have their reader, and are not among `maps` any more.
    pub(super) read: BTreeSet<String>,
}

impl UnreadMaps {
    pub(super) fn new(unread: Unread) -> Self {
        Self(Arc::new(Mutex::new(unread)))
    }

    /// Opens readers for those of the `wanted` maps that have none yet. `object` is the one that was loaded.
    ///
    /// Nothing changes until they are given to [`Loaded::choose`], which [`UnreadMaps::mark_read`] announces: after an error, or when
    /// the readers are dropped, each map can be asked for again.
    ///
    /// # Errors
    /// A map that cannot be read.
    pub fn open(
        &self,
        object: &ObjectFile,
        bpf: &package::Bpf,
        wanted: &[Wanted<'_>],
        types: &KernelTypes,
    ) -> Result<Vec<Source>, LoadError> {
        let unread = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let without_reader =
            |wanted: &&Wanted<'_>| object.maps.contains_key(wanted.name) && !unread.read.contains(wanted.name);
        wanted.iter().filter(without_reader).map(|wanted| reader(object, bpf, &unread.maps, wanted, types)).collect()
    }

    /// From now on these readers have their maps.
    pub fn mark_read(&self, opened: &[Source]) {
        let mut unread = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for source in opened {
            unread.give_to_reader(source.name());
        }
    }
}

impl Unread {
    /// Closes the map's own descriptor: its reader has one.
    pub(super) fn give_to_reader(&mut self, name: &str) {
        self.maps.close(name);
        self.read.insert(name.to_owned());
    }
}

/// Opens the reader of a map; the map itself stays among `maps`.
pub(super) fn reader(
    object: &ObjectFile,
    bpf: &package::Bpf,
    maps: &Maps,
    wanted: &Wanted<'_>,
    types: &KernelTypes,
) -> Result<Source, LoadError> {
    use aya::maps::Map;
    let name = wanted.name;
    let mut shape = object.map(name, "the plugin's manifest")?;
    if let Some(entries) = bpf.max_entries.get(name) {
        shape.max_entries = entries.on(types.cpus);
    }
    let source = maps.open(name).and_then(|map| match map {
        Map::Array(data)
        | Map::PerCpuArray(data)
        | Map::HashMap(data)
        | Map::LruHashMap(data)
        | Map::PerCpuHashMap(data)
        | Map::PerCpuLruHashMap(data)
        | Map::LpmTrie(data) => MapReader::new(name, shape, data, types.cpus).map(|map| Source::Map(Box::new(map))),
        map @ (Map::RingBuf(_) | Map::PerfEventArray(_)) => {
            let drops = drops(object, maps, name)?;
            EventReader::new(name, map, &wanted.value_sizes, drops, types).map(Source::Events)
        }
        _ => Err(io::Error::other(
            "expected a hash, LRU hash, array, their per-CPU forms, an LPM trie, a ring buffer, or a perf event \
             array that `perf` does not name",
        )),
    });
    source.map_err(|error| unreadable(bpf, name, error))
}

fn drops(object: &ObjectFile, maps: &Maps, buffer: &str) -> io::Result<Option<DropCounter>> {
    let found = object.drops(buffer).and_then(|counter| {
        let (globals, shape) = (maps.get(&counter.map)?.1, object.maps.get(&counter.map)?);
        Some(DropCounter::new(counter, globals, *shape))
    });
    found.transpose()
}

pub(super) fn unreadable(bpf: &package::Bpf, map: &str, error: io::Error) -> LoadError {
    LoadError::Map { path: bpf.object.path.clone(), map: map.to_owned(), error }
}
