//! Prometheus' protobuf: delimited `io.prometheus.client.MetricFamily`, written by hand.
//!
//! A family is one message behind its length, so one family's bytes are held until it is whole. Numbers are doubles there, counts of
//! histograms `uint64`. A family of native buckets carries its classic ones as well, added up from the same cells.
//!
//! It is only sent to who asks for it: it is the one format with native histograms, and costs more to read than text.

mod field;
mod native;
mod wire;

use std::io;

use super::{CHUNK_BYTES, Chunk, ChunkSink, Encoder, Presentation};
use crate::{
    exemplars::Exemplar,
    family::{Family, FamilySeries, Kind, Series},
    labels,
    layout::Layout,
    scale::Scale,
};
pub use native::Buckets;
use wire::Wire as _;

/// `MetricType`, and the field of `Metric` that a value of that type is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Counter,
    Gauge,
    Histogram,
}

impl Type {
    fn of(family: &Family) -> Self {
        match family.kind {
            Kind::Counter => Self::Counter,
            Kind::Gauge(_) => Self::Gauge,
            Kind::Histogram(_) => Self::Histogram,
        }
    }

    fn number(self) -> u64 {
        match self {
            Self::Counter => 0,
            Self::Gauge => 1,
            Self::Histogram => 4,
        }
    }

    fn field(self) -> u32 {
        match self {
            Self::Counter => field::metric::COUNTER,
            Self::Gauge => field::metric::GAUGE,
            Self::Histogram => field::metric::HISTOGRAM,
        }
    }
}

/// An encoder that writes a message a family.
pub(super) struct Messages<'w> {
    chunk: Chunk<'w>,
    /// The family that is being encoded.
    family: Vec<u8>,
    // Buffers of the messages within it, kept from one series to the next.
    metric: Vec<u8>,
    value: Vec<u8>,
    part: Vec<u8>,
}

impl<'w> Messages<'w> {
    pub(super) fn new(out: &'w mut dyn ChunkSink) -> Self {
        let (family, metric, value, part) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { chunk: Chunk::new(out), family, metric, value, part }
    }
}

impl Encoder for Messages<'_> {
    fn family(&mut self, presentation: Presentation<'_>, series: FamilySeries<'_>) -> io::Result<()> {
        if series.is_empty() {
            return Ok(());
        }
        let family = series.family();
        let kind = Type::of(family);
        self.begin(&presentation.name(&family.name), family, kind);
        let scale = Scale::new(family.times, family.per);
        for each in series.iter() {
            self.value.clear();
            match (series.layout(), &family.kind) {
                (Layout::Single(cell), _) => self.value.double(field::number::VALUE, cell.value(each.cells[0], scale)),
                (_, Kind::Histogram(_)) => self.histogram(series, &each, scale),
                // A table gives no such family: several cells are a histogram's.
                (_, Kind::Counter | Kind::Gauge(_)) => continue,
            }
            self.start_time(series, &each, kind);
            self.metric(each.labels, kind);
        }
        self.end()
    }

    fn fragment(&mut self, encoded: &[u8]) -> io::Result<()> {
        self.chunk.bytes.extend_from_slice(encoded);
        self.chunk.send_if_full()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.chunk.flush()
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        self.chunk.finish()
    }
}

impl Messages<'_> {
    fn begin(&mut self, name: &str, family: &Family, kind: Type) {
        self.family.clear();
        self.family.bytes(field::family::NAME, name.as_bytes());
        self.family.bytes(field::family::HELP, family.help.as_bytes());
        self.family.unsigned(field::family::TYPE, kind.number());
        if !family.unit.is_empty() {
            self.family.bytes(field::family::UNIT, family.unit.as_bytes());
        }
    }

    fn end(&mut self) -> io::Result<()> {
        self.chunk.bytes.varint(self.family.len() as u64);
        for part in self.family.chunks(CHUNK_BYTES) {
            self.chunk.bytes.extend_from_slice(part);
            self.chunk.send_if_full()?;
        }
        Ok(())
    }

    /// A histogram's fields, into `self.value`.
    fn histogram(&mut self, series: FamilySeries<'_>, each: &Series<'_>, scale: Scale) {
        let mut bounds = series.bounds().iter().copied().chain([f64::INFINITY]);
        let (layout, mut total, mut bucket) = (series.layout(), 0, 0);
        series.cumulate(each.cells, |count| {
            total = count;
            self.part.clear();
            self.part.unsigned(field::bucket::CUMULATIVE_COUNT, count);
            let bound = bounds.next().expect("as many counts as bounds, and +Inf");
            self.part.double(field::bucket::UPPER_BOUND, bound);
            if let Some(exemplar) = series.exemplar(each, bucket) {
                write_exemplar(exemplar, layout, scale, &mut self.part);
            }
            bucket += 1;
            self.value.bytes(field::histogram::BUCKET, &self.part);
        });
        self.value.unsigned(field::histogram::SAMPLE_COUNT, total);
        // Without the field Prometheus stores a sum of 0, which is a number and wrong.
        let sum = series.sum().map_or(f64::NAN, |(cell, kind)| kind.value(each.cells[cell], scale));
        self.value.double(field::histogram::SAMPLE_SUM, sum);
        if let Layout::Native { schema, first, count, .. } = *series.layout() {
            Buckets { schema, first, count }.write(each.cells, &mut self.value);
        }
    }

    /// The start time of a series, into `self.value`, if it is known. It costs no series, so nobody has to ask for it.
    fn start_time(&mut self, series: FamilySeries<'_>, each: &Series<'_>, kind: Type) {
        let field = match kind {
            Type::Counter => field::number::CREATED,
            Type::Histogram => field::histogram::CREATED,
            Type::Gauge => return,
        };
        let Some(seconds) = series.start_seconds(each) else { return };
        self.part.clear();
        self.part.unsigned(field::timestamp::SECONDS, seconds as u64);
        self.part.unsigned(field::timestamp::NANOS, (seconds.fract() * 1e9) as u64);
        self.value.bytes(field, &self.part);
    }

    /// A series of the value in `self.value`.
    fn metric(&mut self, block: &[u8], kind: Type) {
        self.metric.clear();
        for (name, value) in labels::parse_block(block) {
            self.part.clear();
            self.part.bytes(field::label::NAME, name);
            self.part.bytes(field::label::VALUE, &value);
            self.metric.bytes(field::metric::LABEL, &self.part);
        }
        self.metric.bytes(kind.field(), &self.value);
        self.family.bytes(field::family::METRIC, &self.metric);
    }
}

/// The exemplar of a bucket, into the bucket's message.
fn write_exemplar(exemplar: &Exemplar, layout: &Layout, scale: Scale, bucket: &mut Vec<u8>) {
    let mut message = Vec::new();
    for (name, value) in exemplar.labels() {
        let mut label = Vec::new();
        label.bytes(field::label::NAME, name.as_bytes());
        label.bytes(field::label::VALUE, value.as_bytes());
        message.bytes(field::exemplar::LABEL, &label);
    }
    message.double(field::exemplar::VALUE, exemplar.value(layout, scale));
    let mut time = Vec::new();
    time.unsigned(field::timestamp::SECONDS, exemplar.unix_ms / 1000);
    time.unsigned(field::timestamp::NANOS, exemplar.unix_ms % 1000 * 1_000_000);
    message.bytes(field::exemplar::TIMESTAMP, &time);
    bucket.bytes(field::bucket::EXEMPLAR, &message);
}
