//! Rows of a table: which identity each has, and what is to be counted of it.
//!
//! An entry is identified when it is born. Its identity is looked at again only where it lies partly in the value.

use super::counting::{Ledger, count, rebase};
use super::entries::Rows;
use super::families::Families;
use super::identities::{Sharing, Standing};
use super::plan::FeedPlan;
use super::schema::{Field, Part};
use super::short::{append, zero};
use super::view::ViewTable;
use ebhost_snapshot::{Keys, Snapshot};

/// New entries in one scrape from which on it is worth making room for their identities beforehand.
const BURST: usize = 4096;

impl ViewTable {
    /// Meets the rows of a table with its entries, and counts those that have labels.
    pub(super) fn observe_rows(&mut self, snapshot: &Snapshot, families: &mut Families) {
        self.cpus = snapshot.cpus;
        if self.plan.sharing() == Sharing::OneEach {
            self.drop_orphans(families); // nobody takes one over, so the new ones can have their places
        }
        self.expect_burst(families);
        self.identify_born(snapshot);
        if self.plan.identity_in_value {
            self.identify_changed(snapshot);
        }
        self.make_room();
        self.clear_born();
        self.drop_orphans(families);
        self.find_waiting(snapshot.len);
        let has_lapsed = self.has_lapsed;
        self.each_feed(families, |feed, entries, _, ledger| match entries.rows(snapshot.len) {
            Rows::InStep(len) => tally(feed, snapshot, (0..len).map(|row| (row, row)), has_lapsed, ledger),
            Rows::Mapped(order) => {
                let rows = order.iter().enumerate().map(|(row, &entry)| (row, entry as usize));
                tally(feed, snapshot, rows, has_lapsed, ledger);
            }
        });
    }

    /// Tables that have to take many new ones at once grow once.
    fn expect_burst(&mut self, families: &mut Families) {
        let born = self.entries.born.len();
        if born > BURST && self.plan.identity_size >= self.plan.key_size {
            self.identities.reserve(born);
            for feed in &self.plan.feeds {
                families.reserve(feed, born);
            }
        }
    }

    /// Gives each new entry its identity.
    fn identify_born(&mut self, snapshot: &Snapshot) {
        for at in 0..self.entries.born.len() {
            let row = self.entries.born[at] as usize;
            let entry = self.entries.of_row(row) as usize;
            self.entries.identity[entry] = match &snapshot.keys {
                Keys::Bytes { size, bytes } if self.plan.identity_is_key => {
                    self.identities.hold(&bytes[row * size..][..*size])
                }
                _ => {
                    self.gather(snapshot, row);
                    self.identities.hold(&self.scratch)
                }
            };
        }
    }

    /// Finds the rows whose values name another identity than last time, as a bank that is taken into use does.
    fn identify_changed(&mut self, snapshot: &Snapshot) {
        for row in 0..snapshot.len {
            let entry = self.entries.of_row(row) as usize;
            let before = self.entries.identity[entry];
            if self.is_of(snapshot, row, before) {
                continue;
            }
            self.gather(snapshot, row);
            self.has_lapsed |= self.identities.standing(before) == Standing::Labelled;
            self.entries.identity[entry] = self.identities.hold(&self.scratch);
            self.identities.release(before);
        }
    }

    /// Whether a row has this identity.
    fn is_of(&self, snapshot: &Snapshot, row: usize, id: u32) -> bool {
        let mut rest = self.identities.get(id);
        self.plan.identity.iter().all(|field| {
            let (part, after) = rest.split_at(field.length);
            rest = after;
            match field.part {
                Part::Key => true, // an entry's key never changes
                Part::Value => &snapshot.row(row)[field.offset..field.offset + field.length] == part,
            }
        })
    }

    /// Puts a row's identity into `scratch`.
    pub(super) fn gather(&mut self, snapshot: &Snapshot, row: usize) {
        let index = (row as u32).to_le_bytes();
        let key = match &snapshot.keys {
            Keys::Index => &index[..],
            Keys::Bytes { size, bytes } => &bytes[row * size..][..*size],
            Keys::Events { .. } => &[],
        };
        self.scratch.clear();
        for &Field { part, offset, length } in &self.plan.identity {
            let bytes = if part == Part::Key { key } else { snapshot.row(row) };
            append(&mut self.scratch, &bytes[offset..offset + length]);
        }
    }

    /// A new entry starts from nothing, whatever had its place before.
    fn clear_born(&mut self) {
        for feed in 0..self.plan.feeds.len() {
            let stride = self.apart(feed) * self.plan.feeds[feed].take.lanes();
            for &row in &self.entries.born {
                zero(&mut self.last[feed][self.entries.of_row(row as usize) as usize * stride..][..stride]);
            }
        }
    }

    fn find_waiting(&mut self, len: usize) {
        self.waiting.clear();
        if self.identities.starved() == 0 {
            return;
        }
        for row in 0..len {
            let entry = self.entries.of_row(row);
            if self.identities.is_starved(self.entries.identity[entry as usize]) {
                self.waiting.push(row as u32);
            }
        }
    }
}

fn tally(
    feed: &FeedPlan,
    snapshot: &Snapshot,
    rows: impl Iterator<Item = (usize, usize)> + Clone,
    has_lapsed: bool,
    ledger: &mut Ledger<'_>,
) {
    if has_lapsed {
        rebase(feed, snapshot, rows.clone(), ledger);
    }
    count(feed, snapshot, rows, ledger);
}
