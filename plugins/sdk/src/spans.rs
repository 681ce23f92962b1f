//! Spans: which ring buffers are read for them, and the function that makes a span of an event. And exemplars of observations.
//!
//! A plugin has them if it is exported with `export!(Plugin, spans)`. The host calls it only while it has a receiver for spans.

#![allow(
    clippy::needless_pass_by_value,
    reason = "the calls of a builder read better with values than with references"
)]

use core::marker::PhantomData;

use crate::label::{LookupName, LookupNames, Refusal};
use crate::layout::{Layout, Member};
use crate::span_bindings::exports::ebhost::spans::spans as wit;

/// A ring buffer whose events, of type `E`, become spans.
///
/// ```
/// # use ebhost_plugin::{LookupNames, Manifest, Plugin, Refusal, Span, SpanSource, layout};
/// layout! {
///     /// `struct event` in requests.bpf.c.
///     struct Event: 40 bytes { trace: [u8; 16], start: u64, duration: u64, status: u32, padding: u32 }
/// }
/// # struct Requests;
/// # impl Plugin for Requests {
/// #     type Config = serde_json::Value;
/// #     fn new(_: serde_json::Value) -> Result<Self, String> { Ok(Requests) }
/// #     fn describe(&self) -> Manifest<Self> {
/// #         let mut manifest = Manifest::new();
/// manifest.spans(SpanSource::<Event>::ring("requests").spans(|_: &Self, event: &Event, _: LookupNames<'_, 0>| {
///     Ok(Span::new("request").trace(event.trace).at(event.start, event.duration).with("status", event.status))
/// }));
/// #         manifest
/// #     }
/// # }
/// # ebhost_plugin::testing::Harness::<Requests>::new("{}").unwrap();
/// ```
pub struct SpanSource<E> {
    source: wit::Source,
    events: PhantomData<fn(&E)>,
}

/// A source of spans together with its function; [`Manifest::spans`](crate::Manifest::spans) takes it.
pub struct LabelledSpans<P> {
    pub(crate) source: wit::Source,
    /// Names that the function takes.
    pub(crate) names: usize,
    pub(crate) decode: DecodeSpans<P>,
}

/// Makes spans of a batch of one source.
pub(crate) type DecodeSpans<P> = Box<dyn Fn(&P, &wit::Batch) -> wit::Answer>;

/// One span. What is not set is made by the host: ids, and the time at which it read the event as the start.
#[derive(Clone, Debug, PartialEq)]
pub struct Span(pub(crate) wit::Span);

impl<E: Layout> SpanSource<E> {
    /// The ring buffer of this name. Shorter events than `E` are not of this source; of longer ones the beginning is read.
    pub fn ring(buffer: &str) -> Self {
        let source = wit::Source { buffer: buffer.into(), min_size: E::SIZE as u32, lookups: Vec::new() };
        Self { source, events: PhantomData }
    }

    /// Makes the host look up a name in one of its [tables](crate::table), by a member of the event, and pass it to the function.
    /// plugin.yaml must list the table under `grants`.
    #[must_use]
    pub fn lookup<T: Layout>(mut self, table: &str, member: Member<E, T>) -> Self {
        self.source.lookups.push(wit::Lookup { table: table.into(), offset: member.offset, length: T::SIZE as u32 });
        self
    }

    /// Sets the function that makes a span of an event and of the `L` names that were looked up.
    pub fn spans<P, F, const L: usize>(self, function: F) -> LabelledSpans<P>
    where
        F: for<'a> Fn(&'a P, &'a E, LookupNames<'a, L>) -> Result<Span, Refusal> + 'static,
    {
        let decode: DecodeSpans<P> = Box::new(move |plugin, batch| {
            let mut answer = wit::Answer { spans: Vec::new(), unknown: Vec::new() };
            let mut rest = &batch.events[..];
            for (event, length) in batch.lengths.iter().enumerate() {
                let (bytes, after) = rest.split_at(*length as usize);
                rest = after;
                match function(plugin, &E::read(bytes), names(batch, event)) {
                    Ok(span) => answer.spans.push(span.0),
                    Err(Refusal::Skip) => {}
                    Err(Refusal::Unknown(why)) => answer.unknown.push(why),
                }
            }
            answer
        });
        LabelledSpans { source: self.source, names: L, decode }
    }
}

fn names<const L: usize>(batch: &wit::Batch, event: usize) -> LookupNames<'_, L> {
    core::array::from_fn(|lookup| {
        let index = batch.found[event * L + lookup];
        Some(LookupName { text: batch.names[index as usize].as_deref()?, index: None })
    })
}

impl Span {
    /// A span in a trace of its own, without a duration.
    pub fn new(name: impl Into<String>) -> Self {
        Self(wit::Span {
            trace_id: wit::TraceId { high: 0, low: 0 },
            span_id: 0,
            parent: 0,
            start: None,
            duration: 0,
            name: name.into(),
            service: String::new(),
            attributes: Vec::new(),
        })
    }

    /// The trace that it belongs to; zeros: a new one.
    #[must_use]
    pub fn trace(mut self, id: [u8; 16]) -> Self {
        let half = |at: usize| u64::from_be_bytes(core::array::from_fn(|byte| id[at + byte]));
        self.0.trace_id = wit::TraceId { high: half(0), low: half(8) };
        self
    }

    /// Its own id; zeros: the host makes one.
    #[must_use]
    pub fn id(mut self, id: [u8; 8]) -> Self {
        self.0.span_id = u64::from_be_bytes(id);
        self
    }

    /// The span that it is a part of; zeros: none.
    #[must_use]
    pub fn parent(mut self, id: [u8; 8]) -> Self {
        self.0.parent = u64::from_be_bytes(id);
        self
    }

    /// When it began, by `bpf_ktime_get_ns()`, and how long it took, in nanoseconds.
    #[must_use]
    pub fn at(mut self, start: u64, duration: u64) -> Self {
        (self.0.start, self.0.duration) = (Some(start), duration);
        self
    }

    /// `service.name` of its resource, in the place of the host's own.
    #[must_use]
    pub fn service(mut self, name: impl Into<String>) -> Self {
        self.0.service = name.into();
        self
    }

    /// One more attribute.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl ToString) -> Self {
        self.0.attributes.push(wit::Attribute { key: key.into(), value: value.to_string() });
        self
    }
}
