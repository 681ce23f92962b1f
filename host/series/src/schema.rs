//! A package's families and the sources that feed them: a manifest that passed every check.
//!
//! Only the manifest check makes a [`Schema`], and refuses what is wrong with a reason. Code that holds one checks nothing again:
//! indices are in range, arities agree, numbers lie inside their values, bounds ascend, names are legal. It has no WIT types, so
//! that a later contract version gives the same schema.

use ebhost_metrics::CellKind;
pub use ebhost_metrics::{Family, Fold, Kind};

/// All families of a package, and all readings that feed them.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    pub families: Vec<Family>,
    pub views: Vec<View>,
}

/// One reading of one source.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// The map's name in the BPF object, or the perf source's in plugin.yaml.
    pub source: String,
    /// 0: the source's rows are events.
    pub key_size: usize,
    pub value_size: usize,
    /// The bytes that decide labels and bucket, back to back; empty if all entries are alike.
    pub identity: Vec<Field>,
    pub lookups: Vec<Lookup>,
    /// The number of label values that `decode` gives for an identity.
    pub columns: usize,
    /// The families that each entry feeds.
    pub feeds: Vec<Feed>,
}

/// The shape of a source's rows, independent of any manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceShape {
    /// Entries with a key and one value.
    Table { key_size: usize, value_size: usize },
    /// Entries with a key and a value for each CPU.
    PerCpuTable { key_size: usize, value_size: usize },
    /// Rows without a key, of any length. Those of a perf event array come with the CPU that wrote them.
    Events { know_cpu: bool },
}

/// A range of identity bytes in an entry's key or value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    pub part: Part,
    pub offset: usize,
    pub length: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Key,
    Value,
}

/// A name that the host looks up for one identity field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    pub table: String,
    /// Index in `View::identity`.
    pub field: usize,
}

/// How one entry of a view feeds one family.
#[derive(Debug, Clone, PartialEq)]
pub struct Feed {
    /// Index in `Schema::families`.
    pub family: usize,
    /// One source for each of the family's labels.
    pub labels: Vec<LabelSource>,
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelSource {
    /// A column of the answer.
    Column(usize),
    /// A fixed text.
    Fixed(String),
    /// The CPU's number. Without it, per-CPU numbers are summed over CPUs.
    Cpu,
}

/// Where a series' number comes from. The contract (`wit/decoder.wit`) says which case suits which kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    One,
    Number(Number),
    Observation(Number),
    Slots(Slots),
    NativeSlots(NativeSlots),
    Bucket(Bucket),
}

/// A little-endian number of 1, 2, 4 or 8 bytes in the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number {
    pub offset: usize,
    pub size: usize,
    pub encoding: Encoding,
}

/// The meaning of a number's bytes; a later one can hold what an earlier one can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Encoding {
    Unsigned,
    /// Two's complement.
    Signed,
}

impl Encoding {
    /// The kind of a cell that holds such numbers.
    pub fn cell_kind(self) -> CellKind {
        match self {
            Self::Unsigned => CellKind::U64,
            Self::Signed => CellKind::I64,
        }
    }
}

/// One slot more than the family has bounds, each the count of one bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots {
    pub offset: usize,
    /// 4 or 8 bytes.
    pub size: usize,
    pub sum: Option<Number>,
}

/// `count` + 2 slots of 8 bytes: at or below the first native bucket, the buckets, above the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NativeSlots {
    pub offset: usize,
    pub schema: i8,
    pub first: i32,
    pub count: usize,
    pub sum: Option<Number>,
}

/// The entry is one bucket of a series. The answer says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    pub count: Number,
    pub sum: Option<Number>,
}

impl Schema {
    /// Whether this schema differs from another in help texts and units alone, so that a table of one can continue with the other.
    pub fn counts_like(&self, other: &Self) -> bool {
        let is_alike = |(one, other): (&Family, &Family)| {
            let Family { name, help: _, unit: _, labels, kind, times, per } = one;
            (name, labels, kind, times, per) == (&other.name, &other.labels, &other.kind, &other.times, &other.per)
        };
        self.views == other.views
            && self.families.len() == other.families.len()
            && self.families.iter().zip(&other.families).all(is_alike)
    }
}

impl View {
    /// Bytes of one identity.
    pub fn identity_size(&self) -> usize {
        self.identity.iter().map(|field| field.length).sum()
    }

    /// Whether the rows are events and not entries of a table.
    pub fn is_events(&self) -> bool {
        self.key_size == 0
    }

    /// Whether answers carry a bucket number.
    pub fn has_buckets(&self) -> bool {
        self.feeds.iter().any(|feed| matches!(feed.value, Value::Bucket(_)))
    }
}
