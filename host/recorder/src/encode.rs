//! Frames: what changed from one collection to the next.
//!
//! The encoder keeps a copy of every cell that it follows, and of the label block of every series. A frame has the families that are new,
//! the series that began and ended, and the cells that changed, whole numbers by their difference. A keyframe is made of the copies
//! alone, for a viewer that joins and for the beginning of a segment of the window.
//!
//! It follows a bounded number of series: those in the first slots of a family. A frame says how many series there are, so that the page
//! can say what is left out.

use std::{collections::HashMap, ops::Range};

use ebhost_handle::{Collection, NamedFamily, Origin};
use ebhost_limits as limits;
use ebhost_metrics::{Family, Layout, Series};

use crate::{
    changes::ChangeList,
    frames::{SeriesChange, declaration, family_flag},
    wire::{BlockKind, block, put_number},
};

/// Turns collections into frames. It belongs to one stream: each frame is the difference from the one before.
#[derive(Debug, Default)]
pub struct Encoder {
    families: Vec<FollowedFamily>,
    by_name: HashMap<String, usize>,
    next_number: u64,
    frames: u64,
    budget: Budget,
}

/// A family as it was in the last frame.
#[derive(Debug)]
struct FollowedFamily {
    number: u64,
    /// With its namespace.
    name: String,
    family: Family,
    layout: Layout,
    package: String,
    origin: Origin,
    declaration: Vec<u8>,
    /// By slot: the label block of the series that is followed; none: there is none.
    labels: Vec<Option<Box<[u8]>>>,
    /// By slot: the cells of the series.
    cells: Vec<u64>,
    /// Series that the family has, followed or not.
    total: u64,
    /// The last frame in which it was present.
    seen: u64,
    is_absent: bool,
}

/// The parts of a frame that is being written.
#[derive(Default)]
struct FrameParts {
    declared: u64,
    declarations: Vec<u8>,
    changed: u64,
    changes: Vec<u8>,
}

impl FrameParts {
    fn declare(&mut self, declaration: &[u8]) {
        self.declared += 1;
        self.declarations.extend_from_slice(declaration);
    }

    fn block(&self, kind: BlockKind, time_ms: u64) -> Vec<u8> {
        let mut payload = time_ms.to_le_bytes().to_vec();
        put_number(&mut payload, self.declared);
        payload.extend_from_slice(&self.declarations);
        put_number(&mut payload, self.changed);
        payload.extend_from_slice(&self.changes);
        block(kind, &payload)
    }
}

impl Encoder {
    /// The frame of a collection at `time_ms`, in milliseconds since 1970: a keyframe if it is the first.
    pub fn frame(&mut self, collection: &Collection<'_>, time_ms: u64) -> Vec<u8> {
        self.frames += 1;
        let mut parts = FrameParts::default();
        for named in collection.families() {
            self.family(&named, &mut parts);
        }
        for family in &mut self.families {
            if family.seen != self.frames && !family.is_absent {
                family.is_absent = true;
                parts.changed += 1;
                put_number(&mut parts.changes, family.number);
                parts.changes.push(family_flag::ABSENT);
                ChangeList::default().append_to(&mut parts.changes);
            }
        }
        let kind = if self.frames == 1 { BlockKind::Keyframe } else { BlockKind::Delta };
        parts.block(kind, time_ms)
    }

    /// A keyframe of the last collection.
    pub fn keyframe(&self, time_ms: u64) -> Vec<u8> {
        let mut parts = FrameParts::default();
        for family in &self.families {
            parts.declare(&family.declaration);
            parts.changed += 1;
            put_number(&mut parts.changes, family.number);
            let absent = if family.is_absent { family_flag::ABSENT } else { 0 };
            parts.changes.push(absent | family_flag::TOTAL);
            put_number(&mut parts.changes, family.total);
            // Those of an absent family, too: when it comes back, its changes are since then.
            let mut series = ChangeList::default();
            for (slot, labels) in family.labels.iter().enumerate() {
                if let Some(labels) = labels {
                    series.begin(slot, labels, family.cells_of(slot), &family.layout);
                }
            }
            series.append_to(&mut parts.changes);
        }
        parts.block(BlockKind::Keyframe, time_ms)
    }

    /// Forgets families that are absent. They are declared anew when they come back.
    pub fn forget_absent(&mut self) {
        self.families.retain(|family| !family.is_absent);
        self.budget = Budget::default();
        for family in &self.families {
            self.budget.cells += family.cells.len();
            self.budget.label_bytes += family.label_bytes();
        }
        self.by_name = self.families.iter().enumerate().map(|(at, family)| (family.name.clone(), at)).collect();
    }

    fn family(&mut self, named: &NamedFamily<'_>, parts: &mut FrameParts) {
        let name = named.name();
        let known = self.by_name.get(&name).copied();
        let at = match known.filter(|at| self.families[*at].describes(named)) {
            Some(at) => at,
            None if named.series.is_empty() => return,
            None => {
                let family = FollowedFamily::new(self.next_number, name.clone(), named);
                self.next_number += 1;
                parts.declare(&family.declaration);
                let at = known.unwrap_or(self.families.len());
                match known {
                    // Another family of that name: the page ends the one before when it reads the declaration.
                    Some(at) => {
                        let before = std::mem::replace(&mut self.families[at], family);
                        self.budget.give_back(&before);
                    }
                    None => self.families.push(family),
                }
                self.by_name.insert(name, at);
                at
            }
        };
        let family = &mut self.families[at];
        family.seen = self.frames;
        family.follow(named, parts, &mut self.budget);
    }
}

impl FollowedFamily {
    fn new(number: u64, name: String, named: &NamedFamily<'_>) -> Self {
        Self {
            number,
            name,
            family: named.series.family().clone(),
            layout: named.series.layout().clone(),
            package: named.package.to_owned(),
            origin: named.origin,
            declaration: declaration(number, named),
            labels: Vec::new(),
            cells: Vec::new(),
            total: 0,
            seen: 0,
            is_absent: false,
        }
    }

    fn describes(&self, named: &NamedFamily<'_>) -> bool {
        self.package == named.package
            && self.origin == named.origin
            && self.layout == *named.series.layout()
            && self.family == *named.series.family()
    }

    fn label_bytes(&self) -> usize {
        self.labels.iter().flatten().map(|labels| labels.len()).sum()
    }

    fn cells_of(&self, slot: usize) -> &[u64] {
        let width = self.layout.width();
        &self.cells[slot * width..][..width]
    }

    /// Writes what changed in this family, and takes it over.
    fn follow(&mut self, named: &NamedFamily<'_>, parts: &mut FrameParts, budget: &mut Budget) {
        let mut list = ChangeList::default();
        let (mut total, mut next) = (0, 0);
        for series in named.series.iter() {
            total += 1;
            let slot = series.slot();
            if slot >= limits::FOLLOWED_SERIES {
                continue;
            }
            self.end(next..slot, &mut list, budget);
            next = slot + 1;
            self.series(slot, &series, &mut list, budget);
        }
        self.end(next..self.labels.len(), &mut list, budget);
        let flags = if total != self.total { family_flag::TOTAL } else { 0 };
        if list.is_empty() && flags == 0 && !self.is_absent {
            return;
        }
        (self.total, self.is_absent) = (total, false);
        parts.changed += 1;
        put_number(&mut parts.changes, self.number);
        parts.changes.push(flags);
        if flags != 0 {
            put_number(&mut parts.changes, total);
        }
        list.append_to(&mut parts.changes);
    }

    /// Ends the series in these slots.
    fn end(&mut self, slots: Range<usize>, list: &mut ChangeList, budget: &mut Budget) {
        for slot in slots.start..slots.end.min(self.labels.len()) {
            if let Some(labels) = self.labels[slot].take() {
                budget.label_bytes -= labels.len();
                list.add(slot, SeriesChange::End);
            }
        }
    }

    fn series(&mut self, slot: usize, series: &Series<'_>, list: &mut ChangeList, budget: &mut Budget) {
        let width = self.layout.width();
        let is_same = self.labels.get(slot).is_some_and(|labels| labels.as_deref() == Some(series.labels));
        if is_same {
            list.change(slot, &self.layout, &mut self.cells[slot * width..][..width], series.cells);
            return;
        }
        self.end(slot..slot + 1, list, budget);
        let new_slots = (slot + 1).saturating_sub(self.labels.len());
        if !budget.take(new_slots * width, series.labels.len()) {
            return;
        }
        self.labels.resize(self.labels.len() + new_slots, None);
        self.cells.resize(self.labels.len() * width, 0);
        self.labels[slot] = Some(series.labels.into());
        self.cells[slot * width..][..width].copy_from_slice(series.cells);
        list.begin(slot, series.labels, series.cells, &self.layout);
    }
}

/// The cells and label bytes that are followed of all families together.
#[derive(Debug, Default)]
struct Budget {
    cells: usize,
    label_bytes: usize,
}

impl Budget {
    /// Takes so much more; false if that is too much.
    fn take(&mut self, cells: usize, label_bytes: usize) -> bool {
        let fits = self.cells + cells <= limits::FOLLOWED_CELLS
            && self.label_bytes + label_bytes <= limits::FOLLOWED_LABEL_BYTES;
        if fits {
            self.cells += cells;
            self.label_bytes += label_bytes;
        }
        fits
    }

    fn give_back(&mut self, family: &FollowedFamily) {
        self.cells -= family.cells.len();
        self.label_bytes -= family.label_bytes();
    }
}
