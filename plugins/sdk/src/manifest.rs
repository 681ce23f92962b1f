//! The manifest: the families and views of a plugin. Here are the checks that types cannot make and that need the SDK's types; the host
//! checks everything else at load.

use core::fmt;

use crate::bindings::exports::ebhost::plugin::decoder as wit;
use crate::component::DecodeBatch;
use crate::family::{Family, FamilyId};
use crate::identity::{isolate, join};
use crate::span_bindings::exports::ebhost::spans::spans;
use crate::spans::{DecodeSpans, LabelledSpans};
use crate::value::Shape;
use crate::view::{Draft, Feed, LabelledView};

/// The families that a plugin exposes and the views that feed them.
pub struct Manifest<P> {
    wit: wit::Manifest,
    decoders: Vec<DecodeBatch<P>>,
    spans: spans::Manifest,
    span_decoders: Vec<DecodeSpans<P>>,
    /// The first error that was found.
    error: Option<ManifestError>,
}

/// The parts of a manifest without contradictions.
pub(crate) struct Built<P> {
    pub(crate) manifest: wit::Manifest,
    /// For each view its decoder.
    pub(crate) decoders: Vec<DecodeBatch<P>>,
    pub(crate) spans: spans::Manifest,
    /// For each source of spans its decoder.
    pub(crate) span_decoders: Vec<DecodeSpans<P>>,
}

/// A contradiction in a manifest. The host rejects the package and shows the first one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManifestError {
    /// The row function takes a different number of names than the view has lookups.
    Names { view: String, function: usize, lookups: usize },
    /// The key of a lookup is not one contiguous part of the identity.
    Lookup { view: String, table: String },
    /// The number of label values differs from the number of the family's labels.
    Labels { view: String, family: String, found: usize, expected: usize },
    /// An array of slots is not one longer than the family's bounds.
    Slots { view: String, family: String, found: usize, expected: usize },
    /// The value is a bucket but the row function is not a [`View::bucket_rows`](crate::View::bucket_rows) function.
    NeedsBucketRows { view: String, family: String },
    /// The row function is a [`View::bucket_rows`](crate::View::bucket_rows) function but the value is not a bucket.
    NeedsBucketValue { view: String, family: String },
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Names { view, function, lookups } => write!(
                f,
                "view `{view}`: the row function takes {function} names, but the view has {lookups} lookups: \
                 try one `.lookup(…)` for each name"
            ),
            Self::Lookup { view, table } => write!(
                f,
                "view `{view}`: the key of the lookup in `{table}` is not one contiguous part of the identity: \
                 try a member that `.identity(…)` contains"
            ),
            Self::Labels { view, family, found, expected } => write!(
                f,
                "view `{view}`: found {found} label values for `{family}`, expected {expected}, as the family has labels: \
                 try a row of {expected}, or `.feed_from(…)` with {expected} sources"
            ),
            Self::Slots { view, family, found, expected } => write!(
                f,
                "view `{view}`: found an array of {found} slots for `{family}`, expected {expected} (one for each bound and one for +Inf): \
                 try other bounds, or another array"
            ),
            Self::NeedsBucketRows { view, family } => write!(
                f,
                "view `{view}`: `{family}` is fed with a bucket, but the row function returns none: try `.bucket_rows(…)`"
            ),
            Self::NeedsBucketValue { view, family } => write!(
                f,
                "view `{view}`: the row function returns a bucket, but `{family}` is not fed with one: \
                 try `bucket(…)` as its value, or `.rows(…)`"
            ),
        }
    }
}

impl core::error::Error for ManifestError {}

impl<P> Default for Manifest<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P> Manifest<P> {
    /// A manifest without families and views.
    pub fn new() -> Self {
        Self {
            wit: wit::Manifest { families: Vec::new(), views: Vec::new() },
            decoders: Vec::new(),
            spans: spans::Manifest { sources: Vec::new(), exemplars: Vec::new() },
            span_decoders: Vec::new(),
            error: None,
        }
    }

    /// Adds a family. Several views may feed it.
    pub fn family(&mut self, family: Family) -> FamilyId {
        self.wit.families.push(family.0);
        FamilyId(self.wit.families.len() as u32 - 1)
    }

    /// The family with this name; adds it if there is none.
    pub(crate) fn family_once(&mut self, family: Family) -> FamilyId {
        let there = self.wit.families.iter().position(|known| known.name == family.0.name);
        there.map_or_else(|| self.family(family), |index| FamilyId(index as u32))
    }

    /// Adds a view. A map may have several views; a view's row function skips the entries that it is not about.
    pub fn view(&mut self, view: LabelledView<P>) {
        let inconsistent = self.check(&view).err();
        let LabelledView { draft, columns, decode, .. } = view;
        if let Some((trace_id, span_id)) = draft.exemplar {
            let view = self.decoders.len() as u32;
            self.spans.exemplars.push(spans::Exemplar { view, trace_id, span_id });
        }
        match self.finish(draft, columns) {
            Ok(view) => self.wit.views.push(view),
            Err(error) => self.error = self.error.take().or(Some(error)),
        }
        self.error = self.error.take().or(inconsistent);
        self.decoders.push(decode);
    }

    /// Adds a source of spans.
    pub fn spans(&mut self, source: LabelledSpans<P>) {
        let LabelledSpans { source, names, decode } = source;
        let lookups = source.lookups.len();
        if names != lookups {
            let error = ManifestError::Names { view: source.buffer.clone(), function: names, lookups };
            self.error = self.error.take().or(Some(error));
        }
        self.spans.sources.push(source);
        self.span_decoders.push(decode);
    }

    /// The contract's records and their decoders.
    pub(crate) fn build(self) -> Result<Built<P>, ManifestError> {
        let Self { wit: manifest, decoders, spans, span_decoders, error } = self;
        error.map_or(Ok(Built { manifest, decoders, spans, span_decoders }), Err)
    }

    fn check(&self, labelled: &LabelledView<P>) -> Result<(), ManifestError> {
        let view = || labelled.draft.source.clone();
        let lookups = labelled.draft.lookups.len();
        if labelled.names != lookups {
            return Err(ManifestError::Names { view: view(), function: labelled.names, lookups });
        }
        for feed in &labelled.draft.feeds {
            let family = self.family_of(feed);
            let name = family.name.clone();
            let found = feed.labels.as_ref().map_or(labelled.columns, Vec::len);
            if found != family.labels.len() {
                return Err(ManifestError::Labels { view: view(), family: name, found, expected: family.labels.len() });
            }
            if let (Shape::Slots(found), wit::Kind::Histogram(bounds)) = (feed.shape, &family.kind)
                && found != bounds.len() + 1
            {
                return Err(ManifestError::Slots { view: view(), family: name, found, expected: bounds.len() + 1 });
            }
            match (feed.shape == Shape::Bucket, labelled.buckets) {
                (true, false) => return Err(ManifestError::NeedsBucketRows { view: view(), family: name }),
                (false, true) => return Err(ManifestError::NeedsBucketValue { view: view(), family: name }),
                (true, true) | (false, false) => {}
            }
        }
        Ok(())
    }

    fn family_of(&self, feed: &Feed) -> &wit::Family {
        &self.wit.families[feed.family.0 as usize]
    }

    fn finish(&self, draft: Draft, columns: usize) -> Result<wit::View, ManifestError> {
        let mut identity = join(draft.identity);
        let refuse = |table: &String| ManifestError::Lookup { view: draft.source.clone(), table: table.clone() };
        for (table, fields) in &draft.lookups {
            if !matches!(fields[..], [field] if isolate(&mut identity, field)) {
                return Err(refuse(table));
            }
        }
        // All fields are split now: a lookup's field that is missing was split by another lookup that overlaps it.
        let lookup = |(table, fields): &(String, Vec<wit::Field>)| {
            let field = identity.iter().position(|field| *field == fields[0]).ok_or_else(|| refuse(table))?;
            Ok(wit::Lookup { table: table.clone(), field: field as u32 })
        };
        let lookups = draft.lookups.iter().map(lookup).collect::<Result<_, _>>()?;
        Ok(wit::View {
            lookups,
            series: draft.feeds.into_iter().map(|feed| self.series(feed)).collect(),
            source: draft.source,
            key_size: draft.key_size,
            value_size: draft.value_size,
            identity,
            columns: columns as u32,
        })
    }

    fn series(&self, feed: Feed) -> wit::Series {
        let columns = self.family_of(&feed).labels.len() as u32;
        wit::Series {
            family: feed.family.0,
            labels: feed.labels.unwrap_or_else(|| (0..columns).map(wit::Label::Column).collect()),
            value: feed.value,
        }
    }
}
