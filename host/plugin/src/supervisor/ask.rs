//! A batch of entries to be asked about, and what can come of it.

use std::collections::BTreeMap;

use super::super::{answer::AnswerError, contract::Batch, instance::CallError};
use ebhost_series::schema::Schema;

/// Entries to be labelled: identities back to back, names found for their lookups.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    pub view: usize,
    pub count: usize,
    pub identities: Vec<u8>,
    pub found: Vec<u32>,
    pub names: Vec<Option<String>>,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// All of it was asked about.
    Whole,
    /// Time ran out, or the plugin backs off; the rest waits.
    Part,
}

/// Why a batch has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    #[error("cannot be started again: {0}")]
    Start(CallError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Answer(#[from] AnswerError),
}

impl AskError {
    /// As `ebhost_plugin_failures_total` names it.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Call(CallError::Trap { .. }) => "trap",
            Self::Call(CallError::Deadline { .. }) => "deadline",
            Self::Call(CallError::Stack { .. }) => "stack",
            Self::Call(CallError::Memory { .. }) => "memory",
            Self::Call(CallError::Copied { .. }) => "copied",
            Self::Call(CallError::Refused(_) | CallError::Fickle) | Self::Start(_) => "start",
            Self::Answer(_) => "answer",
        }
    }
}

impl Ask {
    /// Some of its entries, with those names alone that they need.
    pub(super) fn part(&self, schema: &Schema, first: usize, count: usize) -> Self {
        let view = &schema.views[self.view];
        let (identity, lookups) = (view.identity_size(), view.lookups.len());
        let mut places = BTreeMap::new();
        let mut names = Vec::new();
        let mut place = |name: &u32| {
            *places.entry(*name).or_insert_with(|| {
                names.push(self.names[*name as usize].clone());
                names.len() as u32 - 1
            })
        };
        let found = self.found[first * lookups..(first + count) * lookups].iter().map(&mut place).collect();
        let identities = self.identities[first * identity..(first + count) * identity].to_vec();
        Self { view: self.view, count, identities, found, names }
    }
}

impl From<Ask> for Batch {
    fn from(ask: Ask) -> Self {
        Self {
            view: ask.view as u32,
            count: ask.count as u32,
            identities: ask.identities,
            found: ask.found,
            names: ask.names,
        }
    }
}

/// A batch in parts of so many entries, the first on top.
pub(super) fn parts(count: usize, most: usize) -> Vec<(usize, usize)> {
    let mut parts: Vec<_> = (0..count).step_by(most).map(|first| (first, most.min(count - first))).collect();
    parts.reverse();
    parts
}
