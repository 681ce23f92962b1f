//! A family that owns its series: for the host's own metrics, for tests, and for sinks that keep a copy.

use crate::{
    blocks::LabelBlocks,
    encode::escape,
    family::{Family, FamilySeries},
    layout::Layout,
};

/// A family with its series, made by hand. Series keep the order in which they were pushed.
#[derive(Debug)]
pub struct OwnedFamily {
    family: Family,
    layout: Layout,
    feeders: Vec<u32>,
    cells: Vec<u64>,
    start_seconds: Vec<f64>,
    blocks: LabelBlocks,
    /// The label block being rendered; kept for its memory.
    block: Vec<u8>,
}

impl OwnedFamily {
    pub fn new(family: Family, layout: Layout) -> Self {
        Self {
            family,
            layout,
            feeders: Vec::new(),
            cells: Vec::new(),
            start_seconds: Vec::new(),
            blocks: LabelBlocks::default(),
            block: Vec::new(),
        }
    }

    /// Adds a series: its labels, unescaped, its [`Layout::width`] raw cells, and the time at which it was surely 0 in seconds
    /// since 1970, if that is known.
    ///
    /// # Panics
    ///
    /// When the number of cells is not the layout's.
    pub fn push<'l>(
        &mut self,
        labels: impl IntoIterator<Item = (&'l str, &'l str)>,
        cells: &[u64],
        start_seconds: Option<f64>,
    ) {
        assert_eq!(cells.len(), self.layout.width(), "cells of a series of {}", self.family.name);
        self.block.clear();
        for (name, value) in labels {
            if !self.block.is_empty() {
                self.block.push(b',');
            }
            self.block.extend_from_slice(name.as_bytes());
            self.block.extend_from_slice(b"=\"");
            escape::label_value(value, |run| self.block.extend_from_slice(run));
            self.block.push(b'"');
        }
        self.blocks.set(self.feeders.len() as u32, &self.block);
        self.feeders.push(1);
        self.cells.extend_from_slice(cells);
        self.start_seconds.push(start_seconds.unwrap_or_default());
    }

    pub fn family(&self) -> &Family {
        &self.family
    }

    /// The view that encoders take.
    pub fn series(&self) -> FamilySeries<'_> {
        FamilySeries {
            family: &self.family,
            layout: &self.layout,
            feeders: &self.feeders,
            cells: &self.cells,
            start_seconds: &self.start_seconds,
            blocks: &self.blocks,
        }
    }
}
