//! Views: which map is read, which bytes decide labels, which names are looked up, what is fed, and the function that labels.
//!
//! The types of key and value go through the whole builder: a member of another struct does not compile.

#![allow(clippy::needless_pass_by_value, reason = "a builder that takes what it is given reads better")]

use core::marker::PhantomData;

use crate::Plugin;
use crate::bindings::exports::ebhost::plugin::decoder as wit;
use crate::component::{self, Decode};
use crate::family::FamilyId;
use crate::identity::{self, Pick};
use crate::label::{Answer, BucketAnswer, Names};
use crate::layout::{Layout, Packed};
use crate::value::{Shape, Value};

/// A view of a source with keys `K` and values `V`, whose labels depend on an `I`.
pub struct View<K, V, I = ()> {
    pub(crate) draft: Draft,
    types: PhantomData<fn(&K, &V, &I)>,
}

/// A view with its row function: what [`Manifest::view`](crate::Manifest::view) takes.
pub struct Reading<P> {
    pub(crate) draft: Draft,
    pub(crate) names: usize,
    pub(crate) columns: usize,
    pub(crate) buckets: bool,
    pub(crate) decode: Decode<P>,
}

/// What a view says so far.
pub(crate) struct Draft {
    pub(crate) source: String,
    pub(crate) key_size: u32,
    pub(crate) value_size: u32,
    pub(crate) identity: Vec<wit::Field>,
    pub(crate) lookups: Vec<(String, Vec<wit::Field>)>,
    pub(crate) feeds: Vec<Feed>,
}

/// One family that is fed.
pub(crate) struct Feed {
    pub(crate) family: FamilyId,
    /// None: the columns in order, one for each of the family's labels.
    pub(crate) labels: Option<Vec<wit::Label>>,
    pub(crate) value: wit::Value,
    pub(crate) shape: Shape,
}

/// Where a label's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// This column of the rows, from 0.
    Column(u32),
    /// Always this text.
    Fixed(String),
    /// The CPU's number, of a per-CPU map or perf event array.
    Cpu,
}

impl Source {
    /// Always this text.
    pub fn fixed(text: &str) -> Self {
        Self::Fixed(text.into())
    }
}

/// The value of a perf source with `N` events: totals that the host has corrected for multiplexing.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerfReading<const N: usize> {
    /// One total for each event, in the order of plugin.yaml.
    pub events: [u64; N],
    /// Nanoseconds for which the events were wanted.
    pub enabled: u64,
    /// Nanoseconds for which they counted.
    pub running: u64,
}

impl<const N: usize> PerfReading<N> {
    /// One event's total, from 0.
    pub const fn event(index: usize) -> crate::Member<Self, u64> {
        crate::Member::<Self, [u64; N]>::new(0, |reading| &reading.events).element(index)
    }
}

impl<const N: usize> Packed for PerfReading<N> {
    const PACKED: usize = size_of::<Self>();

    fn unpack(packed: &[u8]) -> Self {
        let (events, times) = packed.split_at(N * 8);
        let [enabled, running] = Packed::unpack(times);
        Self { events: Packed::unpack(events), enabled, running }
    }
}

impl<const N: usize> Layout for PerfReading<N> {
    fn runs(base: u32, runs: &mut Vec<(u32, u32)>) {
        runs.push((base, Self::SIZE as u32));
    }
}

impl View<(), ()> {
    /// Of a map with keys and values. Per-CPU maps: `V` is one CPU's value.
    pub fn table<K: Layout, V: Layout>(map: &str) -> View<K, V> {
        View::of(map)
    }

    /// Of a ring buffer or perf event array: `V` is the event. Longer events are of this view too, shorter ones are not.
    pub fn events<V: Layout>(map: &str) -> View<(), V> {
        View::of(map)
    }

    /// Of a perf source of plugin.yaml with `N` events; its key is the CPU.
    pub fn perf<const N: usize>(source: &str) -> View<u32, PerfReading<N>> {
        View::of(source)
    }
}

impl<K: Layout, V: Layout> View<K, V> {
    fn of(source: &str) -> Self {
        let draft = Draft {
            source: source.into(),
            key_size: K::SIZE as u32,
            value_size: V::SIZE as u32,
            identity: Vec::new(),
            lookups: Vec::new(),
            feeds: Vec::new(),
        };
        Self { draft, types: PhantomData }
    }

    /// The bytes that decide labels and bucket; without it all entries are alike. The row function sees these alone.
    pub fn identity<X: Pick<K, V>>(mut self, pick: X) -> View<K, V, X::Identity> {
        pick.fields(&mut self.draft.identity);
        View { draft: self.draft, types: PhantomData }
    }
}

impl<K: Layout, V: Layout, I: Packed> View<K, V, I> {
    /// A name that the host finds in a [`table`](crate::table) for a part of the identity, and gives to the row function. The package's
    /// `grants` must name the table.
    pub fn lookup(mut self, table: &str, pick: impl Pick<K, V>) -> Self {
        let mut fields = Vec::new();
        pick.fields(&mut fields);
        self.draft.lookups.push((table.into(), identity::join(fields)));
        self
    }

    /// Feeds a family: its labels are the columns, in order.
    pub fn feed(self, family: FamilyId, value: impl Into<Value<V>>) -> Self {
        self.push(family, None, value.into())
    }

    /// Feeds a family whose labels come from these sources, in its order.
    pub fn feed_from(
        self,
        family: FamilyId,
        labels: impl IntoIterator<Item = Source>,
        value: impl Into<Value<V>>,
    ) -> Self {
        let label = |source| match source {
            Source::Column(column) => wit::Label::Column(column),
            Source::Fixed(text) => wit::Label::Fixed(text),
            Source::Cpu => wit::Label::Cpu,
        };
        self.push(family, Some(labels.into_iter().map(label).collect()), value.into())
    }

    /// The function that labels: of the plugin, the identity and the `L` names found, to `C` label values. It must depend on
    /// nothing else, for the host keeps the answer.
    pub fn rows<P, F, const L: usize, const C: usize>(self, function: F) -> Reading<P>
    where
        P: Plugin,
        F: for<'a> Fn(&'a P, &'a I, Names<'a, L>) -> Answer<'a, C> + 'static,
    {
        Reading { draft: self.draft, names: L, columns: C, buckets: false, decode: component::rows(function) }
    }

    /// The same where each entry is a bucket: all families of the view are fed with [`bucket`](crate::bucket()) values, and bounds
    /// of one length.
    pub fn bucket_rows<P, F, const L: usize, const C: usize>(self, function: F) -> Reading<P>
    where
        P: Plugin,
        F: for<'a> Fn(&'a P, &'a I, Names<'a, L>) -> BucketAnswer<'a, C> + 'static,
    {
        Reading { draft: self.draft, names: L, columns: C, buckets: true, decode: component::bucket_rows(function) }
    }

    fn push(mut self, family: FamilyId, labels: Option<Vec<wit::Label>>, value: Value<V>) -> Self {
        self.draft.feeds.push(Feed { family, labels, value: value.wit, shape: value.shape });
        self
    }
}
