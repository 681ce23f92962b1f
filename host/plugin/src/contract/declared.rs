//! The manifest that a component declares, before any check: the same types for every contract version.
//!
//! Field for field these are the records of `wit/decoder.wit`, which documents them. A version converts what its component returns
//! into these types; [`crate::manifest`] checks them and makes a [`Schema`](ebhost_series::schema::Schema). A version that adds
//! something adds it here, and the older versions fill in its default.

use ebhost_series::schema::Encoding;

/// Everything that a component declares about itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Manifest {
    pub(crate) families: Vec<Family>,
    pub(crate) views: Vec<View>,
    /// Empty for a component that exports no spans.
    pub(crate) spans: Spans,
}

/// The sources of spans and the exemplars, of the optional export of `wit/spans`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Spans {
    pub(crate) sources: Vec<SpanSource>,
    pub(crate) exemplars: Vec<Exemplar>,
}

/// A buffer whose events become spans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SpanSource {
    pub(crate) buffer: String,
    /// Bytes that an event has at least.
    pub(crate) min_size: u32,
    pub(crate) lookups: Vec<SpanLookup>,
}

/// A name to be looked up for bytes of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SpanLookup {
    pub(crate) table: String,
    pub(crate) offset: u32,
    pub(crate) length: u32,
}

/// Where the events of a view carry the ids of their trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exemplar {
    /// Index in [`Manifest::views`].
    pub(crate) view: u32,
    /// Offset of 16 bytes.
    pub(crate) trace_id: u32,
    /// Offset of 8 bytes.
    pub(crate) span_id: Option<u32>,
}

/// One metric family.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Family {
    pub(crate) name: String,
    pub(crate) help: String,
    /// OpenMetrics unit; empty: none.
    pub(crate) unit: String,
    /// Label names in printing order.
    pub(crate) labels: Vec<String>,
    pub(crate) kind: Kind,
    /// Raw numbers × `times` ÷ `per` give the unit.
    pub(crate) times: f64,
    pub(crate) per: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Counter,
    Gauge(Fold),
    /// Upper bounds, without +Inf.
    Histogram(Vec<f64>),
}

/// How gauge values with equal labels become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fold {
    Sum,
    Min,
    Max,
}

/// One reading of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    /// Name of the map in the BPF object, or of the perf source in plugin.yaml.
    pub(crate) source: String,
    /// Bytes; 0: the rows are events.
    pub(crate) key_size: u32,
    pub(crate) value_size: u32,
    pub(crate) identity: Vec<Field>,
    pub(crate) lookups: Vec<Lookup>,
    /// Label values per row of an answer.
    pub(crate) columns: u32,
    pub(crate) series: Vec<Series>,
}

/// A run of identity bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) part: Part,
    pub(crate) offset: u32,
    pub(crate) length: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Key,
    Value,
}

/// A name to be looked up for one identity field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lookup {
    pub(crate) table: String,
    /// Index in [`View::identity`].
    pub(crate) field: u32,
}

/// How an entry of a view feeds a family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Series {
    /// Index in [`Manifest::families`].
    pub(crate) family: u32,
    /// One source for each label of the family, in its order.
    pub(crate) labels: Vec<Label>,
    pub(crate) value: Value,
}

/// Source of a label's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Label {
    Column(u32),
    Fixed(String),
    Cpu,
}

/// Source of a series' number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value {
    One,
    Number(Number),
    Observation(Number),
    Slots(Slots),
    NativeSlots(NativeSlots),
    Bucket(Bucket),
}

/// A number in an entry's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number {
    pub(crate) offset: u32,
    /// Bytes.
    pub(crate) size: u32,
    pub(crate) encoding: Encoding,
}

/// An array of bucket counts, one more than the family has bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slots {
    pub(crate) offset: u32,
    /// Bytes of one slot.
    pub(crate) size: u32,
    pub(crate) sum: Option<Number>,
}

/// An array of native bucket counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NativeSlots {
    pub(crate) offset: u32,
    pub(crate) schema: i8,
    /// Index of the first bucket.
    pub(crate) first: i32,
    pub(crate) count: u32,
    pub(crate) sum: Option<Number>,
}

/// An entry that is one bucket of a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bucket {
    pub(crate) count: Number,
    pub(crate) sum: Option<Number>,
}
