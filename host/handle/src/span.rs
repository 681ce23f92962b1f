//! Spans: events of packages with a place in time, for a sink that sends traces.

use std::sync::mpsc;

/// One span.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Span {
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
    /// `None`: it is the first of its trace, as far as is known.
    pub parent: Option<[u8; 8]>,
    pub name: String,
    /// `service.name` of its resource; empty: the host's own.
    pub service: String,
    /// Nanoseconds since 1970.
    pub start_unix_ns: u64,
    pub end_unix_ns: u64,
    pub attributes: Vec<(String, String)>,
}

/// Takes the spans since the last time. A requester that went away needs none.
pub type SpanReply = mpsc::SyncSender<Vec<Span>>;
