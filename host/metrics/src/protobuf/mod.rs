//! Prometheus' protobuf: delimited `io.prometheus.client.MetricFamily`, written by hand.
//!
//! A family is one message behind its length, so one family's bytes are held until it is whole. Numbers are doubles there,
//! counts of histograms `uint64`. A family of native buckets carries its classic ones as well, added up from the same cells.
//!
//! It is only sent to who asks for it: it is the one format with native histograms, and costs more to read than text.

mod native;
mod openmetrics;
mod wire;

use std::io;

use super::{CellKind, Family, FamilySeries, Kind, Layout, labels, scale::Scale};
pub use native::Buckets;
use wire::Wire as _;

/// Field numbers of `metrics.proto`.
mod field {
    pub(super) mod family {
        pub(in super::super) const NAME: u32 = 1;
        pub(in super::super) const HELP: u32 = 2;
        pub(in super::super) const TYPE: u32 = 3;
        pub(in super::super) const METRIC: u32 = 4;
        pub(in super::super) const UNIT: u32 = 5;
    }
    pub(super) mod metric {
        pub(in super::super) const LABEL: u32 = 1;
        pub(in super::super) const GAUGE: u32 = 2;
        pub(in super::super) const COUNTER: u32 = 3;
        pub(in super::super) const UNTYPED: u32 = 5;
        pub(in super::super) const HISTOGRAM: u32 = 7;
    }
    pub(super) mod label {
        pub(in super::super) const NAME: u32 = 1;
        pub(in super::super) const VALUE: u32 = 2;
    }
    pub(super) mod number {
        pub(in super::super) const VALUE: u32 = 1;
    }
    pub(super) mod histogram {
        pub(in super::super) const SAMPLE_COUNT: u32 = 1;
        pub(in super::super) const SAMPLE_SUM: u32 = 2;
        pub(in super::super) const BUCKET: u32 = 3;
        pub(in super::super) const SCHEMA: u32 = 5;
        pub(in super::super) const ZERO_THRESHOLD: u32 = 6;
        pub(in super::super) const ZERO_COUNT: u32 = 7;
        pub(in super::super) const POSITIVE_SPAN: u32 = 12;
        pub(in super::super) const POSITIVE_DELTA: u32 = 13;
    }
    pub(super) mod bucket {
        pub(in super::super) const CUMULATIVE_COUNT: u32 = 1;
        pub(in super::super) const UPPER_BOUND: u32 = 2;
    }
    pub(super) mod span {
        pub(in super::super) const OFFSET: u32 = 1;
        pub(in super::super) const LENGTH: u32 = 2;
    }
}

/// `MetricType`, and the field of `Metric` that a value of that type is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Counter,
    Gauge,
    Untyped,
    Histogram,
}

impl Type {
    fn number(self) -> u64 {
        match self {
            Self::Counter => 0,
            Self::Gauge => 1,
            Self::Untyped => 3,
            Self::Histogram => 4,
        }
    }

    fn field(self) -> u32 {
        match self {
            Self::Counter => field::metric::COUNTER,
            Self::Gauge => field::metric::GAUGE,
            Self::Untyped => field::metric::UNTYPED,
            Self::Histogram => field::metric::HISTOGRAM,
        }
    }
}

/// What is handed out at once.
const CHUNK: usize = 256 << 10;

/// Writes families into a writer, one message each.
pub struct Messages<'w> {
    out: &'w mut dyn io::Write,
    /// The family that is being written.
    family: Vec<u8>,
    // Buffers of the messages within it, kept from one series to the next.
    metric: Vec<u8>,
    value: Vec<u8>,
    part: Vec<u8>,
}

impl<'w> Messages<'w> {
    pub fn new(out: &'w mut dyn io::Write) -> Self {
        Self { out, family: Vec::new(), metric: Vec::new(), value: Vec::new(), part: Vec::new() }
    }

    /// Writes the families of a table, each name behind `namespace` and `_`; an empty one adds nothing.
    pub fn families<'a>(
        &mut self,
        namespace: &str,
        mut families: impl Iterator<Item = FamilySeries<'a>>,
    ) -> io::Result<()> {
        families.try_for_each(|series| self.family(namespace, series))
    }

    /// Writes families that are OpenMetrics text so far: the host's own.
    pub fn openmetrics(&mut self, text: &str) -> io::Result<()> {
        openmetrics::families(self, text)
    }

    fn family(&mut self, namespace: &str, series: FamilySeries<'_>) -> io::Result<()> {
        if series.iter().next().is_none() {
            return Ok(());
        }
        let family = series.family();
        let name = if namespace.is_empty() { family.name.clone() } else { format!("{namespace}_{}", family.name) };
        let kind = type_of(family);
        self.begin(&name, &family.help, kind, &family.unit);
        let scale = Scale::new(family.times, family.per);
        match (series.layout(), &family.kind) {
            (Layout::Single(cell), _) => {
                for (block, cells) in series.iter() {
                    let number = match cell {
                        CellKind::U64 => scale.apply(cells[0]),
                        CellKind::I64 => scale.apply_signed(cells[0] as i64),
                        CellKind::F64 => scale.apply_float(f64::from_bits(cells[0])),
                    };
                    self.number(block, kind, number);
                }
            }
            (layout, Kind::Histogram(bounds)) => {
                for (block, cells) in series.iter() {
                    self.histogram(block, layout, bounds, scale, cells);
                }
            }
            (_, Kind::Counter | Kind::Gauge(_)) => {}
        }
        self.end()
    }

    fn begin(&mut self, name: &str, help: &str, kind: Type, unit: &str) {
        self.family.clear();
        self.family.bytes(field::family::NAME, name.as_bytes());
        self.family.bytes(field::family::HELP, help.as_bytes());
        self.family.unsigned(field::family::TYPE, kind.number());
        if !unit.is_empty() {
            self.family.bytes(field::family::UNIT, unit.as_bytes());
        }
    }

    fn end(&mut self) -> io::Result<()> {
        self.part.clear();
        self.part.varint(self.family.len() as u64);
        self.out.write_all(&self.part)?;
        self.family.chunks(CHUNK).try_for_each(|chunk| self.out.write_all(chunk))
    }

    /// One series of a counter, a gauge or an untyped family.
    fn number(&mut self, block: &[u8], kind: Type, number: f64) {
        self.value.clear();
        self.value.double(field::number::VALUE, number);
        self.metric(block, kind);
    }

    fn histogram(&mut self, block: &[u8], layout: &Layout, bounds: &[f64], scale: Scale, cells: &[u64]) {
        self.value.clear();
        let mut bounds = bounds.iter().copied().chain([f64::INFINITY]);
        let mut total = 0;
        layout.cumulate(cells, |count| {
            total = count;
            self.part.clear();
            self.part.unsigned(field::bucket::CUMULATIVE_COUNT, count);
            let bound = bounds.next().expect("as many counts as bounds, and +Inf");
            self.part.double(field::bucket::UPPER_BOUND, bound);
            self.value.bytes(field::histogram::BUCKET, &self.part);
        });
        self.value.unsigned(field::histogram::SAMPLE_COUNT, total);
        // Without the field Prometheus stores a sum of 0, which is a number and wrong.
        let sum = layout.sum().map_or(f64::NAN, |sum| scale.apply(cells[sum]));
        self.value.double(field::histogram::SAMPLE_SUM, sum);
        if let Layout::Native { schema, first, count, .. } = *layout {
            Buckets { schema, first, count }.write(cells, &mut self.value);
        }
        self.metric(block, Type::Histogram);
    }

    /// A series of `self.value`.
    fn metric(&mut self, block: &[u8], kind: Type) {
        self.metric.clear();
        for (name, value) in labels::of_block(block) {
            self.part.clear();
            self.part.bytes(field::label::NAME, name);
            self.part.bytes(field::label::VALUE, &value);
            self.metric.bytes(field::metric::LABEL, &self.part);
        }
        self.metric.bytes(kind.field(), &self.value);
        self.family.bytes(field::family::METRIC, &self.metric);
    }
}

fn type_of(family: &Family) -> Type {
    match family.kind {
        Kind::Counter => Type::Counter,
        Kind::Gauge(_) => Type::Gauge,
        Kind::Histogram(_) => Type::Histogram,
    }
}
