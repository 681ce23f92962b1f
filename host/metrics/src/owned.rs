//! A family that owns its series: for the host's own metrics, for tests, and for sinks that keep a copy.

use crate::{
    blocks::LabelBlocks,
    encode::escape,
    exemplars::{Exemplar, Exemplars},
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
    exemplars: Option<Exemplars>,
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
            exemplars: None,
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

    /// Gives a bucket of the series that was pushed as number `index` an exemplar.
    pub fn set_exemplar(&mut self, index: u32, bucket: u32, exemplar: Exemplar) {
        self.exemplars.get_or_insert_default().set(index, bucket, exemplar, usize::MAX);
    }

    pub fn family(&self) -> &Family {
        &self.family
    }

    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The number of series.
    pub fn len(&self) -> usize {
        self.feeders.len()
    }

    pub fn is_empty(&self) -> bool {
        self.feeders.is_empty()
    }

    /// Whether the series that was pushed as number `index`, counted from 0, exists and has these labels, unescaped and in this order.
    pub fn has_labels<'l>(&self, index: usize, labels: impl IntoIterator<Item = (&'l str, &'l str)>) -> bool {
        if index >= self.feeders.len() {
            return false;
        }
        let mut rest = self.blocks.get(index as u32);
        let mut is_same = true;
        let mut expect = |part: &[u8]| match rest.strip_prefix(part) {
            Some(after) => rest = after,
            None => is_same = false,
        };
        for (number, (name, value)) in labels.into_iter().enumerate() {
            if number > 0 {
                expect(b",");
            }
            expect(name.as_bytes());
            expect(b"=\"");
            escape::label_value(value, &mut expect);
            expect(b"\"");
        }
        is_same && rest.is_empty()
    }

    /// The raw cells of all series, [`Layout::width`] for each, in the order in which they were pushed.
    pub fn cells(&self) -> &[u64] {
        &self.cells
    }

    /// The raw cells of the series that was pushed as number `index`, to be overwritten.
    ///
    /// # Panics
    ///
    /// When there are not that many series.
    pub fn cells_mut(&mut self, index: usize) -> &mut [u64] {
        let width = self.layout.width();
        &mut self.cells[index * width..][..width]
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
            revisions: None,
            served: None,
            exemplars: self.exemplars.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cell::CellKind, family::Kind};

    #[test]
    fn a_series_is_known_by_all_its_labels_in_their_order() {
        let description = Family {
            name: "a_total".to_owned(),
            help: String::new(),
            unit: String::new(),
            labels: Vec::new(),
            kind: Kind::Counter,
            times: 1.0,
            per: 1.0,
        };
        let mut family = OwnedFamily::new(description, Layout::Single(CellKind::U64));
        family.push([("a", "x\\y"), ("b", "\"")], &[1], None);
        family.push([], &[2], None);
        assert!(family.has_labels(0, [("a", "x\\y"), ("b", "\"")]));
        assert!(family.has_labels(1, []));
        for other in [
            &[("a", "x\\\\y"), ("b", "\"")][..],
            &[("a", "x\\y")],
            &[("b", "\""), ("a", "x\\y")],
            &[("a", "x\\y"), ("b", "\""), ("c", "")],
            &[],
        ] {
            assert!(!family.has_labels(0, other.iter().copied()), "{other:?}");
        }
        assert!(!family.has_labels(2, []), "there are two series");
        family.cells_mut(1)[0] = 7;
        assert_eq!(family.cells(), [1, 7]);
    }
}
