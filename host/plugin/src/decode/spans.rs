//! Events to be turned into spans, and the guest's answer.

use ebhost_limits as limits;
use ebhost_lookup::tables::LookupTable;
use ebhost_series::ExemplarFields;

/// The sources of spans and the exemplars of a plugin: a manifest that passed every check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpanSchema {
    /// Each buffer once.
    pub sources: Vec<SpanSource>,
    /// Each view once.
    pub exemplars: Vec<ExemplarFields>,
}

/// A buffer whose events become spans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanSource {
    /// The map's name in the BPF object.
    pub buffer: String,
    /// Bytes that an event has at least.
    pub min_size: usize,
    /// Names to be looked up for each event.
    pub lookups: Vec<SpanLookup>,
}

/// A name to be looked up for bytes of an event, which lie within [`SpanSource::min_size`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanLookup {
    /// The table.
    pub table: LookupTable,
    /// First byte of the event.
    pub offset: usize,
    /// Bytes.
    pub length: usize,
}

/// Events of one source, as columns.
#[derive(Debug, Clone, Default)]
pub struct SpanRequest {
    /// Index in [`SpanSchema::sources`].
    pub source: usize,
    /// Bytes of each event.
    pub lengths: Vec<u32>,
    /// The events, back to back.
    pub events: Vec<u8>,
    /// For each event and each lookup of the source an index into `names`.
    pub found: Vec<u32>,
    /// Names found by the lookups; `None`: the host does not know the name now.
    pub names: Vec<Option<String>>,
}

/// A span as a guest gives it: without a place in the wall clock's time, and perhaps without ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnplacedSpan {
    /// Zero: it has none.
    pub trace_id: [u8; 16],
    /// Zero: it has none.
    pub span_id: [u8; 8],
    /// Zero: it has none.
    pub parent: [u8; 8],
    /// By `CLOCK_MONOTONIC`; `None`: when the event was read.
    pub start_ns: Option<u64>,
    /// How long it took.
    pub duration_ns: u64,
    /// The operation's name.
    pub name: String,
    /// Empty: the host's own.
    pub service: String,
    /// Keys and values.
    pub attributes: Vec<(String, String)>,
}

/// The guest's answer to a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpanAnswer {
    /// The spans.
    pub spans: Vec<UnplacedSpan>,
    /// Why events were not understood, one text for each.
    pub unknown: Vec<String>,
}

impl SpanAnswer {
    /// Cuts what is longer than a span may be. Returns the number of spans beyond what so many events may give, which are dropped.
    pub(crate) fn bound(&mut self, events: usize) -> usize {
        let most = events.saturating_mul(limits::SPANS_PER_EVENT);
        let beyond = self.spans.len().saturating_sub(most);
        self.spans.truncate(most);
        for span in &mut self.spans {
            span.attributes.truncate(limits::SPAN_ATTRIBUTES);
            let texts = span.attributes.iter_mut().flat_map(|(key, value)| [key, value]);
            texts.chain([&mut span.name, &mut span.service]).for_each(cut);
        }
        beyond
    }
}

fn cut(text: &mut String) {
    text.truncate(text.floor_char_boundary(limits::LABEL_BYTES));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_longer_than_its_events_allow_is_cut() {
        let long = "ö".repeat(limits::LABEL_BYTES);
        let attributes = vec![(long.clone(), long.clone()); limits::SPAN_ATTRIBUTES + 1];
        let span = UnplacedSpan { name: long, attributes, ..UnplacedSpan::default() };
        let mut answer = SpanAnswer { spans: vec![span; 2 * limits::SPANS_PER_EVENT + 3], unknown: Vec::new() };
        assert_eq!(answer.bound(2), 3);
        assert_eq!(answer.spans.len(), 2 * limits::SPANS_PER_EVENT);
        let span = &answer.spans[0];
        assert_eq!((span.name.len(), span.attributes.len()), (limits::LABEL_BYTES, limits::SPAN_ATTRIBUTES));
        assert!(span.attributes.iter().all(|(key, value)| key.len().max(value.len()) <= limits::LABEL_BYTES));
    }
}
