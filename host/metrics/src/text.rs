//! Text 0.0.4 and OpenMetrics 1.0, written by hand.
//!
//! Label blocks come rendered from the table; what is left is copying them and printing numbers. The text goes out in
//! chunks, so that a million series need no buffer of their size. A family without series is left out altogether.
//!
//! The two formats differ here in five things: OpenMetrics names a counter without `_total` in its metadata, has
//! `# UNIT`, escapes quotes in HELP, writes floats with a fraction, and ends with `# EOF`.

use std::io;

use super::{CellKind, Family, FamilySeries, Kind, Layout, number, scale::Scale};

/// The format of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    Text004,
    OpenMetrics,
}

/// How whole raw numbers print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Integers {
    /// All their digits.
    Exact,
    /// As Go prints a float, `1.287408e+06`: what dashboards and tests made for other exporters have seen.
    AsGoFloat,
}

/// Whether OpenMetrics has `_created`, the time at which a counter or histogram began: a series more for each, so only if asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    LeftOut,
    Printed,
}

/// What the text looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    pub syntax: Syntax,
    pub integers: Integers,
    pub created: Created,
}

/// Text that is handed out once it is this long.
const PIECE: usize = 256 << 10;

/// Where text goes, a piece at a time. It brings the memory to print into, so that no piece is copied.
pub trait Pieces {
    /// Memory for a piece, empty.
    fn blank(&mut self) -> Vec<u8> {
        Vec::new()
    }

    /// Takes a piece over.
    fn hand_out(&mut self, piece: Vec<u8>) -> io::Result<()>;
}

impl Pieces for Vec<u8> {
    fn hand_out(&mut self, piece: Vec<u8>) -> io::Result<()> {
        self.extend_from_slice(&piece);
        Ok(())
    }
}

impl Pieces for io::Sink {
    fn hand_out(&mut self, _: Vec<u8>) -> io::Result<()> {
        Ok(())
    }
}

/// Prints tables, piece by piece.
pub struct Writer<'w> {
    style: Style,
    out: &'w mut dyn Pieces,
    text: Vec<u8>,
    /// A histogram series' line up to its `le`.
    stem: Vec<u8>,
}

impl<'w> Writer<'w> {
    pub fn new(style: Style, out: &'w mut dyn Pieces) -> Self {
        let text = out.blank();
        Self { style, out, text, stem: Vec::new() }
    }

    /// How whole numbers of the tables from here on print.
    pub fn set_integers(&mut self, integers: Integers) {
        self.style.integers = integers;
    }

    /// Prints the families of a table, each name behind `namespace` and `_`; an empty one adds nothing.
    pub fn families<'a>(
        &mut self,
        namespace: &str,
        mut families: impl Iterator<Item = FamilySeries<'a>>,
    ) -> io::Result<()> {
        families.try_for_each(|series| self.family(namespace, series))
    }

    /// Passes on text that is of this style already: whole families, without `# EOF`.
    pub fn verbatim(&mut self, text: &[u8]) -> io::Result<()> {
        self.text.extend_from_slice(text);
        self.flush_if_full()
    }

    /// Ends the text and hands out what is left of it.
    pub fn finish(mut self) -> io::Result<()> {
        if self.style.syntax == Syntax::OpenMetrics {
            self.text.extend_from_slice(b"# EOF\n");
        }
        self.out.hand_out(self.text)
    }

    fn family(&mut self, namespace: &str, series: FamilySeries<'_>) -> io::Result<()> {
        if series.iter().next().is_none() {
            return Ok(());
        }
        let family = series.family();
        let name = if namespace.is_empty() { family.name.clone() } else { format!("{namespace}_{}", family.name) };
        let total = name.strip_suffix("_total").filter(|_| self.style.syntax == Syntax::OpenMetrics);
        let base = match &family.kind {
            Kind::Counter => total.unwrap_or(&name),
            Kind::Gauge(_) | Kind::Histogram(_) => &name,
        };
        self.heading(base, family);
        let scale = Scale::new(family.times, family.per);
        self.values(&name, scale, series)?;
        if (self.style.syntax, self.style.created) == (Syntax::OpenMetrics, Created::Printed)
            && !matches!(family.kind, Kind::Gauge(_))
            && (total.is_some() || !matches!(family.kind, Kind::Counter))
        {
            self.created(base, series)?;
        }
        Ok(())
    }

    fn values(&mut self, name: &str, scale: Scale, series: FamilySeries<'_>) -> io::Result<()> {
        match (series.layout(), &series.family().kind) {
            (Layout::Single(kind), _) => self.numbers(name, *kind, scale, series),
            (layout, Kind::Histogram(bounds)) => self.histograms(name, layout, bounds, scale, series),
            (_, Kind::Counter | Kind::Gauge(_)) => Ok(()),
        }
    }

    /// When each series began; one that nobody knows it of has no line.
    fn created(&mut self, base: &str, series: FamilySeries<'_>) -> io::Result<()> {
        let name = format!("{base}_created");
        for ((block, _), born) in series.iter().zip(series.born()).filter(|(_, born)| *born > 0.0) {
            self.name_and_labels(name.as_bytes(), block);
            self.float(born);
            self.text.push(b'\n');
            self.flush_if_full()?;
        }
        Ok(())
    }

    fn heading(&mut self, name: &str, family: &Family) {
        let kind = match family.kind {
            // OpenMetrics has no counter without `_total`; its series are to keep their name all the same.
            Kind::Counter if self.style.syntax == Syntax::OpenMetrics && !family.name.ends_with("_total") => " unknown",
            Kind::Counter => " counter",
            Kind::Gauge(_) => " gauge",
            Kind::Histogram(_) => " histogram",
        };
        self.put(["# HELP ", name, " "]);
        self.help(&family.help);
        self.put(["\n# TYPE ", name, kind, "\n"]);
        if self.style.syntax == Syntax::OpenMetrics && !family.unit.is_empty() {
            self.put(["# UNIT ", name, " ", &family.unit, "\n"]);
        }
    }

    fn help(&mut self, help: &str) {
        for &byte in help.as_bytes() {
            match byte {
                b'\\' => self.text.extend_from_slice(br"\\"),
                b'\n' => self.text.extend_from_slice(br"\n"),
                b'"' if self.style.syntax == Syntax::OpenMetrics => self.text.extend_from_slice(br#"\""#),
                _ => self.text.push(byte),
            }
        }
    }

    /// Counters and gauges: one line a series.
    fn numbers(&mut self, name: &str, kind: CellKind, scale: Scale, series: FamilySeries<'_>) -> io::Result<()> {
        for (block, cells) in series.iter() {
            self.name_and_labels(name.as_bytes(), block);
            match kind {
                CellKind::U64 => self.scaled(cells[0], scale),
                CellKind::I64 => self.scaled_signed(cells[0] as i64, scale),
                CellKind::F64 => self.float(scale.apply_float(f64::from_bits(cells[0]))),
            }
            self.text.push(b'\n');
            self.flush_if_full()?;
        }
        Ok(())
    }

    fn histograms(
        &mut self,
        name: &str,
        layout: &Layout,
        bounds: &[f64],
        scale: Scale,
        series: FamilySeries<'_>,
    ) -> io::Result<()> {
        let les: Vec<Vec<u8>> = bounds.iter().copied().chain([f64::INFINITY]).map(|bound| self.le(bound)).collect();
        let (sum_name, count_name) = (format!("{name}_sum"), format!("{name}_count"));
        for (block, cells) in series.iter() {
            let total = self.buckets(name, block, layout, cells, &les);
            if let Some(sum) = layout.sum() {
                self.name_and_labels(sum_name.as_bytes(), block);
                self.sum(cells[sum], scale);
                self.text.push(b'\n');
            }
            self.name_and_labels(count_name.as_bytes(), block);
            self.integer(total);
            self.text.push(b'\n');
            self.flush_if_full()?;
        }
        Ok(())
    }

    /// The bucket lines of one series; returns the number of all observations.
    fn buckets(&mut self, name: &str, block: &[u8], layout: &Layout, cells: &[u64], les: &[Vec<u8>]) -> u64 {
        let mut stem = std::mem::take(&mut self.stem);
        stem.clear();
        stem.extend_from_slice(name.as_bytes());
        stem.extend_from_slice(b"_bucket{");
        if !block.is_empty() {
            stem.extend_from_slice(block);
            stem.push(b',');
        }
        let (mut total, mut les) = (0, les.iter());
        layout.cumulate(cells, |count| {
            total = count;
            self.text.extend_from_slice(&stem);
            self.text.extend_from_slice(les.next().expect("as many counts as bounds, and +Inf"));
            self.integer(count);
            self.text.push(b'\n');
        });
        self.stem = stem;
        total
    }

    /// The end of a bucket line's labels.
    fn le(&self, bound: f64) -> Vec<u8> {
        let mut le = b"le=\"".to_vec();
        match self.style.syntax {
            Syntax::Text004 => number::float(bound, &mut le),
            Syntax::OpenMetrics => number::openmetrics_float(bound, &mut le),
        }
        le.extend_from_slice(b"\"} ");
        le
    }

    #[inline]
    fn name_and_labels(&mut self, name: &[u8], block: &[u8]) {
        self.text.extend_from_slice(name);
        if block.is_empty() {
            self.text.push(b' ');
        } else {
            self.text.push(b'{');
            self.text.extend_from_slice(block);
            self.text.extend_from_slice(b"} ");
        }
    }

    #[inline]
    fn scaled(&mut self, raw: u64, scale: Scale) {
        match scale {
            Scale::One => self.integer(raw),
            _ => self.float(scale.apply(raw)),
        }
    }

    fn scaled_signed(&mut self, raw: i64, scale: Scale) {
        match (scale, self.style.integers) {
            (Scale::One, Integers::Exact) => number::signed(raw, &mut self.text),
            (Scale::One, Integers::AsGoFloat) => number::float(raw as f64, &mut self.text),
            _ => self.float(scale.apply_signed(raw)),
        }
    }

    /// A histogram's sum: OpenMetrics libraries print it as a float even when it is whole.
    fn sum(&mut self, raw: u64, scale: Scale) {
        match self.style.syntax {
            Syntax::Text004 => self.scaled(raw, scale),
            Syntax::OpenMetrics => self.float(scale.apply(raw)),
        }
    }

    #[inline]
    fn integer(&mut self, raw: u64) {
        match self.style.integers {
            Integers::Exact => number::integer(raw, &mut self.text),
            Integers::AsGoFloat => number::float(raw as f64, &mut self.text),
        }
    }

    fn float(&mut self, float: f64) {
        match self.style.syntax {
            Syntax::Text004 => number::float(float, &mut self.text),
            Syntax::OpenMetrics => number::openmetrics_float(float, &mut self.text),
        }
    }

    fn put<const N: usize>(&mut self, parts: [&str; N]) {
        for part in parts {
            self.text.extend_from_slice(part.as_bytes());
        }
    }

    #[inline]
    fn flush_if_full(&mut self) -> io::Result<()> {
        if self.text.len() >= PIECE {
            let longest = self.text.len() + PIECE / 8;
            self.out.hand_out(std::mem::take(&mut self.text))?;
            self.text = self.out.blank();
            self.text.reserve(longest);
        }
        Ok(())
    }
}
