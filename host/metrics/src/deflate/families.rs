//! The prepared groups of all families, within a budget of memory.

use std::{collections::HashMap, ops::Range};

use super::{
    Deflated,
    bits::BitWriter,
    crc,
    group::{Group, Written},
    number::NumberText,
};
use crate::{encode::Integers, family::FamilySeries, negotiate::Format, revisions::Revisions};

/// Prepared groups of families, kept from scrape to scrape.
#[derive(Debug)]
pub struct Preparations {
    families: HashMap<Key, PreparedFamily>,
    limits: PreparationLimits,
    /// The number of the answer that is being encoded.
    answer: u64,
    bytes: usize,
    /// Lines that may still be prepared in this answer.
    lines_left: usize,
}

/// The bounds of [`Preparations`].
#[derive(Debug, Clone, Copy)]
pub struct PreparationLimits {
    /// Memory of all groups.
    pub bytes: usize,
    /// Lines that are prepared in one answer: it takes time that the scrape waits for.
    pub lines_per_answer: usize,
}

/// A family in one format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    table: u64,
    format: Format,
}

#[derive(Debug, Default)]
struct PreparedFamily {
    /// The text before the labels; and how numbers are written.
    name: String,
    integers: Option<Integers>,
    groups: Vec<GroupState>,
    bytes: usize,
    last_answer: u64,
}

/// A group of series.
#[derive(Debug, Default)]
enum GroupState {
    #[default]
    Unseen,
    /// Its series were these; they have to be the same once more.
    Seen(u64),
    Prepared {
        revision: u64,
        group: Box<Group>,
    },
    /// Its lines cannot be prepared.
    Refused(u64),
}

/// Answers after which a family that was in none of them is forgotten. Scrapers may take turns in asking for different formats.
const FORGOTTEN_AFTER: u64 = 8;

/// A family with fewer series is left to the ordinary compressor.
const LEAST_SERIES: usize = 256;

/// Compressed bytes after which blocks are handed out.
const CHUNK_BYTES: usize = 32 << 10;

impl Preparations {
    pub fn new(limits: PreparationLimits) -> Self {
        Self { families: HashMap::new(), limits, answer: 0, bytes: 0, lines_left: 0 }
    }

    /// Memory of all groups in bytes.
    pub fn memory(&self) -> usize {
        self.bytes
    }

    /// Begins an answer: families that were in none for a while are forgotten.
    pub fn begin(&mut self) {
        self.answer += 1;
        self.lines_left = self.limits.lines_per_answer;
        let (answer, bytes) = (self.answer, &mut self.bytes);
        self.families.retain(|_, family| {
            let is_kept = answer - family.last_answer <= FORGOTTEN_AFTER;
            if !is_kept {
                *bytes -= family.bytes;
            }
            is_kept
        });
    }

    /// The lines of a family of single numbers, whose samples are called `name`; `None` if they are better left to an ordinary compressor.
    pub(crate) fn family<'p, 's>(
        &'p mut self,
        format: Format,
        name: &str,
        integers: Integers,
        series: FamilySeries<'s>,
    ) -> Option<FamilyLines<'p, 's>> {
        let revisions = series.revisions?;
        if series.feeders.len() < LEAST_SERIES {
            return None;
        }
        // Both versions of OpenMetrics have the same lines.
        let format = if format == Format::OpenMetrics001 { Format::OpenMetrics100 } else { format };
        let family = self.families.entry(Key { table: revisions.table, format }).or_default();
        if family.name != name || family.integers != Some(integers) {
            self.bytes -= family.bytes;
            *family = PreparedFamily { name: name.to_owned(), integers: Some(integers), ..PreparedFamily::default() };
        }
        family.last_answer = self.answer;
        family.groups.resize_with(revisions.groups.len(), GroupState::default);
        let budget = Budget { bytes: &mut self.bytes, most: self.limits.bytes, lines: &mut self.lines_left };
        Some(FamilyLines { family, series, revisions, budget, blocks: BlockWriter::default() })
    }
}

/// The room that is left for prepared series.
#[derive(Debug)]
struct Budget<'p> {
    bytes: &'p mut usize,
    most: usize,
    lines: &'p mut usize,
}

/// The lines of one family.
#[derive(Debug)]
pub(crate) struct FamilyLines<'p, 's> {
    family: &'p mut PreparedFamily,
    series: FamilySeries<'s>,
    revisions: Revisions<'s>,
    budget: Budget<'p>,
    blocks: BlockWriter,
}

/// Blocks that are not handed out yet.
#[derive(Debug)]
struct BlockWriter {
    bits: BitWriter,
    written: Written,
}

impl Default for BlockWriter {
    fn default() -> Self {
        Self { bits: BitWriter::default(), written: Written { crc: crc::START, bytes: 0 } }
    }
}

impl FamilyLines<'_, '_> {
    /// The number of groups.
    pub(crate) fn groups(&self) -> usize {
        self.revisions.groups.len()
    }

    /// The slots of a group.
    pub(crate) fn slots(&self, group: usize) -> Range<usize> {
        self.revisions.slots(group, self.series.feeders.len())
    }

    /// Compresses a group of lines. `number` gives the number of a slot. False: it is not prepared, and nothing was written.
    pub(crate) fn write(&mut self, group: usize, mut number: impl FnMut(u32) -> NumberText) -> bool {
        let revision = self.revisions.groups[group];
        match &self.family.groups[group] {
            GroupState::Prepared { revision: prepared, .. } if *prepared == revision => {}
            GroupState::Refused(refused) if *refused == revision => return false,
            GroupState::Seen(seen) if *seen == revision => self.prepare(group, &mut number),
            _ => self.replace(group, GroupState::Seen(revision)),
        }
        let GroupState::Prepared { group: prepared, .. } = &mut self.family.groups[group] else { return false };
        let before = self.blocks.bits.mark();
        match prepared.write(&mut number, &mut self.blocks.bits, self.blocks.written) {
            Ok(written) => {
                self.blocks.written = written;
                true
            }
            Err(_) => {
                self.blocks.bits.reset_to(before);
                self.replace(group, GroupState::Seen(revision));
                false
            }
        }
    }

    /// The blocks that were written, once they are worth a chunk.
    pub(crate) fn take_chunk(&mut self) -> Option<Deflated> {
        if self.blocks.bits.len() < CHUNK_BYTES { None } else { self.take() }
    }

    /// The blocks that were written, if there are any.
    pub(crate) fn take(&mut self) -> Option<Deflated> {
        if self.blocks.bits.is_empty() {
            return None;
        }
        let BlockWriter { bits, written } = std::mem::take(&mut self.blocks);
        Some(Deflated { blocks: bits.finish_aligned(), crc: !written.crc, text_bytes: written.bytes })
    }

    fn prepare(&mut self, group: usize, number: &mut impl FnMut(u32) -> NumberText) {
        let slots = self.slots(group);
        let revision = self.revisions.groups[group];
        if *self.budget.lines < slots.len() || *self.budget.bytes >= self.budget.most {
            return; // it may have its turn in a later answer
        }
        *self.budget.lines -= slots.len();
        let (name, series) = (self.family.name.as_bytes(), self.series);
        let lines = slots.filter(|slot| series.feeders[*slot] > 0).map(|slot| {
            let labels = series.blocks.get(slot as u32);
            (slot as u32, name, labels)
        });
        let state = match Group::new(lines, number) {
            Some(prepared) => GroupState::Prepared { revision, group: Box::new(prepared) },
            None => GroupState::Refused(revision),
        };
        self.replace(group, state);
    }

    fn replace(&mut self, group: usize, state: GroupState) {
        let memory = |state: &GroupState| match state {
            GroupState::Prepared { group, .. } => group.memory(),
            GroupState::Unseen | GroupState::Seen(_) | GroupState::Refused(_) => 0,
        };
        let before = std::mem::replace(&mut self.family.groups[group], state);
        let (freed, taken) = (memory(&before), memory(&self.family.groups[group]));
        self.family.bytes = self.family.bytes + taken - freed;
        *self.budget.bytes = *self.budget.bytes + taken - freed;
    }
}
