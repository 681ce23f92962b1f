//! The identities of a table's rows: computed for new entries, and compared again where the value holds identity bytes.

use ebhost_snapshot::{Keys, Snapshot};

use super::TableView;
use crate::labels::identities::AnswerState;
use crate::plan::ViewPlan;
use crate::schema::{Field, Part};
use crate::util::runs::append;

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
        for row in 0..snapshot.len {
            let Some(entry) = self.rows.entry_of(row) else { continue };
            let before = self.rows.entries.identity[entry as usize];
            if self.has_identity(snapshot, row, before) {
                continue;
            }
            gather_identity(&self.plan, snapshot, row, &mut self.scratch);
            self.has_lapsed |= self.labels.identities.state(before) == AnswerState::Labelled;
            self.rows.entries.identity[entry as usize] = self.labels.identities.hold(&self.scratch, since);
            self.labels.identities.release(before);
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
