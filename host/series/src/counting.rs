//! The loops that a steady scrape spends its time in: each row's totals against the last ones, the increase to a cell.
//!
//! A number below the last one means that the entry began again at 0 in between, so all of it is increase. That is
//! judged number by number: a slot of 4 bytes that wraps must not count its neighbours twice.

use super::identities::NONE;
use super::number::{Form, Reading, bytes};
use super::plan::{FeedPlan, Lane, Take};
use ebhost_metrics::Fold;
use ebhost_snapshot::Snapshot;

/// Where the numbers of one feed go: all by entry or by identity.
pub(super) struct Ledger<'a> {
    /// Each entry's identity.
    pub(super) identity: &'a [u32],
    /// Each identity's series; with CPUs apart each one's.
    pub(super) targets: &'a [u32],
    /// Each identity's bucket, in views that have them.
    pub(super) buckets: &'a [u32],
    /// Each entry's last raw numbers.
    pub(super) last: &'a mut [u64],
    /// The family's cells.
    pub(super) cells: &'a mut [u64],
    /// Cells a series.
    pub(super) width: usize,
}

/// Counts rows, each with its entry, for one feed. Present values are only taken down: `gauges` folds them.
pub(super) fn count(
    feed: &FeedPlan,
    snapshot: &Snapshot,
    rows: impl Iterator<Item = (usize, usize)>,
    ledger: &mut Ledger<'_>,
) {
    let values = Values::new(snapshot, feed.by_cpu);
    match &feed.take {
        Take::Totals(lanes) => match lanes.as_slice() {
            [Lane { reading, .. }] if values.apart == 1 => one_total(rows, &values, *reading, ledger),
            _ => many_totals(rows, &values, lanes, ledger),
        },
        Take::Bucket { count, sum, bounds } => {
            bucket_totals(rows, &values, [*count, sum.unwrap_or(*count)], *bounds, ledger);
        }
        Take::Present { reading: Some(reading), fold } => present(rows, &values, *reading, *fold, ledger),
        Take::Present { reading: None, .. } | Take::Amount(_) | Take::Observed { .. } => {}
    }
}

/// Of rows that were counted once and are not now: a number that fell has begun again at 0.
pub(super) fn rebase(
    feed: &FeedPlan,
    snapshot: &Snapshot,
    rows: impl Iterator<Item = (usize, usize)>,
    ledger: &mut Ledger<'_>,
) {
    let readings: Vec<Reading> = match &feed.take {
        Take::Totals(lanes) => lanes.iter().map(|lane| lane.reading).collect(),
        Take::Bucket { count, sum, .. } => vec![*count, sum.unwrap_or(*count)],
        _ => return,
    };
    let values = Values::new(snapshot, feed.by_cpu);
    for (row, entry) in rows {
        for part in 0..values.apart {
            if ledger.target(entry, part, values.apart) != NONE {
                continue;
            }
            let value = values.part(row, part);
            let last = ledger.last(entry, part, values.apart, readings.len());
            for (reading, last) in readings.iter().zip(last) {
                if values.sum(*reading, value) < *last {
                    *last = 0;
                }
            }
        }
    }
}

/// What a total grew by.
#[inline]
fn increase(raw: u64, last: u64) -> u64 {
    if raw >= last { raw - last } else { raw }
}

/// One number a row: most maps.
fn one_total(
    rows: impl Iterator<Item = (usize, usize)>,
    values: &Values<'_>,
    reading: Reading,
    ledger: &mut Ledger<'_>,
) {
    let (all, stride, at) = (values.bytes, values.row, reading.at);
    match (reading.form, values.together) {
        (Form::U64, 1) => add_rows(rows, |row| u64::from_le_bytes(bytes(all, row * stride + at)), ledger),
        (Form::U32, 1) => add_rows(rows, |row| u64::from(u32::from_le_bytes(bytes(all, row * stride + at))), ledger),
        (Form::U64, _) => {
            // The usual per-CPU map, without a choice of form in the inner loop.
            let one = |value: &[u8]| u64::from_le_bytes(bytes(value, at));
            let raw = |row| values.part(row, 0).chunks_exact(values.cpu).map(one).fold(0, u64::wrapping_add);
            add_rows(rows, raw, ledger);
        }
        _ => add_rows(rows, |row| values.sum(reading, values.part(row, 0)), ledger),
    }
}

#[inline]
fn add_rows(rows: impl Iterator<Item = (usize, usize)>, raw: impl Fn(usize) -> u64, ledger: &mut Ledger<'_>) {
    let Ledger { identity, targets, last, cells, width, .. } = ledger;
    for (row, entry) in rows {
        let target = targets[identity[entry] as usize];
        if target == NONE {
            continue;
        }
        let (raw, last) = (raw(row), &mut last[entry]);
        if raw != *last {
            let cell = &mut cells[target as usize * *width];
            *cell = cell.wrapping_add(increase(raw, *last));
            *last = raw;
        }
    }
}

fn many_totals(
    rows: impl Iterator<Item = (usize, usize)>,
    values: &Values<'_>,
    lanes: &[Lane],
    ledger: &mut Ledger<'_>,
) {
    let width = ledger.width;
    for (row, entry) in rows {
        for part in 0..values.apart {
            let target = ledger.target(entry, part, values.apart);
            if target == NONE {
                continue;
            }
            let value = values.part(row, part);
            let first = (entry * values.apart + part) * lanes.len();
            let last = &mut ledger.last[first..first + lanes.len()];
            let cells = &mut ledger.cells[target as usize * width..][..width];
            for (lane, last) in lanes.iter().zip(last) {
                let raw = values.sum(lane.reading, value);
                if raw != *last {
                    cells[lane.cell] = cells[lane.cell].wrapping_add(increase(raw, *last));
                    *last = raw;
                }
            }
        }
    }
}

/// Entries that are one bucket each. Both readings' bases move, so that a bucket that becomes another, or the sum,
/// brings later increases only.
fn bucket_totals(
    rows: impl Iterator<Item = (usize, usize)>,
    values: &Values<'_>,
    readings: [Reading; 2],
    bounds: usize,
    ledger: &mut Ledger<'_>,
) {
    for (row, entry) in rows {
        for part in 0..values.apart {
            let target = ledger.target(entry, part, values.apart);
            if target == NONE {
                continue;
            }
            let bucket = ledger.buckets[ledger.identity[entry] as usize] as usize;
            let raws = readings.map(|reading| values.sum(reading, values.part(row, part)));
            let last = ledger.last(entry, part, values.apart, 2);
            let chosen = usize::from(bucket > bounds);
            let more = increase(raws[chosen], last[chosen]);
            last.copy_from_slice(&raws);
            let cell = &mut ledger.cells[target as usize * ledger.width + bucket];
            *cell = cell.wrapping_add(more);
        }
    }
}

/// Takes down present values, labelled or not, folded over CPUs that are not apart.
fn present(
    rows: impl Iterator<Item = (usize, usize)>,
    values: &Values<'_>,
    reading: Reading,
    fold: Fold,
    ledger: &mut Ledger<'_>,
) {
    for (row, entry) in rows {
        for part in 0..values.apart {
            let numbers = values.part(row, part).chunks_exact(values.cpu).map(|value| reading.of(value));
            ledger.last(entry, part, values.apart, 1)[0] =
                numbers.reduce(|a, b| reading.form.cell_kind().fold(fold, a, b)).unwrap_or_default();
        }
    }
}

impl Ledger<'_> {
    #[inline]
    fn target(&self, entry: usize, part: usize, apart: usize) -> u32 {
        self.targets[self.identity[entry] as usize * apart + part]
    }

    #[inline]
    fn last(&mut self, entry: usize, part: usize, apart: usize, lanes: usize) -> &mut [u64] {
        &mut self.last[(entry * apart + part) * lanes..][..lanes]
    }
}

/// A snapshot's values, cut as a feed counts them: a row is `apart` parts of `together` CPUs each.
struct Values<'a> {
    bytes: &'a [u8],
    row: usize,
    cpu: usize,
    apart: usize,
    together: usize,
}

impl<'a> Values<'a> {
    fn new(snapshot: &'a Snapshot, by_cpu: bool) -> Self {
        let (apart, together) = if by_cpu { (snapshot.cpus, 1) } else { (1, snapshot.cpus) };
        Self { bytes: &snapshot.values, row: snapshot.row_stride(), cpu: snapshot.value_stride, apart, together }
    }

    #[inline]
    fn part(&self, row: usize, part: usize) -> &'a [u8] {
        &self.bytes[row * self.row + part * self.cpu..][..self.together * self.cpu]
    }

    /// One number of a part, summed over its CPUs.
    #[inline]
    fn sum(&self, reading: Reading, part: &[u8]) -> u64 {
        if self.together == 1 {
            return reading.of(part);
        }
        part.chunks_exact(self.cpu).map(|value| reading.of(value)).fold(0, u64::wrapping_add)
    }
}
