//! Printed lines that are kept: where the series of a group are the same as in the last answer, only numbers that changed are printed.
//!
//! A number that keeps its length is overwritten where it stands; where one gains or loses a digit, the text between such numbers is moved.
//! The text is handed out as it is kept, without a copy. While a slow client still reads it, changes go into a copy.

use std::{ops::Range, sync::Arc};

use crate::{
    encode::{Integers, number},
    family::FamilySeries,
    kept::{KeptFamily, KeptGroups, Made},
    negotiate::Format,
    revisions::GROUP_SERIES,
};

/// The printed groups of all families.
#[derive(Debug)]
pub(crate) struct PrintedTexts {
    groups: KeptGroups<PrintedGroup>,
}

/// The printed groups of one family.
pub(crate) struct PrintedFamily<'p, 's> {
    groups: KeptFamily<'p, PrintedGroup>,
    series: FamilySeries<'s>,
}

/// The printed lines of a group of series.
#[derive(Debug)]
struct PrintedGroup {
    text: Arc<Vec<u8>>,
    /// By slot of the group: the cell whose number is in the text.
    cells: Vec<u64>,
    /// By slot: its number in the text; [`Place::NONE`] for a slot without a series.
    places: Vec<Place>,
    /// Slots whose numbers have another length now; kept for its memory.
    moved: Vec<usize>,
}

/// A number in a text: the position behind it in the upper 24 bits, its length in the others.
#[derive(Debug, Clone, Copy)]
struct Place(u32);

/// The longest text of a group that is kept.
const MOST_TEXT: usize = (1 << 24) - 1;

/// Groups of series, by whose revisions it is known that they are the same, that are one text: fewer and longer pieces take less time to send.
const JOINED: usize = 4;

/// Slots that are compared at a time.
const COMPARED: usize = 16;

impl PrintedTexts {
    /// Texts that take `most` bytes of memory, or little more.
    pub(crate) fn new(most: usize) -> Self {
        Self { groups: KeptGroups::new(most) }
    }

    /// Memory of all texts in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.groups.memory()
    }

    /// Begins an answer.
    pub(crate) fn begin(&mut self) {
        self.groups.begin();
    }

    /// The lines of a family of single numbers, whose samples are called `name`; `None` if they are not worth keeping.
    pub(crate) fn family<'p, 's>(
        &'p mut self,
        format: Format,
        name: &str,
        integers: Integers,
        series: FamilySeries<'s>,
    ) -> Option<PrintedFamily<'p, 's>> {
        Some(PrintedFamily { groups: self.groups.family(format, name, integers, &series)?, series })
    }
}

impl PrintedFamily<'_, '_> {
    /// The number of groups.
    pub(crate) fn groups(&self) -> usize {
        self.revisions().len().div_ceil(JOINED)
    }

    fn revisions(&self) -> &[u64] {
        self.series.revisions.map_or(&[], |revisions| revisions.groups)
    }

    /// The slots of a group.
    pub(crate) fn slots(&self, group: usize) -> Range<usize> {
        let slots = self.series.feeders.len();
        let size = JOINED * GROUP_SERIES;
        (group * size).min(slots)..((group + 1) * size).min(slots)
    }

    /// The lines of a group; `None`: they are not kept. `stem` appends what precedes the number of a slot, `print` appends the number of a
    /// cell; those below `digits_below` print as their digits.
    pub(crate) fn text(
        &mut self,
        group: usize,
        stem: impl FnMut(usize, &mut Vec<u8>),
        print: impl Fn(u64, &mut Vec<u8>),
        digits_below: u64,
    ) -> Option<Arc<Vec<u8>>> {
        // A change gives a revision that is greater than all before.
        let revision = self.revisions().iter().skip(group * JOINED).take(JOINED).max().copied()?;
        let slots = self.slots(group);
        let (feeders, cells) = (&self.series.feeders[slots.clone()], &self.series.cells[slots.clone()]);
        let make = || match PrintedGroup::new(slots.start, feeders, cells, stem, &print) {
            Some(group) => Made::Group { bytes: group.memory(), group },
            None => Made::Refused,
        };
        let kept = self.groups.get(group, revision, make)?;
        if kept.refresh(cells, print, digits_below) {
            return Some(kept.text.clone());
        }
        self.groups.drop(group, revision);
        None
    }
}

impl PrintedGroup {
    /// Prints the lines of slots from `first` on. `None` if they are too long.
    fn new(
        first: usize,
        feeders: &[u32],
        cells: &[u64],
        mut stem: impl FnMut(usize, &mut Vec<u8>),
        print: impl Fn(u64, &mut Vec<u8>),
    ) -> Option<Self> {
        let mut text = Vec::new();
        let mut places = Vec::with_capacity(cells.len());
        for (at, (feeders, cell)) in feeders.iter().zip(cells).enumerate() {
            if *feeders == 0 {
                places.push(Place::NONE);
                continue;
            }
            stem(first + at, &mut text);
            let start = text.len();
            print(*cell, &mut text);
            places.push(Place::new(start, text.len())?);
            text.push(b'\n');
        }
        text.shrink_to_fit();
        Some(Self { text: Arc::new(text), cells: cells.to_vec(), places, moved: Vec::new() })
    }

    /// Memory in bytes.
    fn memory(&self) -> usize {
        self.text.capacity() + self.cells.len() * (size_of::<u64>() + size_of::<Place>())
    }

    /// Prints the numbers of cells that changed. False: the text would be too long.
    fn refresh(&mut self, cells: &[u64], print: impl Fn(u64, &mut Vec<u8>), digits_below: u64) -> bool {
        if self.cells == cells {
            return true;
        }
        if Arc::get_mut(&mut self.text).is_none() {
            self.text = Arc::new(self.text.to_vec());
        }
        let Some(text) = Arc::get_mut(&mut self.text) else { return false };
        let mut scratch = Vec::new();
        self.moved.clear();
        let parts = cells.chunks(COMPARED).zip(self.cells.chunks_mut(COMPARED)).enumerate();
        for (part, (now, printed)) in parts.filter(|(_, (now, printed))| now != printed) {
            for (at, (now, printed)) in now.iter().zip(printed).enumerate().filter(|(_, (now, printed))| now != printed)
            {
                *printed = *now;
                let slot = part * COMPARED + at;
                if self.places[slot].is_none() {
                    continue;
                }
                let (start, end) = self.places[slot].range();
                if *now < digits_below && number::overwrite(*now, &mut text[..end], end - start) {
                    continue;
                }
                scratch.clear();
                print(*now, &mut scratch);
                if scratch.len() == end - start {
                    text[start..end].copy_from_slice(&scratch);
                } else {
                    self.moved.push(slot);
                }
            }
        }
        self.moved.is_empty() || self.reprint_moved(print)
    }

    /// Prints the numbers whose length changed, and moves the text between them. False: it would be too long.
    fn reprint_moved(&mut self, print: impl Fn(u64, &mut Vec<u8>)) -> bool {
        let mut text = Vec::with_capacity(self.text.len() + 2 * self.moved.len());
        let (mut copied, mut next) = (0, 0);
        for slot in &self.moved {
            let (start, end) = self.places[*slot].range();
            let Some(()) = shift(&mut self.places[next..*slot], text.len() as i64 - copied as i64) else {
                return false;
            };
            text.extend_from_slice(&self.text[copied..start]);
            let start = text.len();
            print(self.cells[*slot], &mut text);
            let Some(place) = Place::new(start, text.len()) else { return false };
            self.places[*slot] = place;
            (copied, next) = (end, slot + 1);
        }
        let Some(()) = shift(&mut self.places[next..], text.len() as i64 - copied as i64) else { return false };
        text.extend_from_slice(&self.text[copied..]);
        self.text = Arc::new(text);
        true
    }
}

/// Moves numbers. `None`: one would be beyond the longest text.
fn shift(places: &mut [Place], by: i64) -> Option<()> {
    if by != 0 {
        for place in places.iter_mut().filter(|place| !place.is_none()) {
            let (start, end) = place.range();
            *place = Place::new((start as i64 + by) as usize, (end as i64 + by) as usize)?;
        }
    }
    Some(())
}

impl Place {
    /// No number.
    const NONE: Self = Self(u32::MAX);

    fn is_none(self) -> bool {
        self.0 == u32::MAX
    }

    fn new(start: usize, end: usize) -> Option<Self> {
        (end < MOST_TEXT && end - start < 256).then_some(Self((end as u32) << 8 | (end - start) as u32))
    }

    /// Where the number begins and ends.
    #[inline]
    fn range(self) -> (usize, usize) {
        let end = (self.0 >> 8) as usize;
        (end - (self.0 & 0xff) as usize, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(feeders: &[u32], cells: &[u64]) -> PrintedGroup {
        PrintedGroup::new(0, feeders, cells, stem, number::integer).unwrap()
    }

    fn stem(slot: usize, text: &mut Vec<u8>) {
        text.extend_from_slice(format!("calls{{id=\"{slot}\"}} ").as_bytes());
    }

    fn printed(feeders: &[u32], cells: &[u64]) -> String {
        let fed = feeders.iter().zip(cells).enumerate().filter(|(_, (feeders, _))| **feeders > 0);
        fed.map(|(slot, (_, cell))| format!("calls{{id=\"{slot}\"}} {cell}\n")).collect()
    }

    #[test]
    fn a_text_is_that_of_its_numbers_whatever_changes() {
        let feeders: Vec<u32> = (0..300).map(|slot| u32::from(slot % 7 > 0)).collect();
        let mut cells: Vec<u64> = (0..300).map(|slot| u64::from(feeders[slot as usize]) * slot * slot).collect();
        let mut group = group(&feeders, &cells);
        for round in 1..200u64 {
            for (slot, cell) in cells.iter_mut().enumerate().skip(round as usize % 5) {
                if (slot as u64 + round).is_multiple_of(1 + round % 11) {
                    *cell = match round % 4 {
                        0 => *cell * 10 + 3,
                        1 => *cell / 10,
                        2 => cell.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (round % 60),
                        _ => *cell + 1,
                    };
                }
            }
            assert!(group.refresh(&cells, number::integer, [0, u64::MAX][round as usize % 2]));
            assert_eq!(String::from_utf8(group.text.to_vec()).unwrap(), printed(&feeders, &cells));
        }
    }

    /// A slow client would get half of one scrape and half of the next.
    #[test]
    fn a_text_that_is_still_read_does_not_change() {
        let mut cells = [1, 22, 333];
        let mut group = group(&[1; 3], &cells);
        let read = group.text.clone();
        let before = read.to_vec();
        cells[1] = 23;
        assert!(group.refresh(&cells, number::integer, u64::MAX));
        cells[2] = 1_000;
        assert!(group.refresh(&cells, number::integer, u64::MAX));
        assert_eq!(*read, before);
        assert_eq!(String::from_utf8(group.text.to_vec()).unwrap(), printed(&[1; 3], &cells));
    }

    #[test]
    fn memory_is_that_of_the_text_and_of_each_series() {
        let group = group(&[1; 300], &[5; 300]);
        assert_eq!(group.memory(), group.text.capacity() + 300 * (8 + size_of::<Place>()));
    }

    #[test]
    fn a_text_that_is_too_long_is_not_kept() {
        let long = |_: usize, text: &mut Vec<u8>| text.resize(text.len() + MOST_TEXT / 2, b'x');
        assert!(PrintedGroup::new(0, &[1; 3], &[0; 3], long, number::integer).is_none());
    }
}
