//! The identities of a table's rows: computed for new entries, and compared again where the value holds identity bytes.

use ebhost_snapshot::{Keys, Snapshot};

use super::TableView;
use crate::labels::identities::AnswerState;
use crate::plan::ViewPlan;
use crate::rows::matcher::Rows;
use crate::schema::{Field, Part};
use crate::util::runs::{append, same};

impl TableView {
    /// Sets the identity of each new entry.
    pub(super) fn identify_inserted(&mut self, snapshot: &Snapshot, since: f64) {
        for at in 0..self.rows.inserted.len() {
            let row = self.rows.inserted[at] as usize;
            let Some(entry) = self.rows.entry_of(row) else { continue };
            let since = match &self.predecessor {
                Some(predecessor) => predecessor.since(snapshot, row).unwrap_or(since),
                None => since,
            };
            self.rows.entries.identity[entry as usize] = match &snapshot.keys {
                Keys::Bytes { size, bytes } if self.plan.identity_is_key => {
                    self.labels.identities.hold(&bytes[row * size..][..*size], since)
                }
                _ => {
                    gather_identity(&self.plan, snapshot, row, &mut self.scratch);
                    self.labels.identities.hold(&self.scratch, since)
                }
            };
        }
    }

    /// Finds rows whose values name another identity than last time, as those of a bank that is taken into use do.
    pub(super) fn identify_changed(&mut self, snapshot: &Snapshot, since: f64) {
        for row in self.changed_rows(snapshot) {
            let Some(entry) = self.rows.entry_of(row) else { continue };
            let before = self.rows.entries.identity[entry as usize];
            gather_identity(&self.plan, snapshot, row, &mut self.scratch);
            self.has_lapsed |= self.labels.identities.state(before) == AnswerState::Labelled;
            self.rows.entries.identity[entry as usize] = self.labels.identities.hold(&self.scratch, since);
            self.labels.identities.release(before);
        }
    }

    /// The rows whose values name another identity than last time. Every scrape compares all rows, so the usual case, an array whose identities are
    /// one piece of the value, has a loop of its own.
    fn changed_rows(&self, snapshot: &Snapshot) -> Vec<usize> {
        let identities = &self.labels.identities;
        match (self.rows.rows(snapshot.len), &self.plan.identity[..]) {
            (Rows::Identity(len), &[Field { part: Part::Value, offset, length }]) => {
                let (stride, before) = (snapshot.row_stride(), &self.rows.entries.identity[..len]);
                let values = snapshot.values.chunks_exact(stride.max(1)).zip(before).enumerate();
                let changed = values.filter(|(_, (value, id))| !same(&value[offset..][..length], identities.get(**id)));
                changed.map(|(row, _)| row).collect()
            }
            _ => {
                let is_changed = |row: &usize| {
                    let entry = self.rows.entry_of(*row);
                    let before = entry.map(|entry| self.rows.entries.identity[entry as usize]);
                    before.is_some_and(|before| !self.has_identity(snapshot, *row, before))
                };
                (0..snapshot.len).filter(is_changed).collect()
            }
        }
    }

    /// Whether a row has this identity.
    fn has_identity(&self, snapshot: &Snapshot, row: usize, id: u32) -> bool {
        let mut rest = self.labels.identities.get(id);
        self.plan.identity.iter().all(|field| {
            let (part, after) = rest.split_at(field.length);
            rest = after;
            match field.part {
                Part::Key => true, // an entry's key never changes
                Part::Value => &snapshot.row(row)[field.offset..field.offset + field.length] == part,
            }
        })
    }
}

/// Writes the identity bytes of a row into `identity`.
pub(in crate::views) fn gather_identity(plan: &ViewPlan, snapshot: &Snapshot, row: usize, identity: &mut Vec<u8>) {
    let index = (row as u32).to_le_bytes();
    let key = match &snapshot.keys {
        Keys::Index => &index[..],
        Keys::Bytes { size, bytes } => &bytes[row * size..][..*size],
        Keys::Events { .. } => &[],
    };
    identity.clear();
    for &Field { part, offset, length } in &plan.identity {
        let bytes = if part == Part::Key { key } else { snapshot.row(row) };
        append(identity, &bytes[offset..offset + length]);
    }
}
