//! One instance of a component: `describe` and `decode` as the host calls them, over a [`Plugin`] that knows neither columns nor batches.

use std::cell::RefCell;

use crate::Plugin;
use crate::bindings::exports::ebhost::plugin::decoder as wit;
use crate::columns::Columns;
use crate::label::{Answer, Bucket, BucketAnswer, Name, Names, Refusal};
use crate::layout::Packed;
use crate::log;

/// What [`export!`](crate::export!) makes a component of: the contract's two functions.
pub trait Decoder: 'static {
    /// The contract's `describe`.
    ///
    /// # Errors
    /// A sentence that refuses the package.
    fn describe(config: &str) -> Result<wit::Manifest, String>;

    /// The contract's `decode`, into columns that are empty.
    fn decode(batch: &wit::Batch, answer: &mut Columns);
}

/// Decodes one view's batches. Boxed once a view: inside, the loop over entries is compiled for its row function.
pub(crate) type Decode<P> = Box<dyn Fn(&P, &wit::Batch, u32, &mut Columns)>;

/// What lives between calls: the plugin.
pub struct Instance<P>(RefCell<Option<Described<P>>>);

struct Described<P> {
    plugin: P,
    bounds: Vec<u32>,
    decoders: Vec<Decode<P>>,
}

impl<P> Instance<P> {
    /// Before `describe`.
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
    /// A sentence that refuses the package: the configuration, what the plugin says of it, or a mistake in the manifest.
    pub fn describe(&self, config: &str) -> Result<wit::Manifest, String> {
        log::panics_too();
        let plugin = P::new(configuration(config)?)?;
        let (manifest, decoders) = plugin.describe().build().map_err(|mistake| mistake.to_string())?;
        let bounds = manifest.views.iter().map(|view| bounds(&manifest, view)).collect();
        *self.0.borrow_mut() = Some(Described { plugin, bounds, decoders });
        Ok(manifest)
    }

    /// The contract's `decode`, into columns that are empty. Panics, which is a trap, before `describe` and for a view that is not in
    /// the manifest: the host does neither.
    pub fn decode(&self, batch: &wit::Batch, answer: &mut Columns) {
        let described = self.0.borrow();
        let Described { plugin, bounds, decoders } = described.as_ref().expect("describe comes first");
        let view = batch.view as usize;
        decoders[view](plugin, batch, bounds[view], answer);
    }
}

/// Errors are without the line and column: the text is the host's own, where they say nothing to an operator.
fn configuration<C: serde::de::DeserializeOwned>(config: &str) -> Result<C, String> {
    serde_json::from_str(config).map_err(|error| {
        let error = error.to_string();
        format!("config: {}", error.split(" at line ").next().unwrap_or(&error))
    })
}

/// How many bounds the histograms of a view of buckets have.
fn bounds(manifest: &wit::Manifest, view: &wit::View) -> u32 {
    let of = |series: &wit::Series| match &manifest.families[series.family as usize].kind {
        wit::Kind::Histogram(bounds) => bounds.len() as u32,
        wit::Kind::Counter | wit::Kind::Gauge(_) => 0,
    };
    view.series.first().map_or(0, of)
}

/// A decoder from a row function.
pub(crate) fn rows<P, I, F, const L: usize, const C: usize>(function: F) -> Decode<P>
where
    I: Packed,
    F: for<'a> Fn(&'a P, &'a I, Names<'a, L>) -> Answer<'a, C> + 'static,
{
    Box::new(move |plugin, batch, _, answer| {
        answer.labels.reserve(batch.count as usize * C);
        for entry in 0..batch.count as usize {
            let identity = identity(batch, entry);
            answer.put(entry, function(plugin, &identity, names(batch, entry)));
        }
    })
}

/// A decoder from a row function that gives buckets.
pub(crate) fn bucket_rows<P, I, F, const L: usize, const C: usize>(function: F) -> Decode<P>
where
    I: Packed,
    F: for<'a> Fn(&'a P, &'a I, Names<'a, L>) -> BucketAnswer<'a, C> + 'static,
{
    Box::new(move |plugin, batch, bounds, answer| {
        answer.labels.reserve(batch.count as usize * C);
        answer.buckets.reserve(batch.count as usize);
        for entry in 0..batch.count as usize {
            let identity: I = identity(batch, entry);
            let found = function(plugin, &identity, names(batch, entry));
            answer.buckets.push(match &found {
                Ok((Bucket::Slot(slot), _)) => *slot,
                Ok((Bucket::Sum, _)) => bounds + 1,
                Err(_) => 0,
            });
            answer.put(entry, found.map(|(_, labels)| labels));
        }
    })
}

#[inline(always)]
fn identity<I: Packed>(batch: &wit::Batch, entry: usize) -> I {
    I::unpack(&batch.identities[entry * I::PACKED..][..I::PACKED])
}

#[inline(always)]
fn names<const L: usize>(batch: &wit::Batch, entry: usize) -> Names<'_, L> {
    core::array::from_fn(|lookup| {
        let index = batch.found[entry * L + lookup];
        let text = batch.names[index as usize].as_deref()?;
        Some(Name { text, index: Some(index) })
    })
}

impl Columns {
    /// One entry's labels.
    #[inline(always)]
    fn put<const C: usize>(&mut self, entry: usize, found: Answer<'_, C>) {
        match found {
            Ok(labels) => {
                let places: [u32; C] = core::array::from_fn(|column| self.dictionary.place(&labels[column]));
                self.labels.extend_from_slice(&places);
            }
            Err(refusal) => {
                self.labels.extend_from_slice(&[0; C]); // its places in the columns are not read
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
