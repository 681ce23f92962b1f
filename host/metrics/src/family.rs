//! Metric families: the description of a family, and a family with its series as an encoder sees it.

use std::{collections::BTreeSet, ops::Range};

use crate::{
    blocks::LabelBlocks,
    cell::CellKind,
    exemplars::{Exemplar, Exemplars},
    layout::Layout,
    revisions::Revisions,
    served::ServedBuckets,
};

/// One metric family, named without the namespace that precedes plugins' families.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// As in text 0.0.4: a counter's name ends in `_total`.
    pub name: String,
    pub help: String,
    /// OpenMetrics unit; empty: none.
    pub unit: String,
    /// Label names in the order of printing.
    pub labels: Vec<String>,
    pub kind: Kind,
    /// Raw numbers × times ÷ per give the unit.
    pub times: f64,
    pub per: f64,
}

/// The type of a family.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Sums of increases.
    Counter,
    /// Present values, folded over entries and CPUs of equal labels.
    Gauge(Fold),
    /// Upper bounds, ascending and finite, without +Inf.
    Histogram(Vec<f64>),
}

/// How the values of a gauge with equal labels become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    Sum,
    Min,
    Max,
}

impl Family {
    /// Every name that the family's samples or its metadata have in any exposition format, without a namespace.
    ///
    /// Two families of one answer must not share any of them.
    pub fn sample_names(&self) -> BTreeSet<String> {
        let name = self.name.as_str();
        let with = |base: &str, suffixes: &[&str]| suffixes.iter().map(|suffix| format!("{base}{suffix}")).collect();
        match (&self.kind, name.strip_suffix("_total")) {
            (Kind::Counter, Some(base)) => with(base, &["", "_total", "_created"]),
            (Kind::Counter, None) | (Kind::Gauge(_), _) => with(name, &[""]),
            (Kind::Histogram(_), _) => with(name, &["", "_bucket", "_count", "_sum", "_created"]),
        }
    }

    /// Whether this is a histogram with a bound below 0.
    ///
    /// The sum of such a histogram may fall. A scraper would take the fall for a counter reset, and OpenMetrics forbids the sum;
    /// so no format shows it ([`FamilySeries::sum`]).
    pub fn has_negative_bounds(&self) -> bool {
        matches!(&self.kind, Kind::Histogram(bounds) if bounds.first().is_some_and(|bound| *bound < 0.0))
    }
}

/// A family and its series: columns indexed by slot, borrowed from the table or buffer that holds them.
///
/// A slot that nothing feeds has no series. A view changes nothing and does no arithmetic. [`OwnedFamily`](crate::OwnedFamily) makes
/// one without a table.
#[derive(Debug, Clone, Copy)]
pub struct FamilySeries<'a> {
    pub family: &'a Family,
    /// The meaning of the cells of each series.
    pub layout: &'a Layout,
    /// By slot: how many entries feed the series; 0: the slot has no series.
    pub feeders: &'a [u32],
    /// By slot: [`Layout::width`] raw cells.
    pub cells: &'a [u64],
    /// By slot: the time at which the series was surely 0, in seconds since 1970; 0: unknown.
    pub start_seconds: &'a [f64],
    /// By slot: the label block, escaped, without braces.
    pub blocks: &'a LabelBlocks,
    /// Whether there are the same series as before; `None`: it is not known.
    pub revisions: Option<Revisions<'a>>,
    /// The buckets that an operator chose to expose; `None`: those that the family declares.
    pub served: Option<&'a ServedBuckets>,
    /// Exemplars of histograms; `None`: there are none.
    pub exemplars: Option<&'a Exemplars>,
}

/// One series of a [`FamilySeries`].
#[derive(Debug, Clone, Copy)]
pub struct Series<'a> {
    slot: usize,
    /// The label block: `a="x",b="y"`, escaped as the text formats want it, without braces.
    pub labels: &'a [u8],
    /// [`Layout::width`] raw cells.
    pub cells: &'a [u64],
}

impl Series<'_> {
    /// The slot of the series. It keeps it as long as it exists; then another series may have it.
    pub fn slot(&self) -> usize {
        self.slot
    }
}

impl<'a> FamilySeries<'a> {
    pub fn family(&self) -> &'a Family {
        self.family
    }

    pub fn layout(&self) -> &'a Layout {
        self.layout
    }

    /// The upper bounds of the classic buckets that are exposed, ascending, without +Inf; empty for a family that is no histogram.
    ///
    /// [`Kind::Histogram`] has the bounds of the cells, which may be more.
    pub fn bounds(&self) -> &'a [f64] {
        match (self.served, &self.family.kind) {
            (Some(served), Kind::Histogram(_)) => served.bounds(),
            (None, Kind::Histogram(bounds)) => bounds,
            (_, Kind::Counter | Kind::Gauge(_)) => &[],
        }
    }

    /// Calls `each` with a histogram's cumulative counts: one for each of [`bounds`](Self::bounds), in order, then that of all
    /// observations.
    #[inline]
    pub fn cumulate(&self, cells: &[u64], each: impl FnMut(u64)) {
        match self.served {
            Some(served) => served.cumulate(&cells[..self.layout.buckets()], each),
            None => self.layout.cumulate(cells, each),
        }
    }

    /// The series, in the order of their slots.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = Series<'a>> + use<'a> {
        self.range(0..self.feeders.len())
    }

    /// The series of these slots.
    #[inline]
    pub fn range(&self, slots: Range<usize>) -> impl Iterator<Item = Series<'a>> + use<'a> {
        let (blocks, first, width) = (self.blocks, slots.start, self.layout.width());
        let cells = self.cells[slots.start * width..slots.end * width].chunks_exact(width);
        let slots = self.feeders[slots].iter().zip(cells).enumerate();
        slots
            .filter(|(_, (feeders, _))| **feeders > 0)
            .map(move |(slot, (_, cells))| (slot + first, cells))
            .map(move |(slot, cells)| Series { slot, labels: blocks.get(slot as u32), cells })
    }

    pub fn is_empty(&self) -> bool {
        self.feeders.iter().all(|feeders| *feeders == 0)
    }

    /// The time at which `series` was surely 0, in seconds since 1970, if it is known.
    #[inline]
    pub fn start_seconds(&self, series: &Series<'_>) -> Option<f64> {
        self.start_seconds.get(series.slot).copied().filter(|seconds| *seconds > 0.0)
    }

    /// The exemplar of a bucket of `series`, counted from the lowest. With bounds that an operator chose there are none: the buckets are others.
    #[inline]
    pub fn exemplar(&self, series: &Series<'_>, bucket: usize) -> Option<&'a Exemplar> {
        self.exemplars.filter(|_| self.served.is_none())?.get(series, bucket)
    }

    /// Index and kind of the cell that holds a histogram's sum, if it has one that may be shown: see
    /// [`Family::has_negative_bounds`].
    pub fn sum(&self) -> Option<(usize, CellKind)> {
        if self.family.has_negative_bounds() {
            return None;
        }
        Some((self.layout.sum()?, self.layout.sum_kind()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family(name: &str, kind: Kind) -> Family {
        let (name, help) = (name.to_owned(), String::new());
        Family { name, help, unit: String::new(), labels: vec![], kind, times: 1.0, per: 1.0 }
    }

    #[test]
    fn every_suffix_of_a_family_is_among_its_sample_names() {
        let names = |name, kind| family(name, kind).sample_names().into_iter().collect::<Vec<_>>();
        assert_eq!(names("a_total", Kind::Counter), ["a", "a_created", "a_total"]);
        assert_eq!(
            names("a", Kind::Counter),
            ["a"],
            "a counter without `_total` has the type `unknown` in OpenMetrics"
        );
        assert_eq!(names("a", Kind::Gauge(Fold::Max)), ["a"]);
        let histogram = ["a", "a_bucket", "a_count", "a_created", "a_sum"];
        assert_eq!(names("a", Kind::Histogram(vec![1.0])), histogram);
    }
}
