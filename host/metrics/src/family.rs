//! Metric families: what a family is, and a family with its series as an encoder sees it.

use crate::{blocks::LabelBlocks, layout::Layout};

/// One metric family, named without the host's namespace.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// As in text 0.0.4: a counter's ends in `_total`.
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

#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Sums of increases.
    Counter,
    /// Present values, folded over entries and CPUs of equal labels.
    Gauge(Fold),
    /// Upper bounds, ascending and finite, without +Inf.
    Histogram(Vec<f64>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    Sum,
    Min,
    Max,
}

/// A family and its series: columns by slot, borrowed from whoever counts.
///
/// A slot that nothing feeds has no series. It never changes anything and does no arithmetic.
#[derive(Debug, Clone, Copy)]
pub struct FamilySeries<'a> {
    pub family: &'a Family,
    /// What the cells of each series mean.
    pub layout: &'a Layout,
    /// By slot: how many feed its series; 0: there is none.
    pub feeders: &'a [u32],
    /// By slot: `layout.width()` raw cells.
    pub cells: &'a [u64],
    /// By slot: when its series was surely 0, in seconds since 1970; 0: nobody said.
    pub born: &'a [f64],
    /// By slot: the label block, escaped, without braces.
    pub blocks: &'a LabelBlocks,
}

impl<'a> FamilySeries<'a> {
    pub fn family(&self) -> &'a Family {
        self.family
    }

    pub fn layout(&self) -> &'a Layout {
        self.layout
    }

    /// When each series of `iter`, in its order, was surely 0: seconds since 1970; 0: nobody said.
    pub fn born(&self) -> impl Iterator<Item = f64> + use<'a> {
        self.feeders.iter().zip(self.born).filter(|(feeders, _)| **feeders > 0).map(|(_, born)| *born)
    }

    /// Each series that something feeds: its label block, escaped, without braces, and its raw cells.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u64])> + use<'a> {
        let blocks = self.blocks;
        let fed = self.feeders.iter().zip(self.cells.chunks_exact(self.layout.width())).enumerate();
        fed.filter(|(_, (feeders, _))| **feeders > 0).map(|(slot, (_, cells))| (blocks.get(slot as u32), cells))
    }
}
