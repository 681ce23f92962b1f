//! A batch of entries to be labelled, and its possible outcomes.

use std::collections::BTreeMap;

use super::{AnswerError, bisection::Part};
use crate::guest::CallError;
use ebhost_series::schema::View;

/// Entries of one view to be labelled, as columns; no identity occurs twice.
#[derive(Debug, Clone, Default)]
pub struct DecodeRequest {
    /// Index in the schema's views.
    pub view: usize,
    /// Number of entries, 1 or more.
    pub count: usize,
    /// The entries' identity bytes, back to back.
    pub identities: Vec<u8>,
    /// For each entry and each lookup of the view an index into `names`.
    pub found: Vec<u32>,
    /// Names found by the lookups; `None`: the host does not know the name now.
    pub names: Vec<Option<String>>,
}

/// How far a request got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The plugin was asked about every entry.
    Done,
    /// Time ran out, or the plugin backs off: the rest is to be asked in a later scrape.
    Deferred,
}

/// Why a batch has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No new instance could be started after a failure.
    #[error("cannot be started again: {0}")]
    Start(#[source] CallError),
    /// The call failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The call returned rows of a wrong shape.
    #[error(transparent)]
    Answer(#[from] AnswerError),
}

impl DecodeError {
    /// Every [`DecodeError::reason`].
    pub const REASONS: [&str; 7] = ["trap", Self::DEADLINE, "stack", "memory", "copied", "answer", "start"];

    /// The reason of a call that took too long.
    pub const DEADLINE: &str = "deadline";

    /// The value of the label `reason` of `ebhost_plugin_failures_total`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Call(CallError::Trap { .. }) => "trap",
            Self::Call(CallError::Deadline { .. }) => Self::DEADLINE,
            Self::Call(CallError::Stack { .. }) => "stack",
            Self::Call(CallError::Memory { .. }) => "memory",
            Self::Call(CallError::Copied { .. }) => "copied",
            Self::Call(CallError::ConfigRefused(_) | CallError::ManifestChanged) | Self::Start(_) => "start",
            Self::Answer(_) => "answer",
        }
    }
}

impl DecodeRequest {
    /// A request for a part of the entries, with only the names that they need. `view` is the one that the request is about.
    pub(crate) fn part(&self, view: &View, part: Part) -> Self {
        let Part { first, count } = part;
        if (first, count) == (0, self.count) {
            return self.clone();
        }
        let (identity, lookups) = (view.identity_size(), view.lookups.len());
        let mut indices = BTreeMap::new();
        let mut names = Vec::new();
        let mut index_of = |name: &u32| {
            *indices.entry(*name).or_insert_with(|| {
                names.push(self.names[*name as usize].clone());
                names.len() as u32 - 1
            })
        };
        let found = self.found[first * lookups..(first + count) * lookups].iter().map(&mut index_of).collect();
        let identities = self.identities[first * identity..(first + count) * identity].to_vec();
        Self { view: self.view, count, identities, found, names }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ebhost_series::schema::{Field, Lookup, Part as EntryPart};

    #[test]
    fn a_part_of_a_batch_has_its_own_entries_and_their_names() {
        let view = View {
            source: "m".to_owned(),
            key_size: 2,
            value_size: 8,
            identity: vec![Field { part: EntryPart::Key, offset: 0, length: 2 }],
            lookups: vec![Lookup { table: "cgroup".to_owned(), field: 0 }],
            columns: 1,
            feeds: vec![],
        };
        let request = DecodeRequest {
            view: 3,
            count: 4,
            identities: vec![0, 1, 2, 3, 4, 5, 6, 7],
            found: vec![0, 2, 1, 2],
            names: vec![Some("a".to_owned()), None, Some("c".to_owned())],
        };
        let part = request.part(&view, Part { first: 1, count: 2 });
        assert_eq!((part.view, part.count), (3, 2));
        assert_eq!(part.identities, [2, 3, 4, 5]);
        assert_eq!(part.found, [0, 1]);
        assert_eq!(part.names, [Some("c".to_owned()), None]);
    }
}
