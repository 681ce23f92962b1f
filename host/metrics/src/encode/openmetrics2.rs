//! OpenMetrics 2.0, as of its release candidate 2.0.0-rc0, for clients that ask for exactly that version.
//!
//! Differences from 1.0: a family has one name, so that of a counter ends in `_total` in the metadata, too; a histogram is one line with a
//! composite value, native buckets before classic ones; and start times (`st@`) stand on the line of their series, so they are always
//! given. Count and sum are mandatory: the sum of a histogram that has none to show is NaN, as in protobuf.
//!
//! The specification: <https://prometheus.io/docs/specs/om/open_metrics_spec_2_0/>.

use std::io::{self, Write as _};

use super::{Chunk, ChunkSink, Encoder, Presentation, escape, lines::heading_line, number, protobuf::Buckets};
use crate::{
    cell::CellKind,
    family::{Family, FamilySeries, Kind, Series},
    layout::Layout,
    scale::Scale,
};

/// An encoder that prints a line a series.
pub(super) struct SeriesLines<'w> {
    chunk: Chunk<'w>,
}

impl<'w> SeriesLines<'w> {
    pub(super) fn new(out: &'w mut dyn ChunkSink) -> Self {
        Self { chunk: Chunk::new(out) }
    }
}

impl Encoder for SeriesLines<'_> {
    fn family(&mut self, presentation: Presentation<'_>, series: FamilySeries<'_>) -> io::Result<()> {
        if series.is_empty() {
            return Ok(());
        }
        let family = series.family();
        let name = presentation.name(&family.name);
        heading(&name, family, &mut self.chunk.bytes);
        let scale = Scale::new(family.times, family.per);
        for each in series.iter() {
            match (series.layout(), &family.kind) {
                (Layout::Single(kind), _) => {
                    self.name_and_labels(&name, each.labels);
                    number(*kind, each.cells[0], scale, &mut self.chunk.bytes);
                }
                (_, Kind::Histogram(_)) => {
                    self.name_and_labels(&name, each.labels);
                    histogram(&Values { series, each: &each, scale }, &mut self.chunk.bytes);
                }
                // A table gives no such family: several cells are a histogram's.
                (_, Kind::Counter | Kind::Gauge(_)) => continue,
            }
            self.start_time(series, &each);
            self.exemplars(series, &each, scale);
            self.chunk.bytes.push(b'\n');
            self.chunk.send_if_full()?;
        }
        Ok(())
    }

    fn fragment(&mut self, encoded: &[u8]) -> io::Result<()> {
        self.chunk.bytes.extend_from_slice(encoded);
        self.chunk.send_if_full()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.chunk.flush()
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.chunk.bytes.extend_from_slice(b"# EOF\n");
        self.chunk.finish()
    }
}

impl SeriesLines<'_> {
    fn name_and_labels(&mut self, name: &str, labels: &[u8]) {
        let text = &mut self.chunk.bytes;
        text.extend_from_slice(name.as_bytes());
        if !labels.is_empty() {
            text.push(b'{');
            text.extend_from_slice(labels);
            text.push(b'}');
        }
        text.push(b' ');
    }

    /// The exemplars of all buckets, which a parser tells apart by their values.
    fn exemplars(&mut self, series: FamilySeries<'_>, each: &Series<'_>, scale: Scale) {
        if series.exemplars.is_some() {
            let exemplars = (0..series.layout().buckets()).filter_map(|bucket| series.exemplar(each, bucket));
            exemplars.for_each(|exemplar| exemplar.write(series.layout(), scale, &mut self.chunk.bytes));
        }
    }

    fn start_time(&mut self, series: FamilySeries<'_>, each: &Series<'_>) {
        if matches!(series.family().kind, Kind::Gauge(_)) {
            return;
        }
        if let Some(seconds) = series.start_seconds(each) {
            // Writing into memory does not fail.
            let _ = write!(self.chunk.bytes, " st@{seconds:.3}");
        }
    }
}

fn heading(name: &str, family: &Family, out: &mut Vec<u8>) {
    let kind = match family.kind {
        Kind::Counter => " counter\n",
        Kind::Gauge(_) => " gauge\n",
        Kind::Histogram(_) => " histogram\n",
    };
    heading_line(out, ["# TYPE ", name, kind]);
    if !family.unit.is_empty() {
        heading_line(out, ["# UNIT ", name, " ", &family.unit, "\n"]);
    }
    heading_line(out, ["# HELP ", name, " "]);
    escape::help_of_openmetrics(&family.help, out);
    out.push(b'\n');
}

fn number(kind: CellKind, cell: u64, scale: Scale, out: &mut Vec<u8>) {
    match (scale, kind) {
        (Scale::One, CellKind::U64) => number::integer(cell, out),
        (Scale::One, CellKind::I64) => number::signed(cell as i64, out),
        (scale, kind) => number::openmetrics_float(kind.value(cell, scale), out),
    }
}

/// The values of one histogram series.
struct Values<'a> {
    series: FamilySeries<'a>,
    each: &'a Series<'a>,
    scale: Scale,
}

/// Appends a composite value: count, sum, native buckets, classic buckets.
fn histogram(values: &Values<'_>, out: &mut Vec<u8>) {
    let Values { series, each, scale } = *values;
    let mut total = 0;
    series.cumulate(each.cells, |count| total = count);
    out.extend_from_slice(b"{count:");
    number::integer(total, out);
    out.extend_from_slice(b",sum:");
    match series.sum() {
        Some((cell, kind)) => number(kind, each.cells[cell], scale, out),
        None => out.extend_from_slice(b"NaN"),
    }
    if let Layout::Native { schema, first, count, .. } = *series.layout() {
        native(Buckets { schema, first, count }, each.cells, out);
    }
    out.extend_from_slice(b",bucket:[");
    let mut bounds = series.bounds().iter();
    series.cumulate(each.cells, |count| match bounds.next() {
        Some(bound) => {
            number::openmetrics_float(*bound, out);
            out.push(b':');
            number::integer(count, out);
            out.push(b',');
        }
        None => {
            out.extend_from_slice(b"+Inf:");
            number::integer(count, out);
        }
    });
    out.extend_from_slice(b"]}");
}

/// Appends the fields of native buckets. Counts are absolute here, unlike in protobuf.
fn native(buckets: Buckets, cells: &[u64], out: &mut Vec<u8>) {
    // Writing into memory does not fail.
    let _ = write!(out, ",schema:{},zero_threshold:", buckets.schema);
    number::openmetrics_float(buckets.zero_threshold(), out);
    let _ = write!(out, ",zero_count:{}", cells[0]);
    let (spans, counts) = buckets.runs(cells);
    if spans.is_empty() {
        return;
    }
    out.extend_from_slice(b",positive_spans:");
    let mut expected = 0;
    list(out, spans, |out, (start, length)| {
        let _ = write!(out, "{}:{length}", start - expected);
        expected = start + length as i32;
    });
    out.extend_from_slice(b",positive_buckets:");
    list(out, counts, |out, count| number::integer(count, out));
}

fn list<T>(out: &mut Vec<u8>, items: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut Vec<u8>, T)) {
    let mut separator = b'[';
    for item in items {
        out.push(separator);
        write(out, item);
        separator = b',';
    }
    out.push(b']');
}
