//! Spans of ebpf_exporter's files: an event is a row of labels, some of which have a meaning of their own, and the others are attributes.

use std::borrow::Cow;

use ebhost_plugin::exported::span_bindings::exports::ebhost::spans::spans as wit;

use crate::decoder::Refused;
use crate::label::{self, Label, LabelsOf};
use crate::lookup::Found;
use crate::machine::{Kind, Machine};
use crate::node::Node;

/// The labels of a span that are not attributes, with their sizes in bytes; `span_name` may have any.
const SPECIAL: [(&str, u32); 5] = [
    ("trace_id", 16),
    ("span_id", 8),
    ("parent_span_id", 8),
    ("span_monotonic_timestamp_ns", 8),
    ("span_duration_ns", 8),
];

/// `service.name` of spans whose file names no service.
const SERVICE: &str = "ebpf_exporter";

/// A span of a configuration.
pub(crate) struct Span {
    /// The ring buffer that its events are in.
    buffer: String,
    /// Unless an event has one of its own.
    name: String,
    service: String,
    /// Each with the offset of its bytes in an event.
    labels: Vec<(usize, Label)>,
    /// Bytes of all labels.
    size: u32,
}

/// Reads the spans of a configuration. Spans with mistakes are left out of the result; the mistakes are collected.
pub(crate) fn read(nodes: &[Node<'_>], machine: &Machine) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for node in nodes {
        let Some(span) = span(node, machine) else { continue };
        if spans.iter().any(|known| known.buffer == span.buffer) {
            node.mistake(format!("the ring buffer `{}` a second time", span.buffer), "each buffer once");
        }
        spans.push(span);
    }
    spans
}

fn span(node: &Node<'_>, machine: &Machine) -> Option<Span> {
    let keys = node.keys(&["ringbuf", "name", "service", "labels"]);
    let buffer = keys.text("ringbuf");
    let text = |key: &str| keys.find(key).map_or(Some(String::new()), |node| node.text_or_nothing());
    let (name, service) = (text("name"), text("service"));
    let nodes = keys.list("labels");
    let labels = label::read(&nodes, LabelsOf::Span, machine);
    if labels.len() != nodes.len() {
        return None;
    }
    for (label, node) in labels.iter().zip(&nodes) {
        let size = SPECIAL.iter().find(|(name, _)| *name == label.name).map(|(_, size)| *size);
        if let Some(size) = size.filter(|size| *size != label.size) {
            node.mistake(format!("`{}` of {} bytes", label.name, label.size), format!("{size} bytes"));
        }
    }
    let buffer = buffer?;
    if machine.maps.get(&buffer).is_none_or(|map| map.kind != Kind::Events) {
        keys.find("ringbuf")?.mistake(format!("`{buffer}`"), "a ring buffer of the BPF object");
        return None;
    }
    let named = |text: Option<String>, otherwise: &str| {
        Some(text?).filter(|text| !text.is_empty()).or_else(|| Some(otherwise.to_owned()))
    };
    let (name, service) = (named(name, &buffer)?, named(service, SERVICE)?);
    let mut size = 0;
    let placed = labels.into_iter().map(|label| {
        let offset = size as usize;
        size += label.size + label.padding;
        (offset, label)
    });
    let labels = placed.collect();
    Some(Span { buffer, name, service, labels, size })
}

impl Span {
    pub(crate) fn source(&self) -> wit::Source {
        let lookup = |(offset, label): &(usize, Label)| {
            let offset = *offset as u32;
            let fields = label.tables().zip(label.fields().chain(label.fields()));
            let lookup = move |(table, (start, length)): (&'static str, (u32, u32))| wit::Lookup {
                table: table.to_owned(),
                offset: offset + start,
                length,
            };
            fields.map(lookup).collect::<Vec<_>>()
        };
        let lookups = self.labels.iter().flat_map(lookup).collect();
        wit::Source { buffer: self.buffer.clone(), min_size: self.size, lookups }
    }

    /// Turns a batch of its events into spans.
    pub(crate) fn decode(&self, batch: &wit::Batch) -> wit::Answer {
        let mut answer = wit::Answer { spans: Vec::new(), unknown: Vec::new() };
        let names: usize = self.labels.iter().map(|(_, label)| label.tables().count()).sum();
        let mut rest = &batch.events[..];
        for (event, length) in batch.lengths.iter().enumerate() {
            let (bytes, after) = rest.split_at(*length as usize);
            rest = after;
            let found: Vec<_> = batch.found[event * names..][..names]
                .iter()
                .map(|index| batch.names[*index as usize].as_deref())
                .collect();
            match self.span(bytes, &found) {
                Ok(span) => answer.spans.push(span),
                Err(Refused::Skip) => {}
                Err(Refused::Unknown(why)) => answer.unknown.push(why),
            }
        }
        answer
    }

    fn span(&self, event: &[u8], found: &[Option<&str>]) -> Result<wit::Span, Refused> {
        let mut span = wit::Span {
            trace_id: wit::TraceId { high: 0, low: 0 },
            span_id: 0,
            parent: 0,
            start: None,
            duration: 0,
            name: self.name.clone(),
            service: self.service.clone(),
            attributes: Vec::new(),
        };
        let mut names = found.iter().copied();
        for (offset, label) in &self.labels {
            let mut own = names.by_ref().take(label.tables().count());
            let found = Found { name: own.next().flatten(), second: own.next().flatten() };
            own.for_each(drop);
            let text = label.decode(&event[*offset..][..label.size as usize], found)?;
            set(&mut span, &label.name, text)?;
        }
        Ok(span)
    }
}

/// Sets the part of a span that a label of this name is.
fn set(span: &mut wit::Span, name: &str, text: Cow<'_, str>) -> Result<(), Refused> {
    let hex = |text: &str| u64::from_str_radix(text, 16).map_err(|_| mistaken(name, text, "16 hexadecimal digits"));
    let number = |text: &str| text.parse::<u64>().map_err(|_| mistaken(name, text, "a decimal number"));
    match name {
        "trace_id" => {
            let (high, low) =
                text.split_at_checked(16).ok_or_else(|| mistaken(name, &text, "32 hexadecimal digits"))?;
            span.trace_id = wit::TraceId { high: hex(high)?, low: hex(low)? };
        }
        "span_id" => span.span_id = hex(&text)?,
        "parent_span_id" => span.parent = hex(&text)?,
        "span_monotonic_timestamp_ns" => span.start = Some(number(&text)?),
        "span_duration_ns" => span.duration = number(&text)?,
        "span_name" => span.name = text.into_owned(),
        _ => span.attributes.push(wit::Attribute { key: name.to_owned(), value: text.into_owned() }),
    }
    Ok(())
}

fn mistaken(name: &str, text: &str, expected: &str) -> Refused {
    Refused::Unknown(format!("`{name}` found `{text}`, expected {expected}"))
}
