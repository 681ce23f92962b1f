//! The identities of one view: the bytes that decide labels, stored once however many entries have them.
//!
//! Because of this, ten thousand empty banks of an array are one question to the plugin.

use std::collections::HashSet;

use foldhash::fast::RandomState;

use crate::IdentityId;
use crate::util::index::HashIndex;
use crate::util::runs::{append, replace};
use crate::util::{hash, shed};

/// In columns of numbers: no identity, no series, no entry.
pub(crate) const NONE: u32 = u32::MAX;

/// The state of an identity's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnswerState {
    /// No answer yet.
    Unanswered,
    /// Skipped or not understood: it has no series.
    Refused,
    /// It has labels, and feeds series.
    Labelled,
    /// No entry has it, and its number is free.
    Free,
}

/// Whether entries can have an identity in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// They can: identities are looked up in an index.
    Shared,
    /// They cannot, because the identity contains the whole key.
    OneEach,
}

/// Identities of `size` bytes each, counted by the entries that have them.
#[derive(Debug)]
pub(crate) struct Identities {
    size: usize,
    bytes: Vec<u8>,
    /// `None` if no two entries share an identity, so that no lookup is needed.
    by_bytes: Option<HashIndex>,
    hasher: RandomState,
    /// By identity: the entries that have it.
    entries: Vec<u32>,
    state: Vec<AnswerState>,
    /// By identity: whether an answer is requested, the first or another one.
    requested: Vec<bool>,
    /// By identity: when the baselines of its entries that have not been counted since were taken, in seconds since 1970.
    since: Vec<f64>,
    /// Identities that an answer is requested for, and those that were answered since the list was trimmed.
    unanswered: Vec<IdentityId>,
    /// Requested identities that have no labels to be counted with meanwhile.
    unlabelled: usize,
    /// Identities that have labels.
    labelled: usize,
    free: Vec<u32>,
    /// Identities that lost their last entry since orphans were last dropped.
    orphans: Vec<u32>,
}

impl Identities {
    pub(crate) fn new(size: usize, sharing: Sharing) -> Self {
        Self {
            size,
            bytes: Vec::new(),
            by_bytes: (sharing == Sharing::Shared).then(HashIndex::default),
            hasher: RandomState::default(),
            entries: Vec::new(),
            state: Vec::new(),
            requested: Vec::new(),
            since: Vec::new(),
            unanswered: Vec::new(),
            unlabelled: 0,
            labelled: 0,
            free: Vec::new(),
            orphans: Vec::new(),
        }
    }

    /// The bytes of an identity.
    #[inline]
    pub(crate) fn get(&self, id: u32) -> &[u8] {
        &self.bytes[id as usize * self.size..][..self.size]
    }

    /// Adds an entry to an identity, which is created if need be; `since` is when that entry's baseline was taken.
    pub(crate) fn hold(&mut self, identity: &[u8], since: f64) -> u32 {
        if self.by_bytes.is_none() {
            return self.add(identity, since);
        }
        let hashed = hash(&self.hasher, identity);
        if let Some(id) = self.by_bytes.as_ref().and_then(|index| index.find(hashed, |id| self.get(id) == identity)) {
            self.entries[id as usize] += 1;
            return id;
        }
        let id = self.add(identity, since);
        if let Some(index) = &mut self.by_bytes {
            index.insert(hashed, id);
        }
        id
    }

    /// Removes an entry from an identity.
    pub(crate) fn release(&mut self, id: u32) {
        self.entries[id as usize] -= 1;
        if self.entries[id as usize] == 0 {
            self.orphans.push(id);
        }
    }

    /// Frees the identities without entries, and calls `freed` for each.
    pub(crate) fn drop_orphans(&mut self, mut freed: impl FnMut(u32)) {
        let mut request_cleared = false;
        let mut orphans = std::mem::take(&mut self.orphans);
        for id in orphans.drain(..) {
            // A listed identity may have an entry again, or be listed twice.
            if self.entries[id as usize] == 0 && self.state[id as usize] != AnswerState::Free {
                self.remove(id);
                request_cleared |= self.clear_request(id);
                freed(id);
                self.labelled -= usize::from(self.state(id) == AnswerState::Labelled);
                self.state[id as usize] = AnswerState::Free;
                self.free.push(id);
            }
        }
        self.orphans = orphans;
        if request_cleared {
            self.trim_unanswered();
        }
    }

    /// By identity: when the oldest baseline of its uncounted entries was taken, in seconds since 1970.
    pub(crate) fn since(&self) -> &[f64] {
        &self.since
    }

    /// The identities that entries have.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.entries.len() as u32).filter(|&id| self.is_held(id)).map(|id| self.get(id))
    }

    /// The identities that entries have and that `is_wanted` accepts.
    pub(crate) fn with(&self, mut is_wanted: impl FnMut(&[u8]) -> bool) -> HashSet<u32, RandomState> {
        (0..self.entries.len() as u32).filter(|&id| self.is_held(id) && is_wanted(self.get(id))).collect()
    }

    /// Whether any entry has it.
    pub(crate) fn is_held(&self, id: u32) -> bool {
        self.entries.get(id as usize).is_some_and(|&entries| entries > 0)
    }

    #[inline]
    pub(crate) fn state(&self, id: u32) -> AnswerState {
        self.state[id as usize]
    }

    /// Whether the entries of an identity cannot be counted until an answer comes.
    #[inline]
    pub(crate) fn is_unlabelled(&self, id: u32) -> bool {
        self.requested[id as usize] && self.state[id as usize] != AnswerState::Labelled
    }

    /// Identities whose entries cannot be counted until an answer comes.
    pub(crate) fn unlabelled(&self) -> usize {
        self.unlabelled
    }

    /// Records an answer in a scrape whose previous read was at `since`; returns the previous state.
    pub(crate) fn set_state(&mut self, id: u32, state: AnswerState, since: f64) -> AnswerState {
        self.clear_request(id);
        let previous = std::mem::replace(&mut self.state[id as usize], state);
        self.labelled += usize::from(state == AnswerState::Labelled);
        if previous == AnswerState::Labelled {
            self.labelled -= 1;
            self.since[id as usize] = since; // its entries were counted then
        }
        previous
    }

    /// Requests a new answer for each identity that `changed` accepts. Its present labels stay until the answer comes.
    pub(crate) fn request_again(&mut self, mut changed: impl FnMut(&[u8]) -> bool) {
        for id in 0..self.entries.len() as u32 {
            let is_candidate = self.entries[id as usize] > 0 && !self.requested[id as usize];
            if is_candidate && changed(self.get(id)) {
                self.request_answer(id);
            }
        }
    }

    /// Identities that an answer is requested for, and those that were answered since the list was trimmed.
    pub(crate) fn unanswered(&self) -> &[IdentityId] {
        &self.unanswered
    }

    /// How many identities an answer is requested for.
    pub(crate) fn requested(&self) -> usize {
        self.unanswered.iter().filter(|id| self.requested[id.0 as usize]).count()
    }

    /// Whether every identity has labels.
    pub(crate) fn are_all_labelled(&self) -> bool {
        self.labelled == self.len()
    }

    /// Takes answered identities off the list.
    pub(crate) fn trim_unanswered(&mut self) {
        let requested = &self.requested;
        self.unanswered.retain(|id| requested[id.0 as usize]);
        shed(&mut self.unanswered);
    }

    /// The number of identities.
    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Identity numbers in use, free ones included.
    pub(crate) fn slots(&self) -> usize {
        self.entries.len()
    }

    /// Reserves room for a burst of new identities.
    pub(crate) fn reserve(&mut self, more: usize) {
        if let Some(index) = &mut self.by_bytes {
            index.reserve(more);
        }
    }

    /// Returns the memory that a burst took.
    pub(crate) fn shed(&mut self) {
        for buffer in [&mut self.orphans, &mut self.free] {
            shed(buffer);
        }
    }

    fn add(&mut self, identity: &[u8], since: f64) -> u32 {
        let id = self.free.pop().unwrap_or(self.entries.len() as u32);
        if id as usize == self.entries.len() {
            append(&mut self.bytes, identity);
            self.entries.push(1);
            self.state.push(AnswerState::Unanswered);
            self.requested.push(false);
            self.since.push(since);
        } else {
            replace(&mut self.bytes[id as usize * self.size..][..self.size], identity);
            self.entries[id as usize] = 1;
            self.state[id as usize] = AnswerState::Unanswered;
            self.since[id as usize] = since;
        }
        self.request_answer(id);
        id
    }

    fn remove(&mut self, id: u32) {
        if self.by_bytes.is_none() {
            return;
        }
        let hashed = hash(&self.hasher, self.get(id));
        if let Some(index) = &mut self.by_bytes {
            index.remove(hashed, id);
        }
    }

    fn request_answer(&mut self, id: u32) {
        self.requested[id as usize] = true;
        self.unlabelled += usize::from(self.is_unlabelled(id));
        self.unanswered.push(IdentityId(id));
    }

    /// Withdraws the request for an answer; returns whether there was one.
    fn clear_request(&mut self, id: u32) -> bool {
        self.unlabelled -= usize::from(self.is_unlabelled(id));
        std::mem::take(&mut self.requested[id as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_labelled_once_each_has_labels_and_until_one_loses_them() {
        let mut identities = Identities::new(1, Sharing::Shared);
        assert!(identities.are_all_labelled(), "there are none");
        let [one, other] = [b"a", b"b"].map(|identity| identities.hold(identity, 0.0));
        identities.set_state(one, AnswerState::Labelled, 0.0);
        assert!(!identities.are_all_labelled());
        identities.set_state(other, AnswerState::Labelled, 0.0);
        assert!(identities.are_all_labelled());
        identities.set_state(one, AnswerState::Refused, 0.0);
        assert!(!identities.are_all_labelled());
        identities.release(one);
        identities.drop_orphans(|_| {});
        assert!(identities.are_all_labelled());
    }
}
