//! What a package shows and how its sources feed it: a manifest after every check.
//!
//! A `Schema` is only made by `plugin::manifest`, which refuses what is wrong with the reason; whoever holds one checks
//! nothing again: indices are in range, arities agree, numbers lie inside their values, bounds ascend, names are legal.
//! It knows nothing of WIT, so that a later contract version becomes the same schema.

pub use ebhost_metrics::{Family, Fold, Kind};

/// All families of a package and all readings that feed them.
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
    /// The bytes that decide labels and bucket, back to back; empty: all entries are alike.
    pub identity: Vec<Field>,
    pub lookups: Vec<Lookup>,
    /// Label values that `decode` gives for an entry.
    pub columns: usize,
    /// What each entry feeds.
    pub feeds: Vec<Feed>,
}

/// What a source's rows look like, whatever a manifest says of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceShape {
    /// Entries with a key and one value.
    Table { key_size: usize, value_size: usize },
    /// Entries with a key and a value for each CPU.
    PerCpuTable { key_size: usize, value_size: usize },
    /// Rows without a key, of any length; of a perf event array with the CPU that wrote them.
    Events { know_cpu: bool },
}

/// A run of identity bytes.
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

/// A name that the host finds for one identity field.
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
    /// This column of the answer.
    Column(usize),
    /// Always this text.
    Fixed(String),
    /// The CPU's number; without it a per-CPU series is summed over CPUs.
    Cpu,
}

/// Where a series' number comes from. Which case suits which kind is in the contract (`wit/decoder.wit`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    One,
    Number(Number),
    Observation(Number),
    Slots(Slots),
    NativeSlots(NativeSlots),
    Bucket(Bucket),
}

/// A little-endian integer of 1, 2, 4 or 8 bytes in the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number {
    pub offset: usize,
    pub size: usize,
    pub is_signed: bool,
}

/// One slot more than the family has bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots {
    pub offset: usize,
    /// 4 or 8 bytes.
    pub size: usize,
    pub sum: Option<Number>,
}

/// `count` + 2 `u64` slots: at or below the first bucket, the buckets, above the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NativeSlots {
    pub offset: usize,
    pub schema: i8,
    pub first: i32,
    pub count: usize,
    pub sum: Option<Number>,
}

/// The entry is one bucket of a series; the answer says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    pub count: Number,
    pub sum: Option<Number>,
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
