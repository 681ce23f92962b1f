//! The identities of one view: the bytes that decide labels, each held once however many entries have them.
//!
//! This is what makes ten thousand empty banks of an array one question to the plugin.

use foldhash::fast::RandomState;

use super::IdentityId;
use super::family::hash;
use super::index::Index;
use super::shed;
use super::short::{append, replace};

/// No identity, no series.
pub(super) const NONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// No answer yet.
    Unanswered,
    /// Skipped or not understood: no series.
    Refused,
    /// Feeds series.
    Labelled,
    /// No entry has it: the place is free.
    Free,
}

/// Whether entries can have an identity in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sharing {
    Shared,
    /// The identity holds all of the key.
    OneEach,
}

#[derive(Debug)]
pub(super) struct Identities {
    size: usize,
    bytes: Vec<u8>,
    /// Absent where every entry has an identity of its own, which then need not be looked for.
    by_bytes: Option<Index>,
    hasher: RandomState,
    /// Entries that have the identity.
    entries: Vec<u32>,
    standing: Vec<Standing>,
    /// Whether an answer is wanted: the first, or a new one.
    wanted: Vec<bool>,
    unseen: Vec<IdentityId>,
    /// How many of the wanted have no labels to go on with.
    starved: usize,
    free: Vec<u32>,
    /// Those that lost their last entry since they were last looked through.
    orphans: Vec<u32>,
}

impl Identities {
    pub(super) fn new(size: usize, sharing: Sharing) -> Self {
        Self {
            size,
            bytes: Vec::new(),
            by_bytes: (sharing == Sharing::Shared).then(Index::default),
            hasher: RandomState::default(),
            entries: Vec::new(),
            standing: Vec::new(),
            wanted: Vec::new(),
            unseen: Vec::new(),
            starved: 0,
            free: Vec::new(),
            orphans: Vec::new(),
        }
    }

    #[inline]
    pub(super) fn get(&self, id: u32) -> &[u8] {
        &self.bytes[id as usize * self.size..][..self.size]
    }

    /// One more entry has the identity.
    pub(super) fn hold(&mut self, identity: &[u8]) -> u32 {
        if self.by_bytes.is_none() {
            return self.add(identity);
        }
        let hashed = hash(&self.hasher, identity);
        if let Some(id) = self.by_bytes.as_ref().and_then(|index| index.find(hashed, |id| self.get(id) == identity)) {
            self.entries[id as usize] += 1;
            return id;
        }
        let id = self.add(identity);
        if let Some(index) = &mut self.by_bytes {
            index.insert(hashed, id);
        }
        id
    }

    /// One entry less has the identity.
    pub(super) fn release(&mut self, id: u32) {
        self.entries[id as usize] -= 1;
        if self.entries[id as usize] == 0 {
            self.orphans.push(id);
        }
    }

    /// Forgets the identities without entries; `forget` hears of each.
    pub(super) fn drop_orphans(&mut self, mut forget: impl FnMut(u32)) {
        let mut unseen_changed = false;
        let mut orphans = std::mem::take(&mut self.orphans);
        for id in orphans.drain(..) {
            // Listed, it may have an entry again, or be listed twice.
            if self.entries[id as usize] == 0 && self.standing[id as usize] != Standing::Free {
                self.remove(id);
                unseen_changed |= self.settle_want(id);
                forget(id);
                self.standing[id as usize] = Standing::Free;
                self.free.push(id);
            }
        }
        self.orphans = orphans;
        if unseen_changed {
            self.trim_unseen();
        }
    }

    /// Whether any entry has it.
    pub(super) fn is_held(&self, id: u32) -> bool {
        self.entries.get(id as usize).is_some_and(|&entries| entries > 0)
    }

    #[inline]
    pub(super) fn standing(&self, id: u32) -> Standing {
        self.standing[id as usize]
    }

    /// Whether the entries of an identity wait for an answer to be counted at all.
    #[inline]
    pub(super) fn is_starved(&self, id: u32) -> bool {
        self.wanted[id as usize] && self.standing[id as usize] != Standing::Labelled
    }

    pub(super) fn starved(&self) -> usize {
        self.starved
    }

    /// Takes an answer in; the one before is returned.
    pub(super) fn answered(&mut self, id: u32, standing: Standing) -> Standing {
        self.settle_want(id);
        std::mem::replace(&mut self.standing[id as usize], standing)
    }

    /// Asks again about each identity that `changed` picks.
    pub(super) fn ask_again(&mut self, mut changed: impl FnMut(&[u8]) -> bool) {
        for id in 0..self.entries.len() as u32 {
            let idle = self.entries[id as usize] == 0 || self.wanted[id as usize];
            if !idle && changed(self.get(id)) {
                self.want(id);
            }
        }
    }

    pub(super) fn unseen(&self) -> &[IdentityId] {
        &self.unseen
    }

    /// How many an answer is wanted for.
    pub(super) fn wanted(&self) -> usize {
        self.unseen.iter().filter(|id| self.wanted[id.0 as usize]).count()
    }

    /// Takes those with an answer off the list.
    pub(super) fn trim_unseen(&mut self) {
        let wanted = &self.wanted;
        self.unseen.retain(|id| wanted[id.0 as usize]);
        shed(&mut self.unseen);
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    pub(super) fn slots(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn reserve(&mut self, more: usize) {
        if let Some(index) = &mut self.by_bytes {
            index.reserve(more);
        }
    }

    /// What a burst took is given back.
    pub(super) fn shed(&mut self) {
        for buffer in [&mut self.orphans, &mut self.free] {
            shed(buffer);
        }
    }

    fn add(&mut self, identity: &[u8]) -> u32 {
        let id = self.free.pop().unwrap_or(self.entries.len() as u32);
        if id as usize == self.entries.len() {
            append(&mut self.bytes, identity);
            self.entries.push(1);
            self.standing.push(Standing::Unanswered);
            self.wanted.push(false);
        } else {
            replace(&mut self.bytes[id as usize * self.size..][..self.size], identity);
            self.entries[id as usize] = 1;
            self.standing[id as usize] = Standing::Unanswered;
        }
        self.want(id);
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

    fn want(&mut self, id: u32) {
        self.wanted[id as usize] = true;
        self.starved += usize::from(self.is_starved(id));
        self.unseen.push(IdentityId(id));
    }

    /// No answer is wanted any more; whether one was.
    fn settle_want(&mut self, id: u32) -> bool {
        self.starved -= usize::from(self.is_starved(id));
        std::mem::take(&mut self.wanted[id as usize])
    }
}
