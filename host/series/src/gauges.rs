//! Gauges: the present values of all entries, folded anew at the end of each scrape.
//!
//! The values were taken down when their rows were read; so an entry that an incomplete reading left out keeps its last.

use super::families::Families;
use super::identities::NONE;
use super::plan::{FeedPlan, Take};
use super::view::ViewTable;
use ebhost_metrics::Fold;
use ebhost_metrics::{CellKind, Layout};

/// Empties the cells of every gauge, for [`fold`] to fill.
pub(super) fn empty(views: &[ViewTable], families: &mut Families) {
    for feed in views.iter().flat_map(|view| &view.plan.feeds) {
        if let Take::Present { fold, .. } = feed.take {
            let table = &mut families.tables[feed.family];
            if let Layout::Single(kind) = table.layout {
                table.cells.fill(kind.neutral(fold));
            }
        }
    }
}

/// Folds one view's present values into their gauges.
pub(super) fn fold(view: &ViewTable, families: &mut Families) {
    for (index, feed) in view.plan.feeds.iter().enumerate() {
        if let Take::Present { reading, fold } = feed.take {
            let from = reading.map_or(CellKind::U64, |reading| reading.form.cell_kind());
            fold_feed(view, index, feed, (fold, from), families);
        }
    }
}

fn fold_feed(view: &ViewTable, index: usize, feed: &FeedPlan, (fold, from): (Fold, CellKind), families: &mut Families) {
    let table = &mut families.tables[feed.family];
    let Layout::Single(kind) = table.layout else { return };
    let (apart, is_events) = (view.apart(index), view.plan.is_events());
    let counts_entries = matches!(feed.take, Take::Present { reading: None, .. });
    for entry in view.entries.alive() {
        let first = view.entries.identity[entry] as usize * apart;
        let parts = match (is_events, feed.by_cpu) {
            (true, true) => view.event_cpu(entry as u32)..view.event_cpu(entry as u32) + 1,
            _ => 0..apart,
        };
        for part in parts {
            let target = view.targets[index][first + part];
            if target != NONE {
                let at = if is_events { entry } else { entry * apart + part };
                let value = if counts_entries { 1 } else { kind.convert(view.last[index][at], from) };
                let cell = &mut table.cells[target as usize];
                *cell = kind.fold(fold, *cell, value);
            }
        }
    }
}
