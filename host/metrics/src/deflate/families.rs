//! Families whose lines are prepared by their tables: no text is printed.

use std::ops::Range;

use super::{
    Deflated,
    group::{FromParts, Group, Scratch},
    number::NumberText,
    parse::Lines,
    stream::BlockWriter,
};
use crate::{
    encode::Integers,
    family::FamilySeries,
    kept::{KeptFamily, KeptGroups, Made},
    negotiate::Format,
};

/// The prepared groups of all families.
#[derive(Debug)]
pub(crate) struct PreparedFamilies {
    groups: KeptGroups<Group>,
    lines_per_answer: usize,
    /// Lines that may still be prepared in this answer.
    lines_left: usize,
    scratch: Scratch,
}

/// The lines of one family.
pub(crate) struct FamilyLines<'p, 's> {
    groups: KeptFamily<'p, Group>,
    lines_left: &'p mut usize,
    scratch: &'p mut Scratch,
    name: String,
    series: FamilySeries<'s>,
    blocks: BlockWriter,
}

impl PreparedFamilies {
    /// Groups that take `most` bytes of memory, or little more, of which so many lines are prepared in one answer.
    pub(crate) fn new(most: usize, lines_per_answer: usize) -> Self {
        Self { groups: KeptGroups::new(most), lines_per_answer, lines_left: 0, scratch: Scratch::default() }
    }

    /// Memory of all groups in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.groups.memory()
    }

    /// Begins an answer.
    pub(crate) fn begin(&mut self) {
        self.groups.begin();
        self.lines_left = self.lines_per_answer;
    }

    /// The lines of a family of single numbers, whose samples are called `name`; `None` if they are not worth preparing.
    pub(crate) fn family<'p, 's>(
        &'p mut self,
        format: Format,
        name: &str,
        integers: Integers,
        series: FamilySeries<'s>,
    ) -> Option<FamilyLines<'p, 's>> {
        let groups = self.groups.family(format, name, integers, &series)?;
        let (lines_left, scratch) = (&mut self.lines_left, &mut self.scratch);
        Some(FamilyLines { groups, lines_left, scratch, name: name.to_owned(), series, blocks: BlockWriter::default() })
    }
}

impl FamilyLines<'_, '_> {
    /// Compresses a group of lines. `number` gives the number of a slot. False: it is not prepared, and nothing was written.
    pub(crate) fn write(&mut self, group: usize, mut number: impl FnMut(usize) -> NumberText) -> bool {
        let Some(revisions) = self.series.revisions else { return false };
        let (revision, slots) = (revisions.groups[group], revisions.slots(group, self.series.feeders.len()));
        let make = || {
            if *self.lines_left < slots.len() {
                return Made::Later;
            }
            *self.lines_left -= slots.len();
            let lines = lines_of(&self.name, self.series, slots.clone(), &mut number);
            match Group::new(&lines) {
                Some(group) => Made::Group { bytes: group.memory(), group },
                None => Made::Refused,
            }
        };
        let Some(prepared) = self.groups.get(group, revision, make) else { return false };
        let before = self.blocks.bits.mark();
        // Slots without a series have no line.
        let mut fed = slots.clone().filter(|slot| self.series.feeders[*slot] > 0);
        let numbers = |_| fed.next().map_or_else(|| NumberText::text(b""), &mut number);
        match prepared.write::<FromParts>(numbers, self.scratch, &mut self.blocks.bits, self.blocks.written) {
            Ok(written) => {
                self.blocks.written = written;
                true
            }
            Err(_) => {
                self.blocks.bits.reset_to(before);
                self.groups.drop(group, revision);
                false
            }
        }
    }

    /// The blocks that were written, once they are worth a chunk.
    pub(crate) fn take_chunk(&mut self) -> Option<Deflated> {
        self.blocks.take_chunk()
    }

    /// The blocks that were written, if there are any.
    pub(crate) fn take(&mut self) -> Option<Deflated> {
        self.blocks.take()
    }
}

/// The lines of these slots.
fn lines_of(
    name: &str,
    series: FamilySeries<'_>,
    slots: Range<usize>,
    mut number: impl FnMut(usize) -> NumberText,
) -> Lines {
    let mut lines = Lines::default();
    for slot in slots.filter(|slot| series.feeders[*slot] > 0) {
        let labels = series.blocks.get(slot as u32);
        if labels.is_empty() {
            lines.push(&[name.as_bytes(), b" "], number(slot));
        } else {
            lines.push(&[name.as_bytes(), b"{", labels, b"} "], number(slot));
        }
    }
    lines
}
