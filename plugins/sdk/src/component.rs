//! One instance of a component: implements the contract's `describe` and `decode`, which work on batches and columns, with a
//! [`Plugin`], which works on one entry at a time.

use std::cell::RefCell;

use crate::Plugin;
use crate::bindings::exports::ebhost::plugin::decoder as wit;
use crate::columns::Columns;
use crate::label::{Answer, Bucket, BucketAnswer, LookupName, LookupNames, Refusal};
use crate::layout::Packed;
use crate::log;
use crate::manifest::Built;
use crate::span_bindings::exports::ebhost::spans::spans;
use crate::spans::DecodeSpans;

/// The contract's two functions; [`export!`](crate::export!) exports an implementation of this trait as a component.
pub trait Decoder: 'static {
    /// The contract's `describe`: takes the package's `config` as JSON.
    ///
    /// # Errors
    /// A sentence for the operator; the host then rejects the package.
    fn describe(config: &str) -> Result<wit::Manifest, String>;

    /// The contract's `decode`. `answer` has been cleared for this batch.
    fn decode(batch: &wit::Batch, answer: &mut Columns);
}

/// Decodes batches of one view: plugin, batch, number of bounds of the view's histograms, answer. There is one indirect call per batch;
/// the loop over the entries inside is compiled for the view's row function.
pub(crate) type DecodeBatch<P> = Box<dyn Fn(&P, &wit::Batch, u32, &mut Columns)>;

/// The state of a component between calls: nothing before `describe`, then the configured plugin.
pub struct Instance<P>(RefCell<Option<Described<P>>>);

struct Described<P> {
    plugin: P,
    /// For each view the number of bounds of its histograms.
    bounds: Vec<u32>,
    /// For each view its decoder.
    decoders: Vec<DecodeBatch<P>>,
    spans: spans::Manifest,
    /// For each source of spans its decoder.
    span_decoders: Vec<DecodeSpans<P>>,
}

impl<P> Instance<P> {
    /// An instance on which `describe` has not been called yet.
    pub const fn new() -> Self {
        Self(RefCell::new(None))
    }
}

impl<P> Default for Instance<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Plugin> Instance<P> {
    /// The contract's `describe`.
    ///
    /// # Errors
    /// A sentence for the operator: `config` does not parse, the plugin rejects it, or the manifest contradicts itself.
    pub fn describe(&self, config: &str) -> Result<wit::Manifest, String> {
        log::log_panics();
        let plugin = P::new(parse_config(config)?)?;
        let Built { manifest, decoders, spans, span_decoders } =
            plugin.describe().build().map_err(|error| error.to_string())?;
        let bounds = manifest.views.iter().map(|view| bounds(&manifest, view)).collect();
        *self.0.borrow_mut() = Some(Described { plugin, bounds, decoders, spans, span_decoders });
        Ok(manifest)
    }

    /// The `describe` of spans.
    ///
    /// # Panics
    /// Before `describe`. In a component that is a trap; the host does not do it.
    pub fn describe_spans(&self) -> spans::Manifest {
        self.0.borrow().as_ref().expect("describe is called first").spans.clone()
    }

    /// The `decode` of spans.
    ///
    /// # Panics
    /// Before `describe`, and for a source that is not in the manifest. In a component that is a trap; the host does neither.
    pub fn decode_spans(&self, batch: &spans::Batch) -> spans::Answer {
        let described = self.0.borrow();
        let described = described.as_ref().expect("describe is called first");
        described.span_decoders[batch.source as usize](&described.plugin, batch)
    }

    /// The contract's `decode`. `answer` has been cleared for this batch.
    ///
    /// # Panics
    /// Before `describe`, and for a view that is not in the manifest. In a component that is a trap; the host does neither.
    pub fn decode(&self, batch: &wit::Batch, answer: &mut Columns) {
        let described = self.0.borrow();
        let Described { plugin, bounds, decoders, .. } = described.as_ref().expect("describe is called first");
        let view = batch.view as usize;
        decoders[view](plugin, batch, bounds[view], answer);
    }
}

/// Parses the JSON. Line and column are removed from an error: the host generates the JSON from YAML, so they mean nothing to an
/// operator.
fn parse_config<C: serde::de::DeserializeOwned>(config: &str) -> Result<C, String> {
    serde_json::from_str(config).map_err(|error| {
        let error = error.to_string();
        format!("config: {}", error.split(" at line ").next().unwrap_or(&error))
    })
}

/// The number of bounds of a view's histograms; all histograms of a view with bucket entries have equally many.
fn bounds(manifest: &wit::Manifest, view: &wit::View) -> u32 {
    let Some(series) = view.series.first() else { return 0 };
    match &manifest.families[series.family as usize].kind {
        wit::Kind::Histogram(bounds) => bounds.len() as u32,
        wit::Kind::Counter | wit::Kind::Gauge(_) => 0,
    }
}

/// A batch decoder that calls a row function for every entry.
pub(crate) fn rows<P, I, F, const L: usize, const C: usize>(function: F) -> DecodeBatch<P>
where
    I: Packed,
    F: for<'a> Fn(&'a P, &'a I, LookupNames<'a, L>) -> Answer<'a, C> + 'static,
{
    Box::new(move |plugin, batch, _, answer| {
        answer.labels.reserve(batch.count as usize * C);
        for entry in 0..batch.count as usize {
            let identity = identity(batch, entry);
            answer.push_row(entry, function(plugin, &identity, names(batch, entry)));
        }
    })
}

/// The same for a row function that also returns the entry's bucket.
pub(crate) fn bucket_rows<P, I, F, const L: usize, const C: usize>(function: F) -> DecodeBatch<P>
where
    I: Packed,
    F: for<'a> Fn(&'a P, &'a I, LookupNames<'a, L>) -> BucketAnswer<'a, C> + 'static,
{
    Box::new(move |plugin, batch, bounds, answer| {
        answer.labels.reserve(batch.count as usize * C);
        answer.buckets.reserve(batch.count as usize);
        for entry in 0..batch.count as usize {
            let identity: I = identity(batch, entry);
            let row = function(plugin, &identity, names(batch, entry));
            answer.buckets.push(match &row {
                Ok((Bucket::Slot(slot), _)) => *slot,
                Ok((Bucket::Sum, _)) => bounds + 1,
                Err(_) => 0,
            });
            answer.push_row(entry, row.map(|(_, labels)| labels));
        }
    })
}

#[inline(always)]
fn identity<I: Packed>(batch: &wit::Batch, entry: usize) -> I {
    I::unpack(&batch.identities[entry * I::PACKED..][..I::PACKED])
}

#[inline(always)]
fn names<const L: usize>(batch: &wit::Batch, entry: usize) -> LookupNames<'_, L> {
    core::array::from_fn(|lookup| {
        let index = batch.found[entry * L + lookup];
        let text = batch.names[index as usize].as_deref()?;
        Some(LookupName { text, index: Some(index) })
    })
}

impl Columns {
    /// Appends one entry's labels, or its refusal.
    #[inline(always)]
    fn push_row<const C: usize>(&mut self, entry: usize, row: Answer<'_, C>) {
        match row {
            Ok(labels) => {
                let indices: [u32; C] = core::array::from_fn(|column| self.dictionary.index_of(&labels[column]));
                self.labels.extend_from_slice(&indices);
            }
            Err(refusal) => {
                self.labels.extend_from_slice(&[0; C]); // keeps the columns aligned; the host does not read these
                self.refuse(entry, refusal);
            }
        }
    }

    #[inline(never)]
    fn refuse(&mut self, entry: usize, refusal: Refusal) {
        let why = match refusal {
            Refusal::Skip => wit::Reason::Skip,
            Refusal::Unknown(text) => wit::Reason::Unknown(text),
        };
        self.refused.push(wit::Refusal { entry: entry as u32, why });
    }
}
