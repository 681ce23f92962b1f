//! The loops that a steady scrape spends its time in: they compare each row's numbers with their baselines and add the increase to a
//! cell.
//!
//! A number below its baseline means a counter reset: the entry began again at 0, so all of the number is increase; unless the table says that
//! programs set their numbers ([`Decrease::Set`]). Each number is judged by itself, so that a slot of 4 bytes that wraps does not make its neighbours count twice.

pub(crate) mod baselines;
pub(crate) mod gauges;

use ebhost_metrics::Fold;
use ebhost_snapshot::Snapshot;

use crate::labels::identities::NONE;
use crate::plan::reading::{IntegerType, Reading, bytes};
use crate::plan::{Decrease, FeedPlan, Lane, ValueRule};

/// The columns that counting one feed reads and writes.
pub(crate) struct FeedColumns<'a> {
    /// By entry: its identity.
    pub(crate) identity: &'a [u32],
    /// By identity (and CPU, if each CPU has a series): its series.
    pub(crate) series: &'a [u32],
    /// By identity: its bucket, in views that have buckets.
    pub(crate) buckets: &'a [u32],
    /// By entry (and CPU, if each CPU has a series): the baseline of each lane.
    pub(crate) baselines: &'a mut [u64],
    /// The cells of the family's series.
    pub(crate) cells: &'a mut [u64],
    /// Cells of one series.
    pub(crate) width: usize,
    /// Whether counting met an entry without a series: its baselines did not move.
    pub(crate) has_skipped: bool,
}

/// Counts rows for one feed; each row comes with its entry. Present values are only stored: [`gauges`] folds them.
pub(crate) fn count(
    feed: &FeedPlan,
    snapshot: &Snapshot,
    rows: impl Iterator<Item = (usize, usize)>,
    columns: &mut FeedColumns<'_>,
) {
    let values = Values::new(snapshot, feed.by_cpu);
    match &feed.rule {
        ValueRule::Cumulative(lanes) => match lanes.as_slice() {
            [Lane { reading, .. }] if values.series_per_row == 1 => {
                add_number(rows, &values, *reading, feed.decrease, columns);
            }
            _ => add_lanes(rows, &values, lanes, feed.decrease, columns),
        },
        ValueRule::CumulativeBucket { count, sum, bounds } => {
            let readings = [*count, sum.unwrap_or(*count)];
            add_buckets(rows, &values, readings, *bounds, feed.decrease, columns);
        }
        ValueRule::Gauge { reading: Some(reading), fold } => store_present(rows, &values, *reading, *fold, columns),
        ValueRule::Gauge { reading: None, .. } | ValueRule::EventAmount(_) | ValueRule::EventObservation { .. } => {}
    }
}

/// Rows that are compared with their baselines at a time.
const COMPARED: usize = 16;

/// Counts the first `len` rows, of which each is the entry with its own number. Most numbers do not change between two scrapes, and those of a map of
/// `u64` lie side by side, so blocks of them are compared first.
pub(crate) fn count_in_order(feed: &FeedPlan, snapshot: &Snapshot, len: usize, columns: &mut FeedColumns<'_>) {
    const NUMBER: usize = size_of::<u64>();
    let values = Values::new(snapshot, feed.by_cpu);
    let are_numbers_alone = match &feed.rule {
        ValueRule::Cumulative(lanes) => {
            matches!(lanes[..], [Lane { reading: Reading { at: 0, form: IntegerType::U64 }, .. }])
                && (values.row, values.cpus_per_series, values.series_per_row) == (NUMBER, 1, 1)
        }
        _ => false,
    };
    if !are_numbers_alone {
        return count(feed, snapshot, (0..len).map(|row| (row, row)), columns);
    }
    let number = |number: &[u8]| u64::from_le_bytes(bytes(number, 0));
    for first in (0..len).step_by(COMPARED) {
        let end = (first + COMPARED).min(len);
        let numbers = values.bytes[first * NUMBER..end * NUMBER].chunks_exact(NUMBER);
        let baselines = &columns.baselines[first..end];
        // Without a branch for each, so that several are compared by one instruction.
        let differences = numbers.zip(baselines).fold(0, |bits, (raw, baseline)| bits | (number(raw) ^ baseline));
        if differences != 0 {
            let raw = |row| number(&values.bytes[row * NUMBER..][..NUMBER]);
            add_rows((first..end).map(|row| (row, row)), raw, feed.decrease, columns);
        }
    }
}

/// Resets the baselines of rows whose identity lost its labels: a counter below its baseline was reset.
pub(crate) fn reset_fallen(
    feed: &FeedPlan,
    snapshot: &Snapshot,
    rows: impl Iterator<Item = (usize, usize)>,
    columns: &mut FeedColumns<'_>,
) {
    let readings = feed.rule.baseline_readings();
    if readings.is_empty() || feed.decrease == Decrease::Set {
        return;
    }
    let values = Values::new(snapshot, feed.by_cpu);
    for (row, entry) in rows {
        for part in 0..values.series_per_row {
            if columns.slot(entry, part, values.series_per_row) != NONE {
                continue;
            }
            let value = values.part(row, part);
            let baseline = columns.baselines_of(entry, part, values.series_per_row, readings.len());
            for (reading, baseline) in readings.iter().zip(baseline) {
                if values.sum(*reading, value) < *baseline {
                    *baseline = 0;
                }
            }
        }
    }
}

/// The growth of a number since its baseline; modulo 2^64, so that a number that a program set lower takes from its cell what it lost.
#[inline]
fn increase(raw: u64, baseline: u64, decrease: Decrease) -> u64 {
    if raw >= baseline || decrease == Decrease::Set { raw.wrapping_sub(baseline) } else { raw }
}

/// One number of each row, as most maps have.
fn add_number(
    rows: impl Iterator<Item = (usize, usize)>,
    values: &Values<'_>,
    reading: Reading,
    decrease: Decrease,
    columns: &mut FeedColumns<'_>,
) {
    let (all, stride, at) = (values.bytes, values.row, reading.at);
    match (reading.form, values.cpus_per_series) {
        (IntegerType::U64, 1) => {
            add_rows(rows, |row| u64::from_le_bytes(bytes(all, row * stride + at)), decrease, columns);
        }
        (IntegerType::U32, 1) => {
            add_rows(rows, |row| u64::from(u32::from_le_bytes(bytes(all, row * stride + at))), decrease, columns);
        }
        (IntegerType::U64, _) => {
            // The usual per-CPU map, without a match on the type in the inner loop.
            let one = |value: &[u8]| u64::from_le_bytes(bytes(value, at));
            let raw = |row| values.part(row, 0).chunks_exact(values.cpu).map(one).fold(0, u64::wrapping_add);
            add_rows(rows, raw, decrease, columns);
        }
        _ => add_rows(rows, |row| values.sum(reading, values.part(row, 0)), decrease, columns),
    }
}

#[inline]
fn add_rows(
    rows: impl Iterator<Item = (usize, usize)>,
    raw: impl Fn(usize) -> u64,
    decrease: Decrease,
    columns: &mut FeedColumns<'_>,
) {
    let FeedColumns { identity, series, baselines, cells, width, has_skipped, .. } = columns;
    for (row, entry) in rows {
        let (raw, baseline) = (raw(row), &mut baselines[entry]);
        // First, because most numbers do not change between two scrapes, and then nothing else of the entry is read.
        if raw == *baseline {
            continue;
        }
        let slot = series[identity[entry] as usize];
        if slot == NONE {
            *has_skipped = true;
            continue;
        }
        let cell = &mut cells[slot as usize * *width];
        *cell = cell.wrapping_add(increase(raw, *baseline, decrease));
        *baseline = raw;
    }
}

fn add_lanes(
    rows: impl Iterator<Item = (usize, usize)>,
    values: &Values<'_>,
    lanes: &[Lane],
    decrease: Decrease,
    columns: &mut FeedColumns<'_>,
) {
    let width = columns.width;
    for (row, entry) in rows {
        for part in 0..values.series_per_row {
            let slot = columns.slot(entry, part, values.series_per_row);
            if slot == NONE {
                columns.has_skipped = true;
                continue;
            }
            let value = values.part(row, part);
            let first = (entry * values.series_per_row + part) * lanes.len();
            let baseline = &mut columns.baselines[first..first + lanes.len()];
            let cells = &mut columns.cells[slot as usize * width..][..width];
            for (lane, baseline) in lanes.iter().zip(baseline) {
                let raw = values.sum(lane.reading, value);
                if raw != *baseline {
                    cells[lane.cell] = cells[lane.cell].wrapping_add(increase(raw, *baseline, decrease));
                    *baseline = raw;
                }
            }
        }
    }
}

/// Entries that are one bucket each. Both baselines advance, so that an entry whose bucket changes adds later increases only.
fn add_buckets(
    rows: impl Iterator<Item = (usize, usize)>,
    values: &Values<'_>,
    readings: [Reading; 2],
    bounds: usize,
    decrease: Decrease,
    columns: &mut FeedColumns<'_>,
) {
    for (row, entry) in rows {
        for part in 0..values.series_per_row {
            let slot = columns.slot(entry, part, values.series_per_row);
            if slot == NONE {
                columns.has_skipped = true;
                continue;
            }
            let bucket = columns.buckets[columns.identity[entry] as usize] as usize;
            let raws = readings.map(|reading| values.sum(reading, values.part(row, part)));
            let baseline = columns.baselines_of(entry, part, values.series_per_row, 2);
            let chosen = usize::from(bucket > bounds);
            let more = increase(raws[chosen], baseline[chosen], decrease);
            baseline.copy_from_slice(&raws);
            let cell = &mut columns.cells[slot as usize * columns.width + bucket];
            *cell = cell.wrapping_add(more);
        }
    }
}

/// Stores present values, labelled or not, folded over the CPUs of a series.
fn store_present(
    rows: impl Iterator<Item = (usize, usize)>,
    values: &Values<'_>,
    reading: Reading,
    fold: Fold,
    columns: &mut FeedColumns<'_>,
) {
    for (row, entry) in rows {
        for part in 0..values.series_per_row {
            let numbers = values.part(row, part).chunks_exact(values.cpu).map(|value| reading.of(value));
            columns.baselines_of(entry, part, values.series_per_row, 1)[0] =
                numbers.reduce(|a, b| reading.form.cell_kind().fold(fold, a, b)).unwrap_or_default();
        }
    }
}

impl FeedColumns<'_> {
    #[inline]
    fn slot(&self, entry: usize, part: usize, parts: usize) -> u32 {
        self.series[self.identity[entry] as usize * parts + part]
    }

    #[inline]
    fn baselines_of(&mut self, entry: usize, part: usize, parts: usize, lanes: usize) -> &mut [u64] {
        &mut self.baselines[(entry * parts + part) * lanes..][..lanes]
    }
}

/// A snapshot's values as a feed divides them: a row has `series_per_row` parts of `cpus_per_series` CPUs each.
pub(crate) struct Values<'a> {
    bytes: &'a [u8],
    row: usize,
    cpu: usize,
    pub(crate) series_per_row: usize,
    cpus_per_series: usize,
}

impl<'a> Values<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot, by_cpu: bool) -> Self {
        let (series_per_row, cpus_per_series) = if by_cpu { (snapshot.cpus, 1) } else { (1, snapshot.cpus) };
        Self {
            bytes: &snapshot.values,
            row: snapshot.row_stride(),
            cpu: snapshot.value_stride,
            series_per_row,
            cpus_per_series,
        }
    }

    #[inline]
    pub(crate) fn part(&self, row: usize, part: usize) -> &'a [u8] {
        &self.bytes[row * self.row + part * self.cpu..][..self.cpus_per_series * self.cpu]
    }

    /// A number of a part, summed over its CPUs.
    #[inline]
    pub(crate) fn sum(&self, reading: Reading, part: &[u8]) -> u64 {
        if self.cpus_per_series == 1 {
            return reading.of(part);
        }
        part.chunks_exact(self.cpu).map(|value| reading.of(value)).fold(0, u64::wrapping_add)
    }
}
