//! A recording read back is what was recorded.

use std::time::Instant;

use ebhost_handle::{Collection, NamedFamily, Origin};
use ebhost_metrics::{CellKind, Family, FamilySeries, Fold, Kind, LabelBlocks, Layout};
use ebhost_telemetry::OwnMetrics;
use proptest::prelude::*;

use crate::{
    Encoder, Player, inspect,
    wire::{BLOCK_HEAD, HEADER, checksum},
};

/// A family with series in slots of which some are free.
struct Made {
    family: Family,
    layout: Layout,
    feeders: Vec<u32>,
    cells: Vec<u64>,
    blocks: LabelBlocks,
}

/// The slots of a family: label and cells of each series; none: the slot is free.
type Slots = Vec<Option<(u8, Vec<u64>)>>;

fn layouts() -> [(Kind, Layout); 4] {
    [
        (Kind::Counter, Layout::Single(CellKind::U64)),
        (Kind::Gauge(Fold::Sum), Layout::Single(CellKind::F64)),
        (Kind::Histogram(vec![1.0, 2.0]), Layout::Classic { bounds: 2, sum: Some(CellKind::U64) }),
        (
            Kind::Histogram(vec![1.0]),
            Layout::Native { schema: 0, first: -1, count: 1, ends: vec![1], sum: Some(CellKind::F64) },
        ),
    ]
}

impl Made {
    fn new(form: usize, slots: &Slots) -> Self {
        let (kind, layout) = layouts()[form].clone();
        let family = Family {
            name: format!("family_{form}"),
            help: "Help.".into(),
            unit: "seconds".into(),
            labels: vec!["a".into()],
            kind,
            times: 1.0,
            per: 1e9,
        };
        let mut made = Self { family, feeders: Vec::new(), cells: Vec::new(), blocks: LabelBlocks::default(), layout };
        for (slot, series) in slots.iter().enumerate() {
            let (label, cells) = series.clone().unwrap_or_default();
            made.feeders.push(u32::from(series.is_some()));
            made.blocks.set(slot as u32, format!("a=\"{label}\"").as_bytes());
            made.cells.extend((0..made.layout.width()).map(|at| cells.get(at).copied().unwrap_or_default()));
        }
        made
    }

    fn named(&self) -> NamedFamily<'_> {
        let series = FamilySeries {
            family: &self.family,
            layout: &self.layout,
            feeders: &self.feeders,
            cells: &self.cells,
            start_seconds: &[],
            blocks: &self.blocks,
            revisions: None,
            served: None,
            exemplars: None,
        };
        NamedFamily { origin: Origin::Package, package: "p", namespace: "n", series }
    }
}

fn frame(encoder: &mut Encoder, own: &OwnMetrics, families: &[Made], time: u64) -> Vec<u8> {
    encoder.frame(&Collection { packages: families.iter().map(Made::named).collect(), own }, time)
}

/// Families by name, each with label and cells of its series.
type Contents = Vec<(String, Vec<(String, Vec<u64>)>)>;

fn shown(families: &[Made]) -> Contents {
    let series = |made: &Made| {
        let named = made.named();
        let series = named.series.iter().map(|series| (text(series.labels), series.cells.to_vec()));
        (named.name(), series.collect::<Vec<_>>())
    };
    families.iter().map(series).filter(|(_, series)| !series.is_empty()).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn played(player: &Player) -> Contents {
    let series = |family: &crate::RecordedFamily| {
        let series = family.series.values().map(|series| (text(&series.labels), series.cells.clone()));
        (family.name.clone(), series.collect::<Vec<_>>())
    };
    let families = player.families().filter(|family| !family.is_absent && !family.series.is_empty());
    let mut all: Vec<_> = families.map(series).collect();
    all.sort();
    all
}

fn slots() -> impl Strategy<Value = Slots> {
    prop::collection::vec(prop::option::of((0..4u8, prop::collection::vec(0..1000u64, 4))), 0..5)
}

/// For each frame: the families that are in the collection, each with its form and slots.
fn frames() -> impl Strategy<Value = Vec<Vec<Option<Slots>>>> {
    prop::collection::vec(prop::collection::vec(prop::option::of(slots()), 4), 1..8)
}

proptest! {
    /// Whatever happens from frame to frame, and wherever somebody joins, the player has the series of the last collection.
    #[test]
    fn a_recording_that_is_played_has_what_was_recorded(frames in frames(), joins in 0..8usize, forgets in 0..8usize) {
        let (mut encoder, own) = (Encoder::default(), OwnMetrics::new());
        let (mut whole, mut late) = (HEADER.to_vec(), HEADER.to_vec());
        for (at, families) in frames.iter().enumerate() {
            let families: Vec<_> = families.iter().enumerate().filter_map(|(form, slots)| Some(Made::new(form, slots.as_ref()?))).collect();
            let bytes = frame(&mut encoder, &own, &families, at as u64 * 1000);
            whole.extend_from_slice(&bytes);
            match at.cmp(&joins) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => late.extend_from_slice(&encoder.keyframe(at as u64 * 1000)),
                std::cmp::Ordering::Greater => late.extend_from_slice(&bytes),
            }
            let mut expected = shown(&families);
            expected.sort();
            for recording in [&whole, &late] {
                let mut player = Player::default();
                player.play(recording).unwrap();
                prop_assert_eq!(player.summary().damaged + player.summary().left_out, 0);
                if recording.len() > HEADER.len() {
                    prop_assert_eq!(played(&player), expected.clone());
                }
            }
            if at == forgets {
                encoder.forget_absent();
            }
        }
    }
}

/// A recording of five minutes of a few families, as a dump has it.
fn sample() -> Vec<u8> {
    let (mut encoder, own) = (Encoder::default(), OwnMetrics::new());
    let mut window = crate::window::Window::new(std::time::Duration::from_secs(300), Vec::new());
    for second in 0..200u64 {
        let slots = |form: u64| {
            (0..4)
                .map(move |slot| (second % 7 != slot).then(|| (slot as u8, vec![second * form, second, 3, second * 5])))
        };
        let families: Vec<_> = (0..4).map(|form| Made::new(form, &slots(form as u64 + 1).collect())).collect();
        let bytes = frame(&mut encoder, &own, &families, second * 1000);
        let is_first = window.open().is_none();
        window.push(if is_first { encoder.keyframe(second * 1000) } else { bytes }.into(), second * 1000);
        if let Some(open) = window.is_due() {
            window.close(open.pack());
        }
    }
    window.dump(std::time::Duration::MAX).chunks.concat()
}

/// A number from 0 to below `end`, of a sequence that looks random.
fn next(seed: &mut u64, end: usize) -> usize {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) as usize % end
}

/// A hundred thousand files that were cut off or damaged by a few bits: none of them crashes the reader, and most of a file is still read.
#[test]
fn damaged_and_truncated_recordings_are_read_as_far_as_they_are_good() {
    let whole = sample();
    let good = inspect(&whole).unwrap();
    assert_eq!((good.frames, good.damaged, good.left_out), (200, 0, 0));
    let started = Instant::now();
    let (mut seed, mut read) = (7, 0u64);
    for round in 0..100_000 {
        let mut bytes = whole.clone();
        if round % 2 == 0 {
            bytes.truncate(next(&mut seed, whole.len()));
        }
        for _ in 0..next(&mut seed, 4) {
            let at = next(&mut seed, bytes.len().max(1));
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << next(&mut seed, 8);
            }
        }
        if let Ok(summary) = inspect(&bytes) {
            assert!(summary.frames <= good.frames, "{summary:?}");
            read += summary.frames;
        }
    }
    assert!(
        read > 100_000 * 50,
        "a damaged file still has most of its frames, found {read} in {:?}",
        started.elapsed()
    );
}

/// A quarter of an hour of 3 000 series that all change every second, 500 of them histograms in which five buckets do.
#[test]
fn fifteen_minutes_of_3000_series_fit_into_the_window() {
    let (mut encoder, own, mut seed) = (Encoder::default(), OwnMetrics::new(), 7);
    let mut window = crate::window::Window::new(std::time::Duration::from_secs(900), Vec::new());
    let family = |index: usize, kind, layout: Layout| Family {
        name: format!("family_{index}_{}", layout.width()),
        help: "Help.".into(),
        unit: "seconds".into(),
        labels: vec!["device".into(), "operation".into()],
        kind,
        times: 1.0,
        per: 1e9,
    };
    let series = |family: Family, layout: Layout, count: usize| {
        let mut blocks = LabelBlocks::default();
        for slot in 0..count {
            blocks.set(slot as u32, format!("device=\"nvme{}n{slot}\",operation=\"read\"", slot / 7).as_bytes());
        }
        let cells = vec![0; layout.width() * count];
        Made { family, layout, feeders: vec![1; count], cells, blocks }
    };
    let bounds: Vec<f64> = (0..27).map(|power| f64::from(1 << power) * 1e-6).collect();
    let histogram = Layout::Classic { bounds: bounds.len(), sum: Some(CellKind::U64) };
    let counters = Layout::Single(CellKind::U64);
    let mut made = vec![
        series(family(0, Kind::Counter, counters.clone()), counters, 2500),
        series(family(1, Kind::Histogram(bounds), histogram.clone()), histogram, 500),
    ];
    let started = Instant::now();
    for second in 0..1000u64 {
        made[0].cells.iter_mut().for_each(|cell| *cell += next(&mut seed, 5000) as u64);
        for cells in made[1].cells.chunks_exact_mut(29) {
            cells[8..13].iter_mut().for_each(|bucket| *bucket += next(&mut seed, 200) as u64);
            cells[28] += next(&mut seed, 100_000_000) as u64;
        }
        let bytes = frame(&mut encoder, &own, &made, second * 1000);
        let is_first = window.open().is_none();
        window.push(if is_first { encoder.keyframe(second * 1000) } else { bytes }.into(), second * 1000);
        if let Some(open) = window.is_due() {
            window.close(open.pack());
        }
    }
    let covered = window.covered();
    eprintln!("{} bytes for {covered:?}, {:?} a frame with packing", window.bytes(), started.elapsed() / 1000);
    assert!(covered.as_secs() >= 900, "{covered:?}");
    assert!(window.bytes() < 25_000_000, "{}", window.bytes());
    let started = Instant::now();
    let dump = window.dump(std::time::Duration::MAX).chunks.concat();
    eprintln!("a dump of {} bytes takes {:?}", dump.len(), started.elapsed());
    assert_eq!(inspect(&dump).unwrap().series, 3000);
}

/// Damage that checksums do not see, as from a host with a mistake: the player does not crash, and memory does not follow a number in the file.
#[test]
fn payloads_that_make_no_sense_are_refused() {
    let (mut encoder, own, mut seed) = (Encoder::default(), OwnMetrics::new(), 11);
    let blocks: Vec<_> = (0..20u64)
        .map(|second| {
            let slots = |form: u64| {
                (0..4u64).map(move |slot| (second % 5 != slot).then(|| (slot as u8, vec![second * form; 4])))
            };
            let families: Vec<_> = (0..4).map(|form| Made::new(form, &slots(form as u64 + 1).collect())).collect();
            frame(&mut encoder, &own, &families, second * 1000)
        })
        .collect();
    for _ in 0..20_000 {
        let mut file = HEADER.to_vec();
        for block in &blocks {
            let mut block = block.clone();
            if next(&mut seed, 10) == 0 {
                let at = BLOCK_HEAD + next(&mut seed, block.len() - BLOCK_HEAD);
                block[at] ^= 1 << next(&mut seed, 8);
                let sum = checksum(block[4], &block[BLOCK_HEAD..]);
                block[9..13].copy_from_slice(&sum.to_le_bytes());
            }
            file.extend_from_slice(&block);
        }
        let mut player = Player::default();
        player.play(&file).unwrap();
        assert!(player.summary().frames <= 20);
    }
}

#[test]
fn what_is_no_recording_is_called_so() {
    assert!(inspect(b"").unwrap_err().to_string().contains("found no recording"));
    assert!(inspect(b"ebhostR\x02rest").unwrap_err().to_string().contains("version 2, expected version 1"));
    assert!(inspect(&HEADER).unwrap_err().to_string().contains("no whole frame"));
}
