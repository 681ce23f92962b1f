//! The lookup stage: finds names for identity bytes, so that a plugin needs no access to anything.
//!
//! A name is found once and kept. Before each collection the kept names are checked, and those that changed are reported, so that
//! only the identities that depend on them are labelled again.
//!
//! [`tables`] has one file per table: its name, the keys that it takes, the files that it reads, and how it is documented. The
//! Landlock rules ([`readable_paths`]), the table in `docs/contract.md` and the SDK's constants are derived from it. [`sources`] has
//! what tables read from, because several tables may read the same source.
//!
//! This crate knows no plugin and no series, and writes nothing.

#![forbid(unsafe_code)]

mod key;
mod sources;
pub mod tables;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    path::PathBuf,
};

use sources::{Freshness, Sources};
pub use tables::LookupTable;

/// A table, and the bytes of an identity field that are looked up in it.
pub type Question = (LookupTable, Box<[u8]>);

/// The folders that the tables are read below; tests have their own.
#[derive(Debug, Clone)]
pub struct Roots {
    pub sys: PathBuf,
    pub proc: PathBuf,
    /// Databases that distributions install.
    pub share: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self { sys: PathBuf::from("/sys"), proc: PathBuf::from("/proc"), share: PathBuf::from("/usr/share") }
    }
}

/// Every file and folder that a table may read on this machine: the source of the Landlock rules. Not all of them need exist.
pub fn readable_paths() -> Vec<PathBuf> {
    let roots = Roots::default();
    let paths: BTreeSet<_> = tables::REGISTRY.iter().flat_map(|table| (table.paths)(&roots)).collect();
    paths.into_iter().collect()
}

/// The names found so far, and the sources that they are found in.
#[derive(Debug)]
pub struct Lookups {
    names: HashMap<Question, Option<String>>,
    sources: Sources,
}

impl Lookups {
    /// Opens nothing yet: a source is opened when one of its tables is first asked.
    pub fn new(roots: &Roots) -> Self {
        Self { names: HashMap::new(), sources: Sources::new(roots.clone()) }
    }

    /// Lookups that know these names and no others: they never look at the machine.
    pub fn recorded(names: impl IntoIterator<Item = (Question, Option<String>)>) -> Self {
        // There is nothing below a file, so every source is empty.
        let nowhere = PathBuf::from("/dev/null");
        let nowhere = Roots { sys: nowhere.clone(), proc: nowhere.clone(), share: nowhere };
        Self { names: names.into_iter().collect(), ..Self::new(&nowhere) }
    }

    /// The name for `key`; `None` if the host does not know one now.
    pub fn find(&mut self, table: LookupTable, key: &[u8]) -> Option<String> {
        let question = (table, key.into());
        if let Some(name) = self.names.get(&question) {
            return name.clone();
        }
        let name = table.resolve(&mut self.sources, key);
        self.names.insert(question, name.clone());
        name
    }

    /// Finds every kept name again whose source may have changed, and returns the questions whose answer differs now.
    pub fn refresh(&mut self) -> HashSet<Question> {
        self.sources.refresh();
        let may_differ = LookupTable::ALL.map(|table| self.sources.freshness(table.source()) == Freshness::MayDiffer);
        let mut changed = HashSet::new();
        for (question, name) in &mut self.names {
            let (table, key) = question;
            if !may_differ[table.index()] {
                continue;
            }
            let now = table.resolve(&mut self.sources, key);
            if *name != now {
                *name = now;
                changed.insert(question.clone());
            }
        }
        changed
    }

    /// Drops the names that no identity needs any more.
    pub fn retain(&mut self, is_needed: impl Fn(&Question) -> bool) {
        self.names.retain(|question, _| is_needed(question));
    }

    /// Number of kept names.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

#[cfg(test)]
mod generated;
#[cfg(test)]
mod tests;
