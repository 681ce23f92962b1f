//! A loaded package: its object and perf events in the kernel.

use std::{
    collections::BTreeSet,
    os::fd::{AsFd as _, OwnedFd},
};

use crate::{
    Source, UnreadMaps,
    attach::{Links, link::RunBy},
    cgroup_map::CgroupMap,
    events::EventReaders,
    perf::PerfReader,
    sys::{self, RunStatistics},
};

/// A package's object and perf events in the kernel. Dropping it detaches, closes and unloads everything.
#[derive(Debug)]
pub struct Loaded {
    /// Detached first: no program runs while its buffers are closed.
    pub programs: Vec<Program>,
    /// The sources that were asked for, in that order.
    pub sources: Vec<Source>,
    /// Perf sources that no view reads: programs read them, or run at their samples.
    pub others: Vec<PerfReader>,
    /// Kernel symbols of `kaddrs` that this kernel does not show.
    pub missing_symbols: Vec<String>,
    /// Sources that an earlier version of the component read and the current one does not; a later one may read them again.
    pub(crate) spare: Vec<Source>,
    pub(crate) unread: UnreadMaps,
    pub(crate) cgroup_map: Option<CgroupMap>,
    pub(crate) failed_iterators: BTreeSet<String>,
}

/// A program of the object.
#[derive(Debug)]
pub struct Program {
    pub name: String,
    /// Why it is not attached.
    pub left_out: Option<LeftOut>,
    pub(crate) file: Option<OwnedFd>,
    pub(crate) links: Links,
}

/// Why a program is not attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// In one word, for metrics.
    pub reason: &'static str,
    pub fault: String,
}

/// A source that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted<'a> {
    pub name: &'a str,
    /// The sizes of the views' values, each once.
    pub value_sizes: Vec<usize>,
    /// Whether its events become spans.
    pub for_spans: bool,
}

impl<'a> Wanted<'a> {
    /// A source that views read, with values of these sizes.
    pub fn by_views(name: &'a str, value_sizes: Vec<usize>) -> Self {
        Self { name, value_sizes, for_spans: false }
    }

    pub(crate) fn event_readers(&self) -> EventReaders<'_> {
        EventReaders { lengths: &self.value_sizes, for_spans: self.for_spans }
    }
}

impl Program {
    /// A program that is not loaded yet.
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), left_out: None, file: None, links: Links::default() }
    }

    /// Its id, run count and run time; `None`: it is not loaded, or the kernel does not say.
    pub fn statistics(&self) -> Option<RunStatistics> {
        sys::run_statistics(self.file.as_ref()?.as_fd()).ok()
    }
}

impl Loaded {
    /// The object's maps that have no reader yet, for a thread that prepares readers for another component.
    pub fn unread_maps(&self) -> UnreadMaps {
        self.unread.clone()
    }

    /// The memory that each map of the object takes now, in bytes.
    pub fn map_memory(&self) -> Vec<(String, u64)> {
        self.unread.memory()
    }

    /// Reads these sources from now on, in this order. Programs stay attached and maps stay as they are.
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
                    events.announce(wanted.event_readers());
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

    /// Runs the iterator programs, so that the maps have what they count. Returns a line for each iterator that began to fail.
    pub fn run_iterators(&mut self) -> Vec<String> {
        let mut news = Vec::new();
        for program in self.programs.iter().filter(|program| program.links.run == RunBy::Iterator) {
            match program.links.run_iterator() {
                Ok(()) => _ = self.failed_iterators.remove(&program.name),
                Err(error) if self.failed_iterators.insert(program.name.clone()) => {
                    news.push(format!("iterator `{}` cannot be read: {error}", program.name));
                }
                Err(_) => {}
            }
        }
        news
    }

    /// Why a program of this object is not attached now; `None`: it is. One whose perf event could not be opened is attached as soon as it is open
    /// on any CPU.
    pub fn left_out<'a>(&self, program: &'a Program) -> Option<&'a LeftOut> {
        let has_event = |reader: &&PerfReader| program.links.run == RunBy::Samples && reader.name == program.name;
        let is_open = self.perf().filter(has_event).any(PerfReader::is_open);
        program.left_out.as_ref().filter(|_| !is_open)
    }

    /// The number of cgroups in the cgroup id map, and of failed updates; `None`: there is no such map.
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

    /// Changes of the states of perf events since the last call, a line each.
    pub fn perf_news(&mut self) -> Vec<String> {
        let read = self.sources.iter_mut().filter_map(|source| match source {
            Source::Perf(reader) => Some(reader),
            Source::Map(_) | Source::Events(_) => None,
        });
        read.chain(&mut self.others).flat_map(PerfReader::news).collect()
    }
}
