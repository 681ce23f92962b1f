//! Lines of samples: the part that text 0.0.4 and OpenMetrics have in common.
//!
//! Label blocks come rendered from the table; what is left is copying them and formatting numbers. A histogram's lines share a stem that is
//! assembled once a series. Nothing is allocated per series, and what the formats do differently ([`Syntax`]) is resolved at compile time.

use std::{io, ops::Range};

use super::{Chunk, ChunkSink, Encoder, Integers, Presentation, number};
use crate::{
    cell::CellKind,
    deflate::{NumberText, PreparedFamilies},
    family::{Family, FamilySeries, Kind, Series},
    layout::Layout,
    negotiate::{Encoding, Format},
    preparations::Preparations,
    printed::PrintedTexts,
    scale::Scale,
};

/// The differences between the text formats.
pub(super) trait Syntax {
    /// Whether a histogram without `_sum` must not have `_count` either.
    const COUNT_NEEDS_SUM: bool;
    /// Whether bucket lines carry exemplars.
    const HAS_EXEMPLARS: bool;
    /// The end of an answer.
    const END: &'static [u8];

    /// Appends the metadata of a family whose samples are called `name`.
    fn heading(&self, name: &str, family: &Family, out: &mut Vec<u8>);

    /// The name of the samples that give the family's start times, if there are any.
    fn created_name(&self, name: &str, family: &Family) -> Option<String>;

    fn float(number: f64, out: &mut Vec<u8>);

    /// Appends a histogram's sum that is in the family's unit already.
    fn whole_sum(cell: u64, kind: CellKind, out: &mut Vec<u8>);
}

/// Appends a piece of a metadata line.
pub(super) fn heading_line<const N: usize>(out: &mut Vec<u8>, parts: [&str; N]) {
    parts.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
}

/// An encoder that prints a line a sample.
pub(super) struct Lines<'w, S> {
    syntax: S,
    chunk: Chunk<'w>,
    /// A histogram series' bucket lines up to `le`; kept for its memory.
    stem: Vec<u8>,
    kept: Kept<'w>,
}

/// Families' text that is kept from answer to answer.
enum Kept<'w> {
    Nothing,
    Deflated(Format, &'w mut PreparedFamilies),
    Printed(Format, &'w mut PrintedTexts),
}

impl<'w, S: Syntax> Lines<'w, S> {
    pub(super) fn new(syntax: S, out: &'w mut dyn ChunkSink) -> Self {
        Self { syntax, chunk: Chunk::new(out), stem: Vec::new(), kept: Kept::Nothing }
    }

    /// The same with what is kept of earlier answers.
    pub(super) fn keeping(mut self, format: Format, encoding: Encoding, preparations: &'w mut Preparations) -> Self {
        self.kept = match encoding {
            Encoding::Identity => Kept::Printed(format, &mut preparations.printed),
            Encoding::Gzip => {
                self.chunk.pieces = Some(preparations.texts.pieces(format));
                Kept::Deflated(format, &mut preparations.families)
            }
        };
        self
    }
}

impl<S: Syntax> Encoder for Lines<'_, S> {
    fn family(&mut self, presentation: Presentation<'_>, series: FamilySeries<'_>) -> io::Result<()> {
        if series.is_empty() {
            return Ok(());
        }
        let family = series.family();
        let name = presentation.name(&family.name);
        self.syntax.heading(&name, family, &mut self.chunk.bytes);
        let printer = Printer {
            created_name: self.syntax.created_name(&name, family),
            integers: presentation.integers,
            scale: Scale::new(family.times, family.per),
            name,
            series,
        };
        match (series.layout(), &family.kind) {
            (Layout::Single(kind), _) => {
                let mut kept = std::mem::replace(&mut self.kept, Kept::Nothing);
                let encoded = self.kept_numbers(&printer, *kind, &mut kept);
                self.kept = kept;
                encoded
            }
            (_, Kind::Histogram(_)) => self.histograms(&printer),
            // A table gives no such family: several cells are a histogram's.
            (_, Kind::Counter | Kind::Gauge(_)) => Ok(()),
        }
    }

    fn fragment(&mut self, encoded: &[u8]) -> io::Result<()> {
        // It often stays the same as a whole, unlike what is before and after it.
        self.chunk.end_piece()?;
        self.chunk.bytes.extend_from_slice(encoded);
        self.chunk.end_piece()?;
        self.chunk.send_if_full()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.chunk.flush()
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.chunk.bytes.extend_from_slice(S::END);
        self.chunk.finish()
    }
}

/// What the lines of one family have in common.
struct Printer<'a> {
    name: String,
    created_name: Option<String>,
    integers: Integers,
    scale: Scale,
    series: FamilySeries<'a>,
}

impl Printer<'_> {
    /// Whether cells of this kind print as whole numbers with all their digits.
    fn has_whole_numbers(&self, kind: CellKind) -> bool {
        (self.scale, kind, self.integers) == (Scale::One, CellKind::U64, Integers::Exact)
    }

    /// Cells of this kind below this number print as their digits.
    fn digits_below(&self, kind: CellKind) -> u64 {
        match (self.scale, kind, self.integers) {
            (Scale::One, CellKind::U64, Integers::Exact) => u64::MAX,
            (Scale::One, CellKind::U64, Integers::AsGoFloat) => number::GO_EXPONENT_FROM,
            _ => 0,
        }
    }
}

impl<S: Syntax> Lines<'_, S> {
    /// Counters and gauges of which something may be kept from earlier answers.
    fn kept_numbers(&mut self, printer: &Printer<'_>, kind: CellKind, kept: &mut Kept<'_>) -> io::Result<()> {
        // Start times are lines of their own between those of the series.
        match kept {
            Kept::Deflated(format, families) if printer.created_name.is_none() => {
                self.deflated_numbers(printer, kind, *format, families)
            }
            Kept::Printed(format, texts) if printer.created_name.is_none() => {
                self.printed_numbers(printer, kind, *format, texts)
            }
            _ => self.numbers(printer, kind, 0..printer.series.feeders.len()),
        }
    }

    fn deflated_numbers(
        &mut self,
        printer: &Printer<'_>,
        kind: CellKind,
        format: Format,
        families: &mut PreparedFamilies,
    ) -> io::Result<()> {
        let (series, slots) = (printer.series, printer.series.feeders.len());
        let (Some(mut lines), Some(revisions)) =
            (families.family(format, &printer.name, printer.integers, series), series.revisions)
        else {
            return self.numbers(printer, kind, 0..slots);
        };
        let mut text = Vec::new();
        for group in 0..revisions.groups.len() {
            let is_written = if printer.has_whole_numbers(kind) {
                lines.write(group, |slot| NumberText::integer(series.cells[slot]))
            } else if printer.digits_below(kind) > 0 {
                lines.write(group, |slot| NumberText::integer_as_float(series.cells[slot]))
            } else {
                lines.write(group, |slot| {
                    text.clear();
                    Self::number(printer, kind, series.cells[slot], &mut text);
                    NumberText::text(&text)
                })
            };
            let deflated = if is_written { lines.take_chunk() } else { lines.take() };
            deflated.map_or(Ok(()), |deflated| self.chunk.send_deflated(deflated))?;
            if !is_written {
                self.numbers(printer, kind, revisions.slots(group, slots))?;
            }
        }
        lines.take().map_or(Ok(()), |deflated| self.chunk.send_deflated(deflated))
    }

    fn printed_numbers(
        &mut self,
        printer: &Printer<'_>,
        kind: CellKind,
        format: Format,
        texts: &mut PrintedTexts,
    ) -> io::Result<()> {
        let (series, slots) = (printer.series, printer.series.feeders.len());
        let Some(mut lines) = texts.family(format, &printer.name, printer.integers, series) else {
            return self.numbers(printer, kind, 0..slots);
        };
        let below = printer.digits_below(kind);
        for group in 0..lines.groups() {
            let stem = |slot: usize, text: &mut Vec<u8>| {
                Self::stem(printer.name.as_bytes(), series.blocks.get(slot as u32), text);
            };
            let print = |cell, text: &mut Vec<u8>| Self::number(printer, kind, cell, text);
            match lines.text(group, stem, print, below) {
                Some(text) => self.chunk.send_shared(text)?,
                None => self.numbers(printer, kind, lines.slots(group))?,
            }
        }
        Ok(())
    }

    /// Counters and gauges: one line a series.
    fn numbers(&mut self, printer: &Printer<'_>, kind: CellKind, slots: Range<usize>) -> io::Result<()> {
        if printer.has_whole_numbers(kind) && printer.created_name.is_none() {
            return self.whole_numbers(printer, slots);
        }
        for each in printer.series.range(slots) {
            self.name_and_labels(printer.name.as_bytes(), each.labels);
            Self::number(printer, kind, each.cells[0], &mut self.chunk.bytes);
            self.chunk.bytes.push(b'\n');
            self.created(printer, &each);
            self.chunk.send_if_full()?;
        }
        Ok(())
    }

    /// The same for most counters: whole numbers, without start times.
    fn whole_numbers(&mut self, printer: &Printer<'_>, slots: Range<usize>) -> io::Result<()> {
        let stem = format!("{}{{", printer.name).into_bytes();
        for each in printer.series.range(slots) {
            if each.labels.is_empty() {
                self.name_and_labels(printer.name.as_bytes(), each.labels);
                number::integer(each.cells[0], &mut self.chunk.bytes);
                self.chunk.bytes.push(b'\n');
                continue;
            }
            // Few and short copies: they are most of the time of a line.
            let text = &mut self.chunk.bytes;
            text.extend_from_slice(&stem);
            text.extend_from_slice(each.labels);
            let (tail, length) = number::tail(each.cells[0]);
            text.extend_from_slice(&tail);
            text.truncate(text.len() - (tail.len() - length));
            self.chunk.send_if_full()?;
        }
        Ok(())
    }

    fn histograms(&mut self, printer: &Printer<'_>) -> io::Result<()> {
        let bounds = printer.series.bounds().iter().copied();
        let les: Vec<Vec<u8>> = bounds.chain([f64::INFINITY]).map(Self::le).collect();
        let (sum_name, count_name) = (format!("{}_sum", printer.name), format!("{}_count", printer.name));
        let sum = printer.series.sum();
        for each in printer.series.iter() {
            let total = self.buckets(printer, &each, &les);
            if let Some((cell, kind)) = sum {
                self.name_and_labels(sum_name.as_bytes(), each.labels);
                self.sum(printer, kind, each.cells[cell]);
                self.chunk.bytes.push(b'\n');
            }
            if sum.is_some() || !S::COUNT_NEEDS_SUM {
                self.name_and_labels(count_name.as_bytes(), each.labels);
                Self::integer(printer.integers, total, &mut self.chunk.bytes);
                self.chunk.bytes.push(b'\n');
            }
            self.created(printer, &each);
            self.chunk.send_if_full()?;
        }
        Ok(())
    }

    /// The bucket lines of one series; returns the number of all observations.
    fn buckets(&mut self, printer: &Printer<'_>, each: &Series<'_>, les: &[Vec<u8>]) -> u64 {
        let mut stem = std::mem::take(&mut self.stem);
        stem.clear();
        stem.extend_from_slice(printer.name.as_bytes());
        stem.extend_from_slice(b"_bucket{");
        if !each.labels.is_empty() {
            stem.extend_from_slice(each.labels);
            stem.push(b',');
        }
        let (mut total, mut les, mut bucket) = (0, les.iter(), 0);
        printer.series.cumulate(each.cells, |count| {
            total = count;
            self.chunk.bytes.extend_from_slice(&stem);
            self.chunk.bytes.extend_from_slice(les.next().expect("as many counts as bounds, and +Inf"));
            Self::integer(printer.integers, count, &mut self.chunk.bytes);
            if S::HAS_EXEMPLARS
                && let Some(exemplar) = printer.series.exemplar(each, bucket)
            {
                exemplar.write(printer.series.layout(), printer.scale, &mut self.chunk.bytes);
            }
            bucket += 1;
            self.chunk.bytes.push(b'\n');
        });
        self.stem = stem;
        total
    }

    /// The end of a bucket line's labels.
    fn le(bound: f64) -> Vec<u8> {
        let mut le = b"le=\"".to_vec();
        S::float(bound, &mut le);
        le.extend_from_slice(b"\"} ");
        le
    }

    /// The start time of a series, next to the series itself: OpenMetrics forbids to interleave the samples of two metrics, and
    /// Prometheus looks for it nowhere else.
    #[inline]
    fn created(&mut self, printer: &Printer<'_>, each: &Series<'_>) {
        if let Some(name) = &printer.created_name
            && let Some(seconds) = printer.series.start_seconds(each)
        {
            self.name_and_labels(name.as_bytes(), each.labels);
            S::float(seconds, &mut self.chunk.bytes);
            self.chunk.bytes.push(b'\n');
        }
    }

    #[inline]
    fn name_and_labels(&mut self, name: &[u8], labels: &[u8]) {
        Self::stem(name, labels, &mut self.chunk.bytes);
    }

    /// Appends the part of a line before its number.
    #[inline]
    fn stem(name: &[u8], labels: &[u8], text: &mut Vec<u8>) {
        text.extend_from_slice(name);
        if labels.is_empty() {
            text.push(b' ');
        } else {
            text.push(b'{');
            text.extend_from_slice(labels);
            text.extend_from_slice(b"} ");
        }
    }

    #[inline]
    fn number(printer: &Printer<'_>, kind: CellKind, cell: u64, out: &mut Vec<u8>) {
        match (printer.scale, kind) {
            (Scale::One, CellKind::U64) => Self::integer(printer.integers, cell, out),
            (Scale::One, CellKind::I64) => Self::signed(printer.integers, cell as i64, out),
            (scale, kind) => S::float(kind.value(cell, scale), out),
        }
    }

    fn sum(&mut self, printer: &Printer<'_>, kind: CellKind, cell: u64) {
        match (printer.scale, printer.integers) {
            (Scale::One, Integers::Exact) => S::whole_sum(cell, kind, &mut self.chunk.bytes),
            (scale, _) => S::float(kind.value(cell, scale), &mut self.chunk.bytes),
        }
    }

    #[inline]
    fn integer(integers: Integers, number: u64, out: &mut Vec<u8>) {
        match integers {
            Integers::Exact => number::integer(number, out),
            Integers::AsGoFloat => number::integer_as_float(number, out),
        }
    }

    fn signed(integers: Integers, number: i64, out: &mut Vec<u8>) {
        match integers {
            Integers::Exact => number::signed(number, out),
            Integers::AsGoFloat => number::float(number as f64, out),
        }
    }
}
