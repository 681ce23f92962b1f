//! Reading a recording, whoever wrote it.
//!
//! Any bytes are accepted: a file may be cut off, or damaged anywhere. A damaged block is passed over, and the frames after it are left out
//! until the next keyframe, because a change says nothing without what it changed. Memory is bounded by the length of the input:
//! nothing is reserved because a number says so.

use std::{
    collections::{BTreeMap, HashMap},
    io::Read as _,
};

use ebhost_limits as limits;
use ebhost_metrics::CellKind;
use flate2::read::ZlibDecoder;

use crate::{
    frames::{SeriesChange, cell_kind_of, family_flag},
    wire::{BlockKind, HEADER, Input, MARKER, checksum, unzigzag},
};

/// Why bytes are no recording that can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordingError {
    #[error("found no recording, expected a file of `/recorder/dump` or of SIGUSR1; try the file that the log names")]
    NoRecording,
    #[error("found a recording of version {found}, expected version 1; try a newer ebhost")]
    Version { found: u8 },
    #[error("found no whole frame in {bytes} bytes; the file was cut off too early or is damaged throughout")]
    Nothing { bytes: usize },
}

/// The content of a recording.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Frames that can be shown.
    pub frames: u64,
    /// Time of the first and the last of them, in milliseconds since 1970.
    pub first_ms: u64,
    pub last_ms: u64,
    /// Families and series of the last frame.
    pub families: usize,
    pub series: usize,
    /// Reports on host and packages.
    pub reports: u64,
    /// Damaged stretches that were passed over, and frames left out because of them.
    pub damaged: u64,
    pub left_out: u64,
}

/// Plays frames: the families and series as of the last one.
#[derive(Debug, Default)]
pub struct Player {
    families: HashMap<u64, RecordedFamily>,
    summary: Summary,
    /// Whether the frame before was read, so that the next one can be.
    is_in_step: bool,
}

/// A family as of a frame.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedFamily {
    pub package: String,
    /// With its namespace.
    pub name: String,
    pub unit: String,
    pub help: String,
    pub is_absent: bool,
    /// Series that the family had, of which the recording may have less.
    pub total: u64,
    /// By slot.
    pub series: BTreeMap<u64, RecordedSeries>,
    layout: RecordedLayout,
}

/// A series as of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedSeries {
    /// `a="x",b="y"`, escaped.
    pub labels: Vec<u8>,
    pub cells: Vec<u64>,
}

#[derive(Debug, Clone, PartialEq)]
struct RecordedLayout {
    /// Cells that are not the sum.
    counts: usize,
    count_kind: CellKind,
    sum_kind: Option<CellKind>,
}

impl RecordedLayout {
    fn width(&self) -> usize {
        self.counts + usize::from(self.sum_kind.is_some())
    }

    fn kind_at(&self, index: usize) -> CellKind {
        if index < self.counts { self.count_kind } else { self.sum_kind.unwrap_or(self.count_kind) }
    }
}

/// Plays a whole recording.
///
/// # Errors
/// [`RecordingError`] if nothing of it can be shown.
pub fn inspect(bytes: &[u8]) -> Result<Summary, RecordingError> {
    let mut player = Player::default();
    player.play(bytes)?;
    let summary = player.summary();
    if summary.frames == 0 { Err(RecordingError::Nothing { bytes: bytes.len() }) } else { Ok(summary) }
}

impl Player {
    /// Plays a recording from its header on.
    ///
    /// # Errors
    /// [`RecordingError`] if it does not begin as one.
    pub fn play(&mut self, bytes: &[u8]) -> Result<(), RecordingError> {
        let name = &HEADER[..HEADER.len() - 1];
        let rest = bytes.strip_prefix(name).ok_or(RecordingError::NoRecording)?;
        match rest.split_first() {
            Some((1, blocks)) => self.blocks(blocks, Packed::Allowed),
            Some((version, _)) => return Err(RecordingError::Version { found: *version }),
            None => return Err(RecordingError::NoRecording),
        }
        Ok(())
    }

    /// The families by name as of the last frame.
    pub fn families(&self) -> impl Iterator<Item = &RecordedFamily> {
        self.families.values()
    }

    pub fn summary(&self) -> Summary {
        let present = || self.families.values().filter(|family| !family.is_absent);
        let series = present().map(|family| family.series.len()).sum();
        Summary { families: present().count(), series, ..self.summary.clone() }
    }

    fn blocks(&mut self, bytes: &[u8], packed: Packed) {
        let mut rest = bytes;
        while !rest.is_empty() {
            match block(rest) {
                Some((kind, payload, after)) => {
                    self.block(kind, payload, packed);
                    rest = after;
                }
                None => {
                    self.summary.damaged += 1;
                    self.is_in_step = false;
                    rest = next_block(&rest[1..]);
                }
            }
        }
    }

    fn block(&mut self, kind: BlockKind, payload: &[u8], packed: Packed) {
        match kind {
            BlockKind::Status => self.summary.reports += 1,
            BlockKind::Keyframe => {
                self.families.clear();
                self.is_in_step = true;
                self.read_frame(payload);
            }
            BlockKind::Delta if self.is_in_step => self.read_frame(payload),
            BlockKind::Delta => self.summary.left_out += 1,
            BlockKind::Packed if packed == Packed::Refused => self.summary.damaged += 1,
            BlockKind::Packed => {
                let mut blocks = Vec::new();
                let inflated = ZlibDecoder::new(payload).take(limits::RECORDING_SEGMENT_BYTES as u64);
                // Blocks that were inflated before a fault are read all the same.
                if { inflated }.read_to_end(&mut blocks).is_err() {
                    self.summary.damaged += 1;
                }
                self.blocks(&blocks, Packed::Refused);
            }
        }
    }

    fn read_frame(&mut self, payload: &[u8]) {
        match self.frame(&mut Input(payload)) {
            Some(time) => {
                if self.summary.frames == 0 {
                    self.summary.first_ms = time;
                }
                self.summary.frames += 1;
                self.summary.last_ms = time;
            }
            None => {
                self.summary.damaged += 1;
                self.is_in_step = false;
            }
        }
    }

    /// Applies a frame and returns its time.
    fn frame(&mut self, input: &mut Input<'_>) -> Option<u64> {
        let time = input.long()?;
        for _ in 0..input.count()? {
            let (number, family) = declared(input)?;
            // A family is replaced by another one of its name.
            self.families.retain(|_, before| before.name != family.name);
            self.families.insert(number, family);
        }
        for _ in 0..input.count()? {
            let family = self.families.get_mut(&input.number()?)?;
            changed(family, input)?;
        }
        input.0.is_empty().then_some(time)
    }
}

/// Whether a block may be packed: those within one may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packed {
    Allowed,
    Refused,
}

/// The block at the beginning of `bytes`, and what follows it.
fn block(bytes: &[u8]) -> Option<(BlockKind, &[u8], &[u8])> {
    let mut input = Input(bytes.strip_prefix(&MARKER)?);
    let kind = input.byte()?;
    let length = usize::try_from(input.word()?).ok()?;
    let expected = input.word()?;
    let payload = input.take(length)?;
    (checksum(kind, payload) == expected).then_some((BlockKind::of(kind)?, payload, input.0))
}

/// From the next marker on.
fn next_block(bytes: &[u8]) -> &[u8] {
    let at = bytes.windows(MARKER.len()).position(|window| window == MARKER);
    at.map_or(&[], |at| &bytes[at..])
}

fn declared(input: &mut Input<'_>) -> Option<(u64, RecordedFamily)> {
    let number = input.number()?;
    let _origin = input.byte()?;
    let [package, name, unit, help] = [input.text()?, input.text()?, input.text()?, input.text()?];
    let (_times, _per, _kind) = (input.float()?, input.float()?, input.byte()?);
    let layout = layout(input)?;
    let series = BTreeMap::new();
    Some((number, RecordedFamily { package, name, unit, help, is_absent: false, total: 0, series, layout }))
}

fn layout(input: &mut Input<'_>) -> Option<RecordedLayout> {
    let (form, kind) = (input.byte()?, cell_kind_of(input.byte()?)?);
    match form {
        0 => Some(RecordedLayout { counts: 1, count_kind: kind?, sum_kind: None }),
        1 => {
            let bounds = input.count()?;
            for _ in 0..bounds {
                input.float()?;
            }
            Some(RecordedLayout { counts: bounds + 1, count_kind: CellKind::U64, sum_kind: kind })
        }
        2 => {
            let (_schema, _first) = (input.number()?, input.number()?);
            let count = usize::try_from(input.number()?).ok().filter(|count| *count <= limits::RECORDING_BUCKETS)?;
            Some(RecordedLayout { counts: count + 2, count_kind: CellKind::U64, sum_kind: kind })
        }
        _ => None,
    }
}

fn changed(family: &mut RecordedFamily, input: &mut Input<'_>) -> Option<()> {
    let flags = input.byte()?;
    family.is_absent = flags & family_flag::ABSENT != 0;
    if flags & family_flag::TOTAL != 0 {
        family.total = input.number()?;
    }
    let mut slot = 0u64;
    for _ in 0..input.count()? {
        let step = input.number()?;
        slot = slot.checked_add(step >> 2)?;
        match step & 3 {
            change if change == SeriesChange::End as u64 => _ = family.series.remove(&slot)?,
            change if change == SeriesChange::Begin as u64 => {
                let labels = input.bytes()?.to_vec();
                let cells = (0..family.layout.width()).map(|index| cell(input, family.layout.kind_at(index), 0));
                let cells = cells.collect::<Option<_>>()?;
                family.series.insert(slot, RecordedSeries { labels, cells });
            }
            change if change == SeriesChange::Change as u64 => {
                let series = family.series.get_mut(&slot)?;
                let mut index = 0usize;
                for _ in 0..input.count()? {
                    index = index.checked_add(usize::try_from(input.number()?).ok()?)?;
                    let before = series.cells.get_mut(index)?;
                    *before = cell(input, family.layout.kind_at(index), *before)?;
                    index += 1;
                }
            }
            _ => return None,
        }
    }
    Some(())
}

fn cell(input: &mut Input<'_>, kind: CellKind, before: u64) -> Option<u64> {
    match kind {
        CellKind::U64 | CellKind::I64 => Some(before.wrapping_add(unzigzag(input.number()?) as u64)),
        CellKind::F64 => input.float().map(f64::to_bits),
    }
}
