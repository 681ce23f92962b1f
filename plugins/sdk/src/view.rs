//! Views: which map is read, which bytes of an entry decide its labels, which names the host looks up, which families are fed, and the
//! function that computes the labels.
//!
//! The builder carries the types of key and value: a member of another struct does not compile.

#![allow(
    clippy::needless_pass_by_value,
    reason = "the calls of a builder read better with values than with references"
)]

use core::marker::PhantomData;

use crate::Plugin;
use crate::bindings::exports::ebhost::plugin::decoder as wit;
use crate::component::{self, DecodeBatch};
use crate::family::FamilyId;
use crate::identity::{self, FieldSelector};
use crate::label::{Answer, BucketAnswer, LookupNames};
use crate::layout::{Layout, Member, Packed};
use crate::value::{Shape, Value};

/// A view of a map, or of a perf source, with keys `K` and values `V`. The labels of an entry depend on its identity, of type `I`.
///
/// ```
/// # use ebhost_plugin::{Answer, Family, LabelledView, LookupNames, Manifest, Plugin, Refusal, View};
/// # use ebhost_plugin::{key, key_at, layout, member, number, row, table};
/// layout! {
///     /// `struct key` in traffic.bpf.c.
///     struct Key: 8 bytes { interface: u32, queue: u32 }
/// }
/// # struct Traffic;
/// # impl Plugin for Traffic {
/// #     type Config = serde_json::Value;
/// #     fn new(_: serde_json::Value) -> Result<Self, String> { Ok(Traffic) }
/// #     fn describe(&self) -> Manifest<Self> {
/// #         let mut manifest = Manifest::new();
/// #         let bytes = manifest.family(Family::counter("bytes_total").labels(["interface", "queue"]));
/// #         let view: LabelledView<Self> =
/// View::table::<Key, u64>("bytes")
///     .identity(key())
///     .lookup(table::NETWORK_INTERFACE, key_at(member!(Key.interface)))
///     .feed(bytes, number(member!(u64)))
///     .rows(|_: &Self, key: &Key, [interface]: LookupNames<'_, 1>| row![interface.ok_or(Refusal::Skip)?, key.queue])
/// #         ;
/// #         manifest.view(view);
/// #         manifest
/// #     }
/// # }
/// # ebhost_plugin::testing::Harness::<Traffic>::new("{}").unwrap();
/// ```
pub struct View<K, V, I = ()> {
    pub(crate) draft: Draft,
    types: PhantomData<fn(&K, &V, &I)>,
}

/// A view together with its row function; [`Manifest::view`](crate::Manifest::view) takes it.
pub struct LabelledView<P> {
    pub(crate) draft: Draft,
    /// Names that the row function takes.
    pub(crate) names: usize,
    /// Label values that the row function returns.
    pub(crate) columns: usize,
    /// Whether the row function returns a bucket as well.
    pub(crate) buckets: bool,
    pub(crate) decode: DecodeBatch<P>,
}

/// The parts of a view without their types.
pub(crate) struct Draft {
    pub(crate) source: String,
    pub(crate) key_size: u32,
    pub(crate) value_size: u32,
    pub(crate) identity: Vec<wit::Field>,
    pub(crate) lookups: Vec<(String, Vec<wit::Field>)>,
    pub(crate) feeds: Vec<Feed>,
    /// Where an event has its trace id and its span id.
    pub(crate) exemplar: Option<(u32, Option<u32>)>,
}

/// A family that a view feeds.
pub(crate) struct Feed {
    pub(crate) family: FamilyId,
    /// The sources of its labels; none: the columns in their order.
    pub(crate) labels: Option<Vec<wit::Label>>,
    pub(crate) value: wit::Value,
    pub(crate) shape: Shape,
}

/// The source of a label's value, for [`View::feed_from`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The column of the row with this index, from 0.
    Column(u32),
    /// A constant text.
    Fixed(String),
    /// The number of the CPU, of a per-CPU map or perf event array.
    Cpu,
}

impl Source {
    /// A constant text.
    pub fn fixed(text: &str) -> Self {
        Self::Fixed(text.into())
    }
}

/// The value of a perf source with `N` events. The totals are already scaled up for the time in which the PMU counted other events
/// (multiplexing).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerfReading<const N: usize> {
    /// The total of each event, in the order of plugin.yaml.
    pub events: [u64; N],
    /// Nanoseconds for which the events were enabled.
    pub enabled: u64,
    /// Nanoseconds for which the PMU counted them.
    pub running: u64,
}

impl<const N: usize> PerfReading<N> {
    /// The total of the event with this index, from 0.
    pub const fn event(index: usize) -> Member<Self, u64> {
        Member::<Self, [u64; N]>::new(0, |reading| reading.events).element(index)
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
    fn read(bytes: &[u8]) -> Self {
        Self::unpack(bytes)
    }

    fn runs(base: u32, runs: &mut Vec<(u32, u32)>) {
        runs.push((base, Self::SIZE as u32));
    }
}

impl View<(), ()> {
    /// A view of a map with keys and values. In a per-CPU map, `V` is the value of one CPU.
    pub fn table<K: Layout, V: Layout>(map: &str) -> View<K, V> {
        View::of(map)
    }

    /// A view of a ring buffer or perf event array, where `V` is the event. The host passes over events that are shorter than `V`; of
    /// longer ones it reads the beginning.
    pub fn events<V: Layout>(map: &str) -> View<(), V> {
        View::of(map)
    }

    /// A view of a perf source of plugin.yaml with `N` events. Its key is the CPU.
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
            exemplar: None,
        };
        Self { draft, types: PhantomData }
    }

    /// Selects the bytes that decide labels and bucket; the row function gets only these. Without this call all entries have the same
    /// labels.
    pub fn identity<X: FieldSelector<K, V>>(mut self, selector: X) -> View<K, V, X::Identity> {
        selector.fields(&mut self.draft.identity);
        View { draft: self.draft, types: PhantomData }
    }
}

impl<K: Layout, V: Layout, I: Packed> View<K, V, I> {
    /// Makes the host look up a name in one of its [tables](crate::table), by a part of the identity, and pass it to the row function.
    /// plugin.yaml must list the table under `grants`.
    pub fn lookup(mut self, table: &str, selector: impl FieldSelector<K, V>) -> Self {
        let mut fields = Vec::new();
        selector.fields(&mut fields);
        self.draft.lookups.push((table.into(), identity::join(fields)));
        self
    }

    /// Feeds a family whose labels are the columns of the row, in their order.
    pub fn feed(self, family: FamilyId, value: impl Into<Value<V>>) -> Self {
        self.push(family, None, value.into())
    }

    /// Feeds a family whose labels come from these sources, one for each label in the family's order.
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

    /// Sets the row function, which computes the `C` label values of an entry from the plugin, the entry's identity and the `L` names that
    /// were looked up. It must depend on nothing else, because the host keeps the result.
    pub fn rows<P, F, const L: usize, const C: usize>(self, function: F) -> LabelledView<P>
    where
        P: Plugin,
        F: for<'a> Fn(&'a P, &'a I, LookupNames<'a, L>) -> Answer<'a, C> + 'static,
    {
        LabelledView { draft: self.draft, names: L, columns: C, buckets: false, decode: component::rows(function) }
    }

    /// Sets the row function of a view whose entries are single buckets: it also returns which bucket the entry is. All families of
    /// the view must be fed with [`bucket`](crate::bucket()) values and have equally many bounds.
    pub fn bucket_rows<P, F, const L: usize, const C: usize>(self, function: F) -> LabelledView<P>
    where
        P: Plugin,
        F: for<'a> Fn(&'a P, &'a I, LookupNames<'a, L>) -> BucketAnswer<'a, C> + 'static,
    {
        LabelledView {
            draft: self.draft,
            names: L,
            columns: C,
            buckets: true,
            decode: component::bucket_rows(function),
        }
    }

    /// Gives the observations of events exemplars: the trace that an event belongs to, by a member of 16 bytes, zeros for none. The plugin is
    /// exported with `export!(Plugin, spans)`.
    #[must_use]
    pub fn exemplar(mut self, trace_id: Member<V, [u8; 16]>) -> Self {
        self.draft.exemplar = Some((trace_id.offset, None));
        self
    }

    /// The same with the span of the observation, by a member of 8 bytes.
    #[must_use]
    pub fn exemplar_of(mut self, trace_id: Member<V, [u8; 16]>, span_id: Member<V, [u8; 8]>) -> Self {
        self.draft.exemplar = Some((trace_id.offset, Some(span_id.offset)));
        self
    }

    fn push(mut self, family: FamilyId, labels: Option<Vec<wit::Label>>, value: Value<V>) -> Self {
        self.draft.feeds.push(Feed { family, labels, value: value.wit, shape: value.shape });
        self
    }
}
