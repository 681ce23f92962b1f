//! Spans of a package: events of its buffers, turned into spans by its component, with a place in the wall clock's time.
//!
//! It happens when a sink asks, between two collections. Events wait in bounded memory until then, and beyond it they are lost and counted. The
//! component has a share of [`limits::SPAN_TIME`]; what it has no time for waits, too. So no scrape is late for a flood of spans.

use std::{
    hash::{BuildHasher as _, RandomState},
    time::Instant,
};

use super::Running;
use crate::label::RequestNames;
use ebhost_handle::Span;
use ebhost_kernel::{Source, WaitingEvents};
use ebhost_limits as limits;
use ebhost_lookup::{LookupTable, Lookups};
use ebhost_plugin_host::{SpanRequest, SpanSchema, SpanSource, UnplacedSpan};
use ebhost_telemetry::{MonotonicTime, SpansReport};

/// The events of one package that are to become spans, and what became of others.
#[derive(Debug, Default)]
pub(super) struct SpanEvents {
    /// For each source of spans the events that were read and not asked about yet.
    waiting: Vec<WaitingEvents>,
    /// Spans made.
    made: u64,
    /// Events that the component did not understand.
    unknown: u64,
    /// Events of calls that failed.
    failed: u64,
    /// Events that are shorter than their source says.
    short: u64,
}

impl SpanEvents {
    pub(super) fn of(spans: &SpanSchema) -> Self {
        let mut events = Self::default();
        events.set_sources(spans.sources.len());
        events
    }

    /// For so many sources. What waits of other sources is given up.
    pub(super) fn set_sources(&mut self, count: usize) {
        self.waiting = std::iter::repeat_with(WaitingEvents::default).take(count).collect();
    }

    /// Continues the counters of another version.
    pub(super) fn inherit(&mut self, previous: &Self) {
        self.made += previous.made;
        self.unknown += previous.unknown;
        self.failed += previous.failed;
        self.short += previous.short;
    }

    pub(super) fn report(&self, beyond_limit: u64) -> SpansReport {
        let lost = [("unknown", self.unknown), ("failed", self.failed), ("short", self.short), ("limit", beyond_limit)];
        SpansReport { made: self.made, lost: lost.to_vec() }
    }
}

/// How far the events of one source were turned into spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Done,
    /// The component is not to be asked now.
    Deferred,
}

impl Running {
    /// The number of buffers whose events become spans.
    pub(crate) fn span_sources(&self) -> usize {
        self.plugin.spans().sources.len()
    }

    /// The lookup tables that its spans use.
    pub(super) fn span_lookup_tables(&self) -> impl Iterator<Item = LookupTable> {
        self.plugin.spans().sources.iter().flat_map(|source| &source.lookups).map(|lookup| lookup.table)
    }

    /// Turns the events that were written until now into spans, as many as there is time for `until` then.
    pub(crate) fn take_spans(&mut self, lookups: &mut Lookups, until: Instant, spans: &mut Vec<Span>) {
        let clock = MonotonicTime::now();
        for index in 0..self.span_sources() {
            let source = self.plugin.spans().sources[index].clone();
            self.read_span_events(index, &source);
            while Instant::now() < until && spans.len() < limits::SPANS_PER_REPLY {
                let Some(request) = self.span_request(index, &source, lookups) else { break };
                if self.ask_for_spans(index, request, until, clock, spans) == Progress::Deferred {
                    return;
                }
            }
        }
    }

    /// Takes what the buffer holds, once everything that was taken before was asked about.
    fn read_span_events(&mut self, index: usize, source: &SpanSource) {
        if !self.span_events.waiting[index].is_empty() {
            return;
        }
        let is_it = |loaded: &&mut Source| loaded.name() == source.buffer;
        if let Some(Source::Events(reader)) = self.loaded.sources.iter_mut().find(is_it) {
            let waiting = reader.take_for_spans(source.min_size);
            self.span_events.short += waiting.short;
            self.span_events.waiting[index] = waiting;
        }
    }

    /// The next events of a source with the names found for them; `None`: there are no more.
    fn span_request(&mut self, index: usize, source: &SpanSource, lookups: &mut Lookups) -> Option<SpanRequest> {
        let batch = self.span_events.waiting[index].batch(limits::SPAN_BATCH_EVENTS, limits::BATCH_BYTES);
        let mut request = SpanRequest { source: index, ..SpanRequest::default() };
        let mut names = RequestNames::new(lookups);
        for event in batch {
            request.lengths.push(event.len() as u32);
            request.events.extend_from_slice(event);
            for lookup in &source.lookups {
                let key = &event[lookup.offset..][..lookup.length];
                request.found.push(names.place_or_unknown((lookup.table, key.into())));
            }
        }
        request.names = names.into_names();
        (!request.lengths.is_empty()).then_some(request)
    }

    fn ask_for_spans(
        &mut self,
        index: usize,
        request: SpanRequest,
        until: Instant,
        clock: MonotonicTime,
        spans: &mut Vec<Span>,
    ) -> Progress {
        let events = request.lengths.len() as u64;
        let Some(answer) = self.plugin.decode_spans(request, Instant::now(), until) else {
            return Progress::Deferred;
        };
        self.span_events.waiting[index].advance_batch();
        match answer {
            Ok(answer) => {
                self.span_events.made += answer.spans.len() as u64;
                self.span_events.unknown += answer.unknown.len() as u64;
                answer.unknown.iter().for_each(|why| self.refusals.note_not_understood(why));
                spans.extend(answer.spans.into_iter().map(|span| placed(span, clock)));
                Progress::Done
            }
            Err(_) => {
                self.span_events.failed += events;
                Progress::Deferred
            }
        }
    }
}

/// A span in the wall clock's time, with ids of its own where it has none.
fn placed(span: UnplacedSpan, clock: MonotonicTime) -> Span {
    let start_unix_ns = span.start_ns.map_or(clock.unix_ns(), |start| clock.unix_ns_of(start));
    let has_trace = span.trace_id != [0; 16];
    let trace_id = if has_trace { span.trace_id } else { random_trace_id() };
    Span {
        trace_id,
        span_id: if span.span_id == [0; 8] { random_id() } else { span.span_id },
        // A parent in no trace is in another one than this span.
        parent: (has_trace && span.parent != [0; 8]).then_some(span.parent),
        name: span.name,
        service: span.service,
        start_unix_ns,
        end_unix_ns: start_unix_ns.saturating_add(span.duration_ns),
        attributes: span.attributes,
    }
}

/// Eight bytes that are not all 0, from the keys that the standard library seeds its maps with.
fn random_id() -> [u8; 8] {
    (RandomState::new().hash_one(0) | 1).to_be_bytes()
}

fn random_trace_id() -> [u8; 16] {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&random_id());
    id[8..].copy_from_slice(&random_id());
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_without_ids_gets_some_and_one_with_ids_keeps_them() {
        let clock = MonotonicTime::now();
        let span = UnplacedSpan { parent: [3; 8], duration_ns: 5, ..UnplacedSpan::default() };
        let (one, other) = (placed(span.clone(), clock), placed(span.clone(), clock));
        assert_ne!(one.trace_id, other.trace_id);
        assert_ne!(one.span_id, other.span_id);
        assert_eq!((one.parent, one.end_unix_ns - one.start_unix_ns), (None, 5));
        let known = UnplacedSpan { trace_id: [1; 16], span_id: [2; 8], ..span };
        let placed = placed(known, clock);
        assert_eq!((placed.trace_id, placed.span_id, placed.parent), ([1; 16], [2; 8], Some([3; 8])));
    }
}
