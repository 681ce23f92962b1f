//! Groups of series whose text is kept from answer to answer, within a budget of memory.
//!
//! A group is kept once its series were the same in two answers: text that is seen once is not worth it. What is kept of a group is the
//! caller's; this decides when it is made, and when it is dropped.

use std::collections::HashMap;

use crate::{encode::Integers, family::FamilySeries, negotiate::Format};

/// The kept groups of all families.
#[derive(Debug)]
pub(crate) struct KeptGroups<G> {
    families: HashMap<Key, Family<G>>,
    /// Memory of all groups in bytes, and the most that they may take.
    bytes: usize,
    most: usize,
    /// The number of the answer that is being encoded.
    answer: u64,
}

/// A family in one format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    table: u64,
    format: Format,
}

#[derive(Debug)]
struct Family<G> {
    /// The name of the samples, and how numbers are written: part of every line.
    name: String,
    integers: Option<Integers>,
    groups: Vec<Group<G>>,
    bytes: usize,
    last_answer: u64,
}

/// A group of series, as it was in the last answer.
#[derive(Debug, Default)]
enum Group<G> {
    #[default]
    Unseen,
    /// Its series were these; they have to be the same once more.
    Seen(u64),
    Kept {
        revision: u64,
        group: Box<G>,
        bytes: usize,
    },
    /// Its lines cannot be kept.
    Refused(u64),
}

/// The outcome for a group that was to be kept.
pub(crate) enum Made<G> {
    /// It is kept, and takes so many bytes.
    Group { group: G, bytes: usize },
    /// It cannot be kept while its series are the same.
    Refused,
    /// It may be kept in a later answer.
    Later,
}

/// The kept groups of one family.
#[derive(Debug)]
pub(crate) struct KeptFamily<'k, G> {
    family: &'k mut Family<G>,
    bytes: &'k mut usize,
    most: usize,
}

/// Answers after which something that was in none of them is forgotten. Scrapers may take turns in asking for different formats.
pub(crate) const FORGOTTEN_AFTER: u64 = 8;

/// A family with fewer series is not kept by its table.
const LEAST_SERIES: usize = 256;

impl<G> Default for Family<G> {
    fn default() -> Self {
        Self { name: String::new(), integers: None, groups: Vec::new(), bytes: 0, last_answer: 0 }
    }
}

impl<G> KeptGroups<G> {
    /// Groups that take `most` bytes of memory, or little more.
    pub(crate) fn new(most: usize) -> Self {
        Self { families: HashMap::new(), bytes: 0, most, answer: 0 }
    }

    /// Memory of all groups in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.bytes
    }

    /// Begins an answer: families that were in none for a while are forgotten.
    pub(crate) fn begin(&mut self) {
        self.answer += 1;
        let (answer, bytes) = (self.answer, &mut self.bytes);
        self.families.retain(|_, family| {
            let is_kept = answer - family.last_answer <= FORGOTTEN_AFTER;
            if !is_kept {
                *bytes -= family.bytes;
            }
            is_kept
        });
    }

    /// The groups of a family of single numbers, whose samples are called `name`. `None`: they are not worth keeping, or it is not known
    /// whether its series are the same as before.
    pub(crate) fn family(
        &mut self,
        format: Format,
        name: &str,
        integers: Integers,
        series: &FamilySeries<'_>,
    ) -> Option<KeptFamily<'_, G>> {
        let revisions = series.revisions?;
        if series.feeders.len() < LEAST_SERIES {
            return None;
        }
        let format = format.of_lines();
        let family = self.families.entry(Key { table: revisions.table, format }).or_default();
        if family.name != name || family.integers != Some(integers) {
            self.bytes -= family.bytes;
            *family = Family { name: name.to_owned(), integers: Some(integers), ..Family::default() };
        }
        family.last_answer = self.answer;
        let left = family.groups.len().min(revisions.groups.len());
        let removed: usize = family.groups.drain(left..).map(|group| group.bytes()).sum();
        family.bytes -= removed;
        self.bytes -= removed;
        family.groups.resize_with(revisions.groups.len(), Group::default);
        Some(KeptFamily { family, bytes: &mut self.bytes, most: self.most })
    }
}

impl<G> KeptFamily<'_, G> {
    /// The kept text of a group whose series have this revision. It is made, by `make`, if the series were the same in the last answer.
    pub(crate) fn get(&mut self, group: usize, revision: u64, make: impl FnOnce() -> Made<G>) -> Option<&mut G> {
        match &self.family.groups[group] {
            Group::Kept { revision: kept, .. } if *kept == revision => {}
            Group::Refused(refused) if *refused == revision => return None,
            Group::Seen(seen) if *seen == revision => {
                if *self.bytes >= self.most {
                    return None;
                }
                match make() {
                    Made::Group { group: made, bytes } => {
                        self.replace(group, Group::Kept { revision, group: Box::new(made), bytes });
                    }
                    Made::Refused => self.replace(group, Group::Refused(revision)),
                    Made::Later => return None,
                }
            }
            _ => self.drop(group, revision),
        }
        match &mut self.family.groups[group] {
            Group::Kept { group, .. } => Some(group),
            Group::Unseen | Group::Seen(_) | Group::Refused(_) => None,
        }
    }

    /// Drops what is kept of a group. It is made again in the next answer, if its series still have this revision.
    pub(crate) fn drop(&mut self, group: usize, revision: u64) {
        self.replace(group, Group::Seen(revision));
    }

    fn replace(&mut self, group: usize, state: Group<G>) {
        let before = std::mem::replace(&mut self.family.groups[group], state);
        let (freed, taken) = (before.bytes(), self.family.groups[group].bytes());
        self.family.bytes = self.family.bytes + taken - freed;
        *self.bytes = *self.bytes + taken - freed;
    }
}

impl<G> Group<G> {
    /// Memory in bytes.
    fn bytes(&self) -> usize {
        match self {
            Self::Kept { bytes, .. } => *bytes,
            Self::Unseen | Self::Seen(_) | Self::Refused(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of a group after it was asked for, if it is kept, and how often it was made.
    fn asked(groups: &mut Family<u8>, revision: u64, made: Made<u8>) -> (Option<u8>, usize) {
        let (mut bytes, mut made, mut count) = (0, Some(made), 0);
        let mut family = KeptFamily { family: groups, bytes: &mut bytes, most: 100 };
        let make = || {
            count += 1;
            made.take().expect("it is made once")
        };
        let kept = family.get(0, revision, make).copied();
        (kept, count)
    }

    fn one() -> Family<u8> {
        Family { groups: vec![Group::Unseen], ..Family::default() }
    }

    #[test]
    fn a_group_is_made_once_its_series_were_the_same_twice() {
        let mut family = one();
        let group = || Made::Group { group: 7, bytes: 1 };
        let asked: Vec<_> = [1, 1, 1, 2, 2].map(|revision| asked(&mut family, revision, group())).into();
        assert_eq!(asked, [(None, 0), (Some(7), 1), (Some(7), 0), (None, 0), (Some(7), 1)]);
    }

    /// Lines that are too long were printed in vain for every answer.
    #[test]
    fn a_group_that_was_refused_is_not_made_again_until_its_series_change() {
        let mut family = one();
        let asked: Vec<_> = [1, 1, 1, 1, 2, 2].map(|revision| asked(&mut family, revision, Made::Refused)).into();
        assert_eq!(asked, [(None, 0), (None, 1), (None, 0), (None, 0), (None, 0), (None, 1)]);
    }
}
