//! Pushing spans: taken from the agent at each interval, sent in batches, and kept in bounded memory while the receiver is away.

use std::{
    collections::VecDeque,
    sync::mpsc,
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::InstrumentationScope,
    resource::v1::Resource,
    trace::v1::{self as proto, ResourceSpans, ScopeSpans, span::SpanKind},
};
use prost::Message as _;
use tracing::warn;

use crate::{
    client::PushError,
    link::Link,
    resource::{attribute, with_service},
};
use ebhost_handle::Span;
use ebhost_limits as limits;
use ebhost_telemetry::otlp;

pub(crate) struct SpanPusher {
    link: Link,
    queue: Queue,
    /// When the receiver is asked again, and the pause after that; none: it takes spans.
    retry: Option<(Instant, Duration)>,
}

impl SpanPusher {
    pub(crate) fn new(link: Link) -> Self {
        Self { link, queue: Queue::default(), retry: None }
    }

    /// Pushes until the host ends, and then what is left.
    pub(crate) fn run(&mut self) {
        let mut next = Instant::now() + self.link.options.interval;
        while self.link.wait(next).is_ok() {
            next = Instant::now() + self.link.options.interval;
            self.take_and_push(next);
        }
        self.take_and_push(Instant::now());
    }

    fn take_and_push(&mut self, deadline: Instant) {
        if self.link.handle.span_sources() > 0 {
            otlp().spans_dropped.add(self.queue.extend(self.take(deadline)));
        }
        self.push();
    }

    /// The spans since the last time; none if the agent has no time until then.
    fn take(&self, deadline: Instant) -> Vec<Span> {
        let (reply, spans) = mpsc::sync_channel(1);
        if self.link.handle.take_spans(reply).is_err() {
            return Vec::new();
        }
        // A reply that comes later finds nobody, so it is waited for longer than any collection takes.
        let patience = (deadline + 2 * limits::SCRAPE).saturating_duration_since(Instant::now());
        spans.recv_timeout(patience).unwrap_or_default()
    }

    /// Posts what waits, unless the receiver is to be left alone.
    fn push(&mut self) {
        while !self.queue.is_empty() && self.retry.is_none_or(|(at, _)| Instant::now() >= at) {
            let spans = self.queue.batch();
            let count = spans.len() as u64;
            let body = request(spans, &self.link.resource);
            match self.link.client.post(&body) {
                Ok(taken) => {
                    self.queue.remove_batch();
                    self.retry = None;
                    let rejected = taken.rejected.min(count);
                    otlp().spans_taken.add(count - rejected);
                    otlp().spans_rejected.add(rejected);
                    if rejected > 0 {
                        warn!("the OTLP receiver rejected {rejected} spans: {}", taken.message);
                    }
                    self.link.note_taken();
                }
                Err(error) => self.note_failure(&error, count),
            }
        }
    }

    fn note_failure(&mut self, error: &PushError, count: u64) {
        self.link.note_failed(error);
        let pause = self.retry.map_or(limits::OTLP_RETRY, |(_, pause)| pause);
        let wait = match error {
            // It would refuse them again.
            PushError::Refused { .. } => {
                self.queue.remove_batch();
                otlp().spans_dropped.add(count);
                return;
            }
            PushError::Busy { retry_after, .. } => retry_after.unwrap_or(pause),
            PushError::NoAnswer(_) => pause,
        };
        self.retry = Some((Instant::now() + wait, (2 * pause).min(limits::LONGEST_OTLP_RETRY)));
    }
}

/// Spans that wait for the receiver, up to [`limits::WAITING_SPAN_BYTES`].
#[derive(Debug, Default)]
struct Queue {
    /// Each with its bytes as they are counted.
    spans: VecDeque<(Span, usize)>,
    bytes: usize,
    /// Spans of the last batch.
    batch: usize,
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Appends spans; returns how many there was no room for. The oldest stay: a trace is of no use without its beginning.
    fn extend(&mut self, spans: Vec<Span>) -> u64 {
        let mut dropped = 0;
        for span in spans {
            let bytes = bytes(&span);
            if self.bytes + bytes > limits::WAITING_SPAN_BYTES {
                dropped += 1;
                continue;
            }
            self.bytes += bytes;
            self.spans.push_back((span, bytes));
        }
        dropped
    }

    /// The next spans to send. They stay until the batch is removed.
    fn batch(&mut self) -> Vec<&Span> {
        self.batch = self.spans.len().min(limits::OTLP_SPANS_PER_REQUEST);
        self.spans.iter().take(self.batch).map(|(span, _)| span).collect()
    }

    fn remove_batch(&mut self) {
        self.bytes -= self.spans.drain(..self.batch).map(|(_, bytes)| bytes).sum::<usize>();
    }
}

/// Memory of a span.
fn bytes(span: &Span) -> usize {
    let texts: usize =
        span.attributes.iter().map(|(key, value)| key.len() + value.len() + 2 * size_of::<String>()).sum();
    size_of::<Span>() + span.name.len() + span.service.len() + texts
}

/// A request with these spans: a resource for each service, in the order in which they come.
fn request(spans: Vec<&Span>, resource: &Resource) -> Vec<u8> {
    let mut by_service: Vec<(&str, Vec<proto::Span>)> = Vec::new();
    for span in spans {
        let index = by_service.iter().position(|(service, _)| *service == span.service).unwrap_or_else(|| {
            by_service.push((&span.service, Vec::new()));
            by_service.len() - 1
        });
        by_service[index].1.push(message(span));
    }
    let resource_spans = by_service.into_iter().map(|(service, spans)| ResourceSpans {
        resource: Some(with_service(resource, service)),
        scope_spans: vec![ScopeSpans { scope: Some(scope()), spans, ..ScopeSpans::default() }],
        ..ResourceSpans::default()
    });
    ExportTraceServiceRequest { resource_spans: resource_spans.collect() }.encode_to_vec()
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "ebhost".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

/// The flag of the W3C trace context that says that a trace is recorded.
const SAMPLED: u32 = 1;

fn message(span: &Span) -> proto::Span {
    proto::Span {
        trace_id: span.trace_id.to_vec(),
        span_id: span.span_id.to_vec(),
        parent_span_id: span.parent.map(|id| id.to_vec()).unwrap_or_default(),
        flags: SAMPLED,
        name: span.name.clone(),
        kind: SpanKind::Internal as i32,
        start_time_unix_nano: span.start_unix_ns,
        end_time_unix_nano: span.end_unix_ns,
        attributes: span.attributes.iter().map(|(key, value)| attribute(key.clone(), value.clone())).collect(),
        ..proto::Span::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(service: &str, name: String) -> Span {
        let attributes = vec![("key".to_owned(), "value".to_owned())];
        Span {
            trace_id: [1; 16],
            span_id: [2; 8],
            parent: Some([3; 8]),
            name,
            service: service.to_owned(),
            start_unix_ns: 5,
            end_unix_ns: 7,
            attributes,
        }
    }

    #[test]
    fn spans_are_grouped_by_service_and_keep_everything() {
        let spans = [span("a", "1".into()), span("", "2".into()), span("a", "3".into())];
        let resource = Resource {
            attributes: vec![
                attribute("service.name".into(), "ebhost".into()),
                attribute("host.name".into(), "h".into()),
            ],
            ..Resource::default()
        };
        let request = ExportTraceServiceRequest::decode(&request(spans.iter().collect(), &resource)[..]).unwrap();
        let groups: Vec<_> = request
            .resource_spans
            .iter()
            .map(|group| {
                let attributes = &group.resource.as_ref().unwrap().attributes;
                let service = attributes
                    .iter()
                    .filter(|attribute| attribute.key == "service.name")
                    .map(|attribute| format!("{:?}", attribute.value));
                let names: Vec<_> = group.scope_spans[0].spans.iter().map(|span| span.name.as_str()).collect();
                (service.collect::<String>().contains("\"a\""), attributes.len(), names)
            })
            .collect();
        assert_eq!(groups, [(true, 2, vec!["1", "3"]), (false, 2, vec!["2"])]);
        let first = &request.resource_spans[0].scope_spans[0].spans[0];
        assert_eq!(
            (&first.trace_id[..], &first.span_id[..], &first.parent_span_id[..]),
            (&[1; 16][..], &[2; 8][..], &[3; 8][..])
        );
        assert_eq!((first.start_time_unix_nano, first.end_time_unix_nano, first.attributes.len()), (5, 7, 1));
    }

    #[test]
    fn a_receiver_that_is_away_costs_bounded_memory_and_the_newest_spans() {
        let mut queue = Queue::default();
        let one = bytes(&span("s", "0".into()));
        let most = limits::WAITING_SPAN_BYTES / one;
        let spans = (0..most + 5).map(|_| span("s", "0".into())).collect();
        assert_eq!(queue.extend(spans), 5);
        assert_eq!(queue.batch().len(), limits::OTLP_SPANS_PER_REQUEST);
        assert_eq!(queue.batch().len(), limits::OTLP_SPANS_PER_REQUEST, "it stays until it is removed");
        queue.remove_batch();
        assert_eq!(
            (queue.spans.len(), queue.bytes),
            (most - limits::OTLP_SPANS_PER_REQUEST, one * (most - limits::OTLP_SPANS_PER_REQUEST))
        );
    }
}
