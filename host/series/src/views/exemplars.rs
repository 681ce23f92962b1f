//! Exemplars of event views: where an observation's event names its trace, and what waits until the observation has a series.

use std::collections::HashMap;

use ebhost_metrics::Exemplar;

use crate::plan::{ValueRule, ViewPlan};

/// Where the events of a view carry ids of the trace that they belong to, within the view's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExemplarFields {
    /// Index in the schema's views.
    pub view: usize,
    /// First of 16 bytes; an event of which they are 0 belongs to no trace.
    pub trace_id: usize,
    /// First of 8 bytes.
    pub span_id: Option<usize>,
}

/// An exemplar that belongs to a bucket of one feed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiting {
    pub(crate) feed: usize,
    pub(crate) bucket: u32,
    pub(crate) exemplar: Exemplar,
}

/// The exemplars of one view.
#[derive(Debug)]
pub(crate) struct EventExemplars {
    fields: ExemplarFields,
    /// Entries that may have exemplars waiting, and exemplars of one family.
    pub(crate) most: usize,
    /// By entry: exemplars that have no series yet, the last one of each bucket.
    waiting: HashMap<u32, Vec<Waiting>>,
}

impl EventExemplars {
    pub(crate) fn new(fields: ExemplarFields, most: usize) -> Self {
        Self { fields, most, waiting: HashMap::new() }
    }

    /// Notes the exemplar of an event, if it belongs to a trace.
    pub(crate) fn note(&mut self, plan: &ViewPlan, entry: u32, value: &[u8], unix_ms: u64) {
        let bytes = |at: usize| value.get(at..);
        let Some(trace_id) = bytes(self.fields.trace_id).and_then(|rest| rest.first_chunk::<16>()).copied() else {
            return;
        };
        let has_room = self.waiting.len() < self.most || self.waiting.contains_key(&entry);
        if trace_id == [0; 16] || !has_room {
            return;
        }
        let span_id = self.fields.span_id.and_then(bytes).and_then(|rest| rest.first_chunk::<8>()).copied();
        let span_id = span_id.filter(|id| *id != [0; 8]);
        for (feed, plan) in plan.feeds.iter().enumerate() {
            let ValueRule::EventObservation { reading, thresholds, .. } = &plan.rule else { continue };
            let raw = reading.of(value);
            let bucket = thresholds.bucket(raw) as u32;
            let exemplar = Exemplar { trace_id, span_id, raw, unix_ms };
            let waiting = self.waiting.entry(entry).or_default();
            match waiting.iter_mut().find(|known| (known.feed, known.bucket) == (feed, bucket)) {
                Some(known) => known.exemplar = exemplar,
                None => waiting.push(Waiting { feed, bucket, exemplar }),
            }
        }
    }

    /// Takes those of an entry.
    pub(crate) fn take(&mut self, entry: u32) -> Vec<Waiting> {
        self.waiting.remove(&entry).unwrap_or_default()
    }
}
