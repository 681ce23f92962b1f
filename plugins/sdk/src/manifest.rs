//! The manifest: families and views of a plugin, and the mistakes in it that types do not catch. The host checks all the rest.

use core::fmt;

use crate::bindings::exports::ebhost::plugin::decoder as wit;
use crate::component::Decode;
use crate::family::{Family, FamilyId};
use crate::identity::{isolate, join};
use crate::value::Shape;
use crate::view::{Draft, Feed, Reading};

/// All that a plugin shows and reads.
pub struct Manifest<P> {
    wit: wit::Manifest,
    decoders: Vec<Decode<P>>,
    mistake: Option<Mistake>,
}

/// What is wrong in a manifest; the first one refuses the package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// The row function's names are not the view's lookups.
    Names { view: String, function: usize, lookups: usize },
    /// A lookup is of bytes that are not, or not in one piece, in the identity.
    Lookup { view: String, table: String },
    /// A family has not as many labels as the series names.
    Labels { view: String, family: String, found: usize, expected: usize },
    /// An array of slots does not have one more than the family's bounds.
    Slots { view: String, family: String, found: usize, expected: usize },
    /// `rows` with bucket values, or `bucket_rows` with others.
    Buckets { view: String, family: String, rows: bool },
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Names { view, function, lookups } => write!(
                f,
                "view `{view}`: its row function takes {function} names, its lookups are {lookups}: \
                 try one `.lookup(…)` for each name"
            ),
            Self::Lookup { view, table } => write!(
                f,
                "view `{view}`: the lookup in `{table}` is not of one piece of the identity: \
                 try a member that `.identity(…)` holds"
            ),
            Self::Labels { view, family, found, expected } => write!(
                f,
                "view `{view}`: {found} label values for `{family}`, which has {expected} labels: \
                 try a row of {expected}, or `.feed_from(…)` with {expected} sources"
            ),
            Self::Slots { view, family, found, expected } => write!(
                f,
                "view `{view}`: an array of {found} slots for `{family}`, expected {expected} (its bounds and one for all above): \
                 try other bounds, or another array"
            ),
            Self::Buckets { view, family, rows: true } => write!(
                f,
                "view `{view}`: `{family}` takes buckets and the row function gives none: try `.bucket_rows(…)`"
            ),
            Self::Buckets { view, family, rows: false } => write!(
                f,
                "view `{view}`: the row function gives buckets and `{family}` takes none: try `bucket(…)` as its value, or `.rows(…)`"
            ),
        }
    }
}

impl core::error::Error for Mistake {}

impl<P> Default for Manifest<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P> Manifest<P> {
    /// Nothing yet.
    pub fn new() -> Self {
        Self { wit: wit::Manifest { families: Vec::new(), views: Vec::new() }, decoders: Vec::new(), mistake: None }
    }

    /// Adds a family; several views may feed it.
    pub fn family(&mut self, family: Family) -> FamilyId {
        self.wit.families.push(family.0);
        FamilyId(self.wit.families.len() as u32 - 1)
    }

    /// Adds a view. A map may have several; an entry that a view is not about is skipped there.
    pub fn view(&mut self, reading: Reading<P>) {
        let mistake = self.check(&reading).err();
        let Reading { draft, columns, decode, .. } = reading;
        match self.finish(draft, columns) {
            Ok(view) => self.wit.views.push(view),
            Err(mistake) => self.mistake = self.mistake.take().or(Some(mistake)),
        }
        self.mistake = self.mistake.take().or(mistake);
        self.decoders.push(decode);
    }

    /// As the contract has it, and the decoders of its views.
    pub(crate) fn build(self) -> Result<(wit::Manifest, Vec<Decode<P>>), Mistake> {
        self.mistake.map_or(Ok((self.wit, self.decoders)), Err)
    }

    fn check(&self, reading: &Reading<P>) -> Result<(), Mistake> {
        let view = || reading.draft.source.clone();
        let lookups = reading.draft.lookups.len();
        if reading.names != lookups {
            return Err(Mistake::Names { view: view(), function: reading.names, lookups });
        }
        for feed in &reading.draft.feeds {
            let (family, name) = self.fed(feed);
            let found = feed.labels.as_ref().map_or(reading.columns, Vec::len);
            if found != family.labels.len() {
                return Err(Mistake::Labels { view: view(), family: name, found, expected: family.labels.len() });
            }
            if let (Shape::Slots(found), wit::Kind::Histogram(bounds)) = (feed.shape, &family.kind)
                && found != bounds.len() + 1
            {
                return Err(Mistake::Slots { view: view(), family: name, found, expected: bounds.len() + 1 });
            }
            if (feed.shape == Shape::Bucket) != reading.buckets {
                return Err(Mistake::Buckets { view: view(), family: name, rows: !reading.buckets });
            }
        }
        Ok(())
    }

    fn fed(&self, feed: &Feed) -> (&wit::Family, String) {
        let family = &self.wit.families[feed.family.0 as usize];
        (family, family.name.clone())
    }

    fn finish(&self, draft: Draft, columns: usize) -> Result<wit::View, Mistake> {
        let mut identity = join(draft.identity);
        let refuse = |table: &String| Mistake::Lookup { view: draft.source.clone(), table: table.clone() };
        for (table, fields) in &draft.lookups {
            if !matches!(fields[..], [field] if isolate(&mut identity, field)) {
                return Err(refuse(table));
            }
        }
        // All cuts are made: a field that is no longer there was cut by a lookup of a part of it.
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
        let columns = self.fed(&feed).0.labels.len() as u32;
        wit::Series {
            family: feed.family.0,
            labels: feed.labels.unwrap_or_else(|| (0..columns).map(wit::Label::Column).collect()),
            value: feed.value,
        }
    }
}
