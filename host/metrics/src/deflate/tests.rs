//! The text that comes out is the text that an encoder writes, through a decoder of somebody else's.

use std::io::{self, Read as _};

use flate2::read::DeflateDecoder;
use proptest::prelude::*;

use super::*;
use crate::{
    CellKind, ChunkSink, Created, Encoder, Encoding, Family, Fold, Format, Integers, Kind, LabelBlocks, Layout,
    OwnedFamily, PreparationLimits, Preparations, Presentation, SeriesRevisions, encoder, family::FamilySeries,
    keeping_encoder,
};

/// A table whose series and numbers change.
struct Table {
    family: Family,
    layout: Layout,
    feeders: Vec<u32>,
    cells: Vec<u64>,
    blocks: LabelBlocks,
    revisions: SeriesRevisions,
}

impl Table {
    fn new(kind: CellKind, per: f64) -> Self {
        let family = Family {
            name: "hash_calls_total".into(),
            help: "Made-up calls.".into(),
            unit: String::new(),
            labels: vec!["id".into(), "group".into(), "kind".into()],
            kind: Kind::Counter,
            times: 1.0,
            per,
        };
        let (blocks, revisions) = (LabelBlocks::default(), SeriesRevisions::default());
        Self { family, layout: Layout::Single(kind), feeders: Vec::new(), cells: Vec::new(), blocks, revisions }
    }

    fn push(&mut self, block: &str, cell: u64) {
        let slot = self.feeders.len() as u32;
        self.blocks.set(slot, block.as_bytes());
        self.feeders.push(1);
        self.cells.push(cell);
        self.revisions.touch(slot);
    }

    fn remove(&mut self, slot: usize) {
        if self.feeders[slot] > 0 {
            self.feeders[slot] = 0;
            self.blocks.clear(slot as u32);
            self.revisions.touch(slot as u32);
        }
    }

    fn series(&self) -> FamilySeries<'_> {
        FamilySeries {
            family: &self.family,
            layout: &self.layout,
            feeders: &self.feeders,
            cells: &self.cells,
            start_seconds: &[],
            blocks: &self.blocks,
            revisions: Some(self.revisions.view()),
            served: None,
            exemplars: None,
        }
    }

    fn text(&self, format: Format, presentation: Presentation<'_>) -> Vec<u8> {
        let mut text = Vec::new();
        let mut encoder = encoder(format, Created::LeftOut, &mut text);
        encoder.family(presentation, self.series()).unwrap();
        encoder.finish().unwrap();
        text
    }
}

/// Decompresses what is compressed, each chunk by itself, and checks what is said of it.
#[derive(Default)]
struct Reader {
    text: Vec<u8>,
    /// Bytes that were compressed, and of their text.
    deflated: (usize, usize),
}

impl ChunkSink for Reader {
    fn send(&mut self, chunk: Vec<u8>) -> io::Result<()> {
        self.text.extend_from_slice(&chunk);
        Ok(())
    }

    fn send_deflated(&mut self, deflated: Deflated) -> io::Result<()> {
        let mut stream = deflated.blocks.clone();
        stream.extend_from_slice(&[3, 0]); // an empty last block
        let mut text = Vec::new();
        DeflateDecoder::new(&stream[..]).read_to_end(&mut text)?;
        assert_eq!(deflated.text_bytes, text.len() as u64);
        let mut crc = flate2::Crc::new();
        crc.update(&text);
        assert_eq!(deflated.crc, crc.sum());
        self.deflated.0 += deflated.blocks.len();
        self.deflated.1 += text.len();
        self.text.extend_from_slice(&text);
        Ok(())
    }
}

fn limited(bytes: usize, lines_per_answer: usize) -> Preparations {
    let (text_bytes, printed_bytes) = (bytes, bytes);
    Preparations::new(PreparationLimits { bytes, lines_per_answer, text_bytes, printed_bytes })
}

fn preparations() -> Preparations {
    limited(64 << 20, usize::MAX)
}

fn read(table: &Table, format: Format, presentation: Presentation<'_>, preparations: &mut Preparations) -> Reader {
    read_as(Encoding::Gzip, table, format, presentation, preparations)
}

fn read_as(
    encoding: Encoding,
    table: &Table,
    format: Format,
    presentation: Presentation<'_>,
    preparations: &mut Preparations,
) -> Reader {
    let mut reader = Reader::default();
    let mut encoder = keeping_encoder(format, encoding, Created::LeftOut, preparations, &mut reader);
    encoder.family(presentation, table.series()).unwrap();
    encoder.finish().unwrap();
    reader
}

fn level_6(text: &[u8]) -> usize {
    let mut compressed = Vec::new();
    flate2::read::GzEncoder::new(text, flate2::Compression::new(6)).read_to_end(&mut compressed).unwrap();
    compressed.len()
}

const KINDS: [&str; 8] = ["read", "write", "open", "close", "sync", "lock", "poll", "other"];

fn typical(entries: u64) -> Table {
    let mut table = Table::new(CellKind::U64, 1.0);
    for entry in 0..entries {
        let id = entry.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let id = id % 1_000_000;
        let kind = KINDS[(id & 7) as usize];
        table.push(&format!("id=\"{id}\",group=\"{}\",kind=\"{kind}\"", id >> 3 & 0xff), id * 7919 % 3_000_000);
    }
    table
}

#[test]
fn a_prepared_table_is_as_short_as_a_good_compressor_makes_it() {
    let mut table = typical(20_000);
    let mut preparations = preparations();
    let presentation = Presentation::exact("ebhost");
    assert_eq!(read(&table, Format::Text004, presentation, &mut preparations).deflated.1, 0, "it is seen once");
    for round in 0..3 {
        table.cells.iter_mut().enumerate().for_each(|(at, cell)| *cell += (at % 100) as u64 * round);
        let reader = read(&table, Format::Text004, presentation, &mut preparations);
        let text = table.text(Format::Text004, presentation);
        assert!(reader.text == text);
        assert!(reader.deflated.1 > text.len() - 200, "all but the heading");
        let ratio = reader.deflated.0 as f64 / level_6(&text) as f64;
        assert!(ratio < 1.1, "{ratio} of level 6, {} bytes of {}", reader.deflated.0, text.len());
        assert!(reader.deflated.0 <= 242_530, "{} bytes are more than it took before", reader.deflated.0);
    }
    // 55 bytes a line: what it takes is counted whole, as it is held against a limit.
    assert!((1_080_000..1_140_000).contains(&preparations.memory()), "{}", preparations.memory());
}

/// Ids in the order of a hash map, and numbers that are near each other, of which a good compressor repeats the first digits.
#[test]
fn numbers_that_begin_alike_are_as_short_as_a_good_compressor_makes_them() {
    let mut table = Table::new(CellKind::U64, 1.0);
    for entry in 0..20_000u64 {
        let id = entry * 7_919 % 20_000;
        let kind = KINDS[(id & 7) as usize];
        table.push(&format!("id=\"{id}\",group=\"{}\",kind=\"{kind}\"", id >> 3 & 0xff), 1_000_000 + id);
    }
    let mut preparations = preparations();
    let presentation = Presentation::exact("ebhost");
    for round in 0..12 {
        table.cells.iter_mut().for_each(|cell| *cell += 1);
        let reader = read(&table, Format::Text004, presentation, &mut preparations);
        let text = table.text(Format::Text004, presentation);
        assert!(reader.text == text);
        if round >= 2 {
            let ratio = reader.deflated.0 as f64 / level_6(&text) as f64;
            assert!(ratio < 1.1, "{ratio} of level 6, {} bytes of {}", reader.deflated.0, text.len());
            assert!(reader.deflated.0 <= 206_020, "{} bytes are more than it took before", reader.deflated.0);
        }
    }
}

/// Encodes a family of made-up series.
fn encode(encoder: &mut dyn Encoder, name: &str, kind: Kind, layout: Layout, series: u64, round: u64) {
    let width = layout.width() as u64;
    let mut owned =
        OwnedFamily::new(Family { name: name.into(), kind, ..Table::new(CellKind::U64, 1.0).family }, layout);
    for series in 0..series {
        let cells: Vec<u64> = (0..width).map(|cell| (series + 1) * (cell + 3) * (1 + round * round)).collect();
        let id = series.to_string();
        owned.push([("id", id.as_str()), ("group", "a \"b\" c"), ("kind", "read")], &cells, None);
    }
    encoder.family(Presentation::exact("ebhost"), owned.series()).unwrap();
}

/// Encodes families that are small, histograms, and text that is made elsewhere, with numbers that change in each round.
fn mixed(round: u64, has_extra: bool, mut encoder: Box<dyn Encoder + '_>) {
    let single = || Layout::Single(CellKind::U64);
    if has_extra {
        encode(&mut *encoder, "added_total", Kind::Counter, single(), 40, round);
    }
    for family in 0..30 {
        encode(&mut *encoder, &format!("small_{family}_total"), Kind::Counter, single(), 64, round);
        let classic = Layout::Classic { bounds: 3, sum: Some(CellKind::U64) };
        encode(&mut *encoder, &format!("times_{family}"), Kind::Histogram(vec![0.5, 1.0, 2.0]), classic, 20, round);
    }
    let own = format!("# HELP own Of it.\n# TYPE own gauge\nown{{a=\"b c\"}} {}.25\nown {round}e+06\n", round * 9);
    encoder.fragment(own.as_bytes()).unwrap();
    encode(&mut *encoder, "last", Kind::Gauge(Fold::Sum), single(), 1, round);
    encoder.finish().unwrap();
}

#[test]
fn text_of_many_small_families_is_prepared_and_is_the_text() {
    for format in [Format::Text004, Format::OpenMetrics100] {
        let mut preparations = preparations();
        for round in 0..12 {
            // A family that comes and goes moves all others.
            let extra = (6..9).contains(&round);
            let mut text = Vec::new();
            mixed(round, extra, encoder(format, Created::LeftOut, &mut text));
            let mut reader = Reader::default();
            let keeping = keeping_encoder(format, Encoding::Gzip, Created::LeftOut, &mut preparations, &mut reader);
            mixed(round, extra, keeping);
            assert!(reader.text == text, "round {round}");
            if [2, 3, 4, 5, 8, 11].contains(&round) {
                assert_eq!(reader.deflated.1, text.len(), "round {round}: all of it is prepared");
            }
        }
        assert!(preparations.memory() > 0);
    }
}

/// Most of the host's own metrics are the same in each scrape, and were compressed anew in each.
#[test]
fn text_that_did_not_change_is_sent_as_it_was_compressed_before() {
    let mut preparations = preparations();
    let mut answer = |round| {
        let mut text = Vec::new();
        mixed(round, false, encoder(Format::OpenMetrics100, Created::LeftOut, &mut text));
        let mut reader = Reader::default();
        let keeping =
            keeping_encoder(Format::OpenMetrics100, Encoding::Gzip, Created::LeftOut, &mut preparations, &mut reader);
        mixed(round, false, keeping);
        assert!(reader.text == text, "round {round}");
        (reader.deflated.0, preparations.memory())
    };
    (0..4).for_each(|round| _ = answer(round));
    let (_, changing) = answer(4);
    let (length, kept) = answer(4);
    assert!(kept > changing, "its text is kept from the second time on, and counted");
    assert_eq!([answer(4), answer(4)], [(length, kept); 2]);
    let (_, changed) = answer(5);
    assert!(changed < kept);
    (0..3).for_each(|_| _ = answer(4));
}

/// A fragment of `lines` lines with words of this round.
fn words(round: u64, lines: u64) -> String {
    (0..lines).map(|line| format!("word_{round}_and_more{{line=\"{line}\"}} 1\n")).collect()
}

fn read_fragment(text: &str, format: Format, preparations: &mut Preparations) -> Reader {
    let mut reader = Reader::default();
    let mut encoder = keeping_encoder(format, Encoding::Gzip, Created::LeftOut, preparations, &mut reader);
    encoder.fragment(text.as_bytes()).unwrap();
    encoder.finish().unwrap();
    reader
}

#[test]
fn text_that_is_another_one_in_every_answer_is_never_prepared() {
    let mut preparations = preparations();
    for round in 0..6 {
        let text = words(round, 400);
        let reader = read_fragment(&text, Format::Text004, &mut preparations);
        assert!(reader.text.starts_with(text.as_bytes()));
        assert_eq!(reader.deflated.1, 0, "round {round}");
    }
    assert_eq!(preparations.memory(), 0);
}

#[test]
fn text_of_a_format_that_nobody_asks_for_any_more_gives_its_memory_back() {
    let (text, mut both, mut alone) = (words(1, 400), preparations(), preparations());
    (0..3).for_each(|_| _ = read_fragment(&text, Format::Text004, &mut both));
    let before = both.memory();
    assert!(before > 0);
    for preparations in [&mut both, &mut alone] {
        (0..12).for_each(|_| _ = read_fragment(&text, Format::OpenMetrics100, preparations));
    }
    assert_eq!(both.memory(), alone.memory());
}

#[test]
fn nothing_is_prepared_beyond_the_limits() {
    let table = typical(5_000);
    let presentation = Presentation::exact("ebhost");
    let mut preparations = limited(1 << 20, 2_000);
    let sizes: Vec<usize> =
        (0..8).map(|_| read(&table, Format::Text004, presentation, &mut preparations).deflated.1).collect();
    assert!(sizes[1] > 0 && sizes.is_sorted() && sizes[7] > 2 * sizes[1], "{sizes:?}");
    let mut preparations = limited(1, usize::MAX);
    let sizes: Vec<usize> =
        (0..8).map(|_| read(&table, Format::Text004, presentation, &mut preparations).deflated.1).collect();
    assert!(sizes[7] < 100_000 && sizes[7] > 0, "one group: {sizes:?}");
}

/// Several groups, of which the last is not full.
#[test]
fn a_long_table_is_kept_whole_in_both_encodings() {
    let mut table = typical(9_000);
    let mut preparations = preparations();
    let presentation = Presentation::exact("ebhost");
    for round in 0..4 {
        table.cells.iter_mut().step_by(97).for_each(|cell| *cell += round);
        for encoding in [Encoding::Gzip, Encoding::Identity] {
            let read = read_as(encoding, &table, Format::Text004, presentation, &mut preparations);
            assert!(read.text == table.text(Format::Text004, presentation), "round {round}, {encoding:?}");
        }
    }
}

/// Numbers that differ in the last digit of their exponent alone: all but that digit is repeated from the line before.
#[test]
fn numbers_that_differ_in_their_exponent_alone_are_the_text() {
    let mut table = typical(2_000);
    let presentation = Presentation { namespace: "ebhost", integers: Integers::AsGoFloat };
    let mut preparations = preparations();
    for round in 0..4u32 {
        table.cells.iter_mut().enumerate().for_each(|(at, cell)| *cell = 10u64.pow(6 + (at as u32 + round) % 2));
        let reader = read(&table, Format::Text004, presentation, &mut preparations);
        assert!(reader.text == table.text(Format::Text004, presentation), "round {round}");
    }
}

#[test]
fn families_that_are_gone_are_forgotten() {
    let presentation = Presentation::exact("ebhost");
    let mut preparations = preparations();
    let table = typical(3_000);
    (0..3).for_each(|_| _ = read(&table, Format::Text004, presentation, &mut preparations));
    let before = preparations.memory();
    assert!(before > 0);
    let other = typical(300);
    (0..20).for_each(|_| _ = read(&other, Format::OpenMetrics100, presentation, &mut preparations));
    assert!(preparations.memory() < before / 2, "{} of {before}", preparations.memory());
}

#[derive(Debug, Clone)]
enum Change {
    /// Sets the numbers of every so many series.
    Count {
        step: usize,
        to: u64,
    },
    Add {
        step: usize,
        more: u64,
    },
    Remove {
        first: usize,
        step: usize,
    },
    Push {
        count: usize,
        text: String,
    },
}

fn change() -> impl Strategy<Value = Change> {
    let number = prop_oneof![any::<u64>(), 0..10u64, 0..100_000_000u64, Just(u64::MAX), 999_990..1_000_010u64];
    prop_oneof![
        3 => (1..50usize, number).prop_map(|(step, to)| Change::Count { step, to }),
        3 => (1..50usize, 0..2_000u64).prop_map(|(step, more)| Change::Add { step, more }),
        1 => (0..3_000usize, 1..2_000usize).prop_map(|(first, step)| Change::Remove { first, step }),
        1 => (0..600usize, "[a-z0-9\"\\\\é]{0,40}").prop_map(|(count, text)| Change::Push { count, text }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Random tables with random changes: what comes out is what the plain encoder writes.
    #[test]
    fn compressed_text_is_the_text(
        changes in prop::collection::vec(change(), 1..12),
        entries in 1..3_000u64,
        kind in prop_oneof![Just(CellKind::U64), Just(CellKind::I64), Just(CellKind::F64)],
        per in prop_oneof![Just(1.0), Just(1e9)],
        go: bool,
        openmetrics: bool,
    ) {
        let mut table = typical(entries);
        table.layout = Layout::Single(kind);
        table.family.per = per;
        let integers = if go { Integers::AsGoFloat } else { Integers::Exact };
        let presentation = Presentation { namespace: "ebhost", integers };
        let format = if openmetrics { Format::OpenMetrics100 } else { Format::Text004 };
        let mut preparations = preparations();
        for change in changes {
            match change {
                Change::Count { step, to } => {
                    table.cells.iter_mut().step_by(step).enumerate().for_each(|(at, cell)| *cell = to.wrapping_mul(at as u64 | 1));
                }
                Change::Add { step, more } => {
                    table.cells.iter_mut().step_by(step).for_each(|cell| *cell = cell.wrapping_add(more));
                }
                Change::Remove { first, step } => (first..table.feeders.len()).step_by(step).for_each(|slot| table.remove(slot)),
                Change::Push { count, text } => {
                    for number in 0..count {
                        let mut block = b"id=\"".to_vec();
                        crate::encode::escape::label_value(&text, |run| block.extend_from_slice(run));
                        block.extend_from_slice(format!("{number}\"").as_bytes());
                        table.push(std::str::from_utf8(&block).unwrap(), number as u64);
                    }
                }
            }
            for _ in 0..2 {
                for encoding in [Encoding::Gzip, Encoding::Identity] {
                    let reader = read_as(encoding, &table, format, presentation, &mut preparations);
                    prop_assert!(reader.text == table.text(format, presentation));
                    prop_assert!(encoding == Encoding::Gzip || reader.deflated == (0, 0));
                }
            }
        }
    }
}
