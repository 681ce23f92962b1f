//! Overwrites the numbers of series that were collected before.
//!
//! Most reports have the series of the report before with other numbers. Then nothing needs to be described again: the render functions
//! run as they do for `prometheus-client`, each sample is compared with the labels of the series in its place, and its number goes to the
//! series' cell. Anything else than the same series in the same order is an error, and the registry is collected anew.

use std::{fmt, ops::Range};

use ebhost_metrics::{CellKind, Layout, OwnedFamily};

use super::{
    families::{Durations, Labels, Number},
    model,
};

/// A family as it was collected last.
#[derive(Debug)]
pub(super) struct CollectedFamily {
    pub(super) family: OwnedFamily,
    /// Another number after each change.
    pub(super) version: u64,
}

/// One run of a part's render functions over series that are known.
#[derive(Debug)]
pub(super) struct Refresh<'p> {
    /// The families in the order of the render functions that are still to come, each with the series of this run.
    rest: std::iter::Zip<std::slice::IterMut<'p, CollectedFamily>, std::slice::Iter<'p, Range<usize>>>,
    /// The version of families that change.
    version: u64,
}

impl<'p> Refresh<'p> {
    /// `series`: for each family the indices of its series that this run gives.
    pub(super) fn new(families: &'p mut [CollectedFamily], series: &'p [Range<usize>], version: u64) -> Self {
        Self { rest: families.iter_mut().zip(series), version }
    }

    /// The samples of the next family.
    ///
    /// # Errors
    /// If they are not those of the series that are known, or their numbers are of another kind.
    pub(super) fn numbers<'l>(&mut self, samples: impl Iterator<Item = (Labels<'l>, Number)>) -> fmt::Result {
        let (collected, series) = self.rest.next().ok_or(fmt::Error)?;
        let Layout::Single(kind) = *collected.family.layout() else { return Err(fmt::Error) };
        let (mut series, mut has_changed) = (series.clone(), false);
        for (labels, Number(number)) in samples {
            let index = known(&collected.family, series.next(), &labels)?;
            let number = model::cell(number, kind).ok_or(fmt::Error)?;
            has_changed |= overwrite(collected.family.cells_mut(index), [number]);
        }
        if series.next().is_some() {
            return Err(fmt::Error);
        }
        if has_changed {
            collected.version = self.version;
            // Collected anew, they would be integers.
            let are_whole = || collected.family.cells().iter().all(|cell| model::is_whole(f64::from_bits(*cell)));
            if kind == CellKind::F64 && are_whole() {
                return Err(fmt::Error);
            }
        }
        Ok(())
    }

    /// The histograms of the next family.
    ///
    /// # Errors
    /// If they are not those of the series that are known, or have other bounds.
    pub(super) fn histograms<'l>(&mut self, samples: impl Iterator<Item = (Labels<'l>, Durations<'l>)>) -> fmt::Result {
        let (collected, series) = self.rest.next().ok_or(fmt::Error)?;
        let (mut series, mut has_changed) = (series.clone(), false);
        for (labels, durations) in samples {
            let index = known(&collected.family, series.next(), &labels)?;
            if !model::has_bounds(collected.family.family(), durations.bounds) {
                return Err(fmt::Error);
            }
            let cells = durations.counts().chain([durations.sum.to_bits()]);
            has_changed |= overwrite(collected.family.cells_mut(index), cells);
        }
        if series.next().is_some() {
            return Err(fmt::Error);
        }
        if has_changed {
            collected.version = self.version;
        }
        Ok(())
    }
}

/// The index of the next series, if the sample is one of it.
fn known(family: &OwnedFamily, index: Option<usize>, labels: &Labels<'_>) -> Result<usize, fmt::Error> {
    index.filter(|index| family.has_labels(*index, labels.iter())).ok_or(fmt::Error)
}

/// Whether a cell has another number than before.
fn overwrite(cells: &mut [u64], numbers: impl IntoIterator<Item = u64>) -> bool {
    let mut has_changed = false;
    for (cell, number) in cells.iter_mut().zip(numbers) {
        has_changed |= *cell != number;
        *cell = number;
    }
    has_changed
}
