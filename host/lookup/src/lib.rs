//! The lookup stage: finds names for identity bytes, so that a plugin needs no access to anything.
//!
//! A name is found once and kept. Before each collection the names whose source changed are looked up again, and those that differ are
//! reported, so that only the identities that depend on them are labelled again. A name outlives what it names: it stays until the same bytes
//! mean something else, or until no identity needs it.
//!
//! [`tables`] has one file per table: its name, the keys that it takes, the files that it reads, and how it is documented. The
//! Landlock rules ([`readable_paths`]), the table in `docs/contract.md` and the SDK's constants are derived from it. [`sources`] has
//! what tables read from, because several tables may read the same source.
//!
//! This crate knows no plugin and no series, and writes nothing.

#![forbid(unsafe_code)]

mod key;
mod names;
mod questions;
mod sources;
pub mod tables;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use ebhost_limits as limits;
use names::{Name, Names};
pub use questions::QuestionSet;
pub use sources::container_id;
use sources::{Cgroups, Freshness, Sources};
pub use tables::LookupTable;

/// A table, and the bytes of an identity field that are looked up in it.
pub type Question = (LookupTable, Box<[u8]>);

/// The answer to a [`Question`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The name of something that exists.
    Name(String),
    /// The name that something had which is gone.
    Gone(String),
    /// The host knows no name now.
    Unknown,
    /// The host is still looking: ask again in the next collection.
    NotYet,
}

/// The folders that the tables are read below. In a container they are where the machine's own are mounted; tests have their own.
#[derive(Debug, Clone)]
pub struct Roots {
    pub sys: PathBuf,
    pub proc: PathBuf,
    /// The mount of cgroups of version 2; `None`: the one that shows most of them.
    pub cgroup: Option<PathBuf>,
    /// Databases that distributions install.
    pub share: PathBuf,
    /// The file system in which container runtimes keep their state.
    pub rootfs: PathBuf,
}

impl Roots {
    /// All of them below one folder, which need not exist.
    pub fn below(folder: &Path) -> Self {
        let [sys, proc, share] = ["sys", "proc", "share"].map(|name| folder.join(name));
        Self { sys, proc, cgroup: None, share, rootfs: folder.to_owned() }
    }
}

impl Default for Roots {
    fn default() -> Self {
        Self { share: PathBuf::from("/usr/share"), ..Self::below(Path::new("/")) }
    }
}

/// Every file and folder that a table may read on this machine: the source of the Landlock rules. Not all of them need exist.
pub fn readable_paths(roots: &Roots) -> Vec<PathBuf> {
    let sources = tables::REGISTRY.iter().flat_map(|table| table.sources);
    let paths: BTreeSet<_> = sources.flat_map(|source| source.paths(roots)).collect();
    paths.into_iter().collect()
}

/// The names found so far, and the sources that they are found in.
#[derive(Debug)]
pub struct Lookups {
    names: Names,
    room: Room,
    /// Identities that were noticed to be gone in this collection.
    departed: QuestionSet,
    sources: Sources,
    /// Questions that a recording has no answer to. None: the machine is asked.
    unrecorded: Option<BTreeSet<Question>>,
}

/// Whether there is room for further names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    Left,
    /// A name was not looked up, and nobody was told.
    Full,
    FullAndReported,
}

/// The changes that a collection begins with.
#[derive(Debug, Default)]
pub struct Changes {
    /// Questions whose answer differs now.
    pub renamed: QuestionSet,
    /// Questions about things that were noticed to be gone in the collection before, so that their last counts were taken in it.
    pub departed: QuestionSet,
}

impl Lookups {
    /// Opens nothing yet: a source is opened when one of its tables is first asked.
    pub fn new(roots: &Roots) -> Self {
        Self {
            names: Names::default(),
            room: Room::Left,
            departed: QuestionSet::default(),
            sources: Sources::new(roots.clone()),
            unrecorded: None,
        }
    }

    /// Lookups that know these names and no others: they never look at the machine. [`unrecorded`](Self::unrecorded) has the questions that
    /// they know no answer to.
    pub fn recorded(names: impl IntoIterator<Item = (Question, Option<String>)>) -> Self {
        // There is nothing below a file, so every source is empty.
        let nowhere = Roots::below(Path::new("/dev/null"));
        let mut lookups = Self { unrecorded: Some(BTreeSet::new()), ..Self::new(&nowhere) };
        for (question, text) in names {
            lookups.names.insert(question, Name { text, is_gone: false });
        }
        lookups
    }

    /// The questions that were asked of [recorded](Self::recorded) names and that the recording does not hold, in order.
    pub fn unrecorded(&self) -> impl Iterator<Item = &Question> {
        self.unrecorded.iter().flatten()
    }

    /// Opens what needs privileges that the process drops later: the kernel's reports of new and removed cgroups.
    pub fn open_privileged(&mut self) {
        self.sources.get::<Cgroups>();
    }

    /// Prepares for questions about a table.
    pub fn start(&mut self, table: LookupTable) {
        table.sources().iter().for_each(|source| self.sources.start(*source));
    }

    /// The name for `key`. A new one waits while those that are kept take [`limits::LOOKUP_NAME_BYTES`].
    pub fn find(&mut self, table: LookupTable, key: &[u8]) -> Found {
        let question: Question = (table, key.into());
        if let Some(unrecorded) = &mut self.unrecorded
            && self.names.get(&question).is_none()
        {
            unrecorded.insert(question.clone());
        }
        let new = match self.names.get(&question) {
            Some(_) => None,
            None if self.names.bytes() >= limits::LOOKUP_NAME_BYTES => {
                self.room = if self.room == Room::Left { Room::Full } else { self.room };
                return Found::NotYet;
            }
            None => match Name::new(table.resolve(&mut self.sources, key)) {
                Some(name) => Some(name),
                None => return Found::NotYet,
            },
        };
        if let Some(name) = new {
            self.names.insert(question.clone(), name);
        }
        let Some(name) = self.names.get(&question) else { return Found::NotYet };
        if name.is_gone {
            self.departed.insert(table, key.into());
        }
        match &name.text {
            Some(text) if name.is_gone => Found::Gone(text.clone()),
            Some(text) => Found::Name(text.clone()),
            None => Found::Unknown,
        }
    }

    /// Begins a collection: finds every kept name again whose source may have changed.
    pub fn refresh(&mut self) -> Changes {
        self.sources.refresh();
        let mut changes = Changes { renamed: QuestionSet::default(), departed: std::mem::take(&mut self.departed) };
        let freshness = LookupTable::ALL.map(|table| self.sources.freshness(table.sources()));
        let all: [bool; LookupTable::ALL.len()] = std::array::from_fn(|table| freshness[table] == Freshness::MayDiffer);
        if all.contains(&true) {
            let (sources, departed) = (&mut self.sources, &mut self.departed);
            self.names.update_all(|question, name| {
                if all[question.0.index()] {
                    look_again(sources, question, name, &mut changes.renamed, departed);
                }
            });
        }
        for (table, freshness) in LookupTable::ALL.into_iter().zip(freshness) {
            let Freshness::Numbers(numbers) = freshness else { continue };
            for key in numbers.into_iter().flat_map(|number| table.keys_of(number)) {
                let question = (table, key);
                let (sources, departed) = (&mut self.sources, &mut self.departed);
                self.names.update(&question, |name| {
                    look_again(sources, &question, name, &mut changes.renamed, departed);
                });
            }
        }
        changes
    }

    /// Whether a question is about something that is known to be gone.
    pub fn is_gone(&self, question: &Question) -> bool {
        self.names.get(question).is_some_and(|name| name.is_gone)
    }

    /// Drops the names that no identity needs any more.
    pub fn retain(&mut self, is_needed: impl Fn(&Question) -> bool) {
        self.names.retain(is_needed);
        if self.names.bytes() < limits::LOOKUP_NAME_BYTES {
            self.room = Room::Left;
        }
    }

    /// Number of kept names.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the kept names and of what they were asked by.
    pub fn bytes(&self) -> usize {
        self.names.bytes()
    }

    /// Whether names wait for room.
    pub fn is_full(&self) -> bool {
        self.room != Room::Left
    }

    /// How many cgroups are known, each number with its state; `None`: no package asked about any.
    pub fn cgroups(&self) -> Option<[(&'static str, u64); 3]> {
        self.sources.opened::<Cgroups>()?.counts()
    }

    /// New sentences for the log about names that are missing on this machine.
    pub fn warnings(&mut self) -> Vec<String> {
        let mut warnings = self.sources.warnings();
        if self.room == Room::Full {
            self.room = Room::FullAndReported;
            warnings.push(format!(
                "looked-up names take {} MiB, which is all that they may: further map entries wait without labels; look for a package that \
                 looks up very many stacks or cgroups, and lower its limits.series",
                limits::LOOKUP_NAME_BYTES >> 20
            ));
        }
        warnings
    }
}

/// Looks up the name of a question again.
fn look_again(
    sources: &mut Sources,
    question: &Question,
    name: &mut Name,
    renamed: &mut QuestionSet,
    departed: &mut QuestionSet,
) {
    let (table, key) = question;
    let now = name.updated(table.resolve(sources, key));
    if now.text != name.text {
        renamed.insert(*table, key.clone());
    }
    if now.is_gone && !name.is_gone {
        departed.insert(*table, key.clone());
    }
    *name = now;
}

#[cfg(test)]
mod generated;
#[cfg(test)]
mod tests;
