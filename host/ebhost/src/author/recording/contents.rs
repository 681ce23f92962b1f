//! Contents of a source when it was read, owned by a recording.

use std::borrow::Cow;

use ebhost_agent::SourceContents;
use ebhost_series::schema::View;
use ebhost_snapshot::{Keys, Snapshot};

/// Contents of a source when it was read.
#[derive(Debug)]
pub(in crate::author) enum Contents {
    /// The rows of a map or of a group of perf events.
    Table(Snapshot),
    /// Events, each as long as its program wrote it.
    Events(Vec<Event>),
}

/// One event of a buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::author) struct Event {
    /// The CPU that wrote it; 0 in ring buffers, which do not tell.
    pub(super) cpu: u32,
    pub(super) bytes: Vec<u8>,
}

impl Contents {
    /// Number of rows or events.
    pub(in crate::author) fn rows(&self) -> usize {
        match self {
            Self::Table(snapshot) => snapshot.len,
            Self::Events(events) => events.len(),
        }
    }

    /// The part of the source that a view sees: of events those that are long enough, each cut to the view's length. `None`: its values have
    /// another size than the view's, or it is a map and the view is of events, or the reverse.
    pub(in crate::author) fn snapshot(&self, view: &View) -> Option<Cow<'_, Snapshot>> {
        match self {
            Self::Events(events) if view.is_events() => Some(Cow::Owned(cut(events, view.value_size))),
            Self::Table(snapshot) if !view.is_events() => {
                // A table accepts values that are longer than it needs; a struct that has shrunk since must be reported all the same.
                let stride = snapshot.value_stride;
                let is_same = stride == view.value_size || stride == view.value_size.next_multiple_of(8);
                is_same.then_some(Cow::Borrowed(snapshot))
            }
            Self::Events(_) | Self::Table(_) => None,
        }
    }
}

impl From<SourceContents<'_>> for Contents {
    fn from(contents: SourceContents<'_>) -> Self {
        match contents {
            SourceContents::Table(snapshot) => Self::Table(snapshot.clone()),
            SourceContents::Events(events) => {
                Self::Events(events.into_iter().map(|(cpu, bytes)| Event { cpu, bytes: bytes.to_vec() }).collect())
            }
        }
    }
}

fn cut(events: &[Event], length: usize) -> Snapshot {
    let long_enough = || events.iter().filter_map(|event| Some((event.cpu, event.bytes.get(..length)?)));
    let cpus: Vec<u32> = long_enough().map(|(cpu, _)| cpu).collect();
    Snapshot {
        len: cpus.len(),
        keys: Keys::Events { cpus },
        values: long_enough().flat_map(|(_, bytes)| bytes.iter().copied()).collect(),
        value_stride: length,
        cpus: 1,
        complete: true,
        ..Snapshot::default()
    }
}
