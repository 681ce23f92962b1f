//! Gauges: the present values of all entries, folded anew at the end of each scrape.
//!
//! The values were taken down when their rows were read; so an entry that an incomplete reading left out keeps its last.

use super::families::Families;
use super::identities::NONE;
use super::layout::{Layout, Sign};
use super::plan::{FeedPlan, Take};
use super::schema::Fold;
use super::view::ViewTable;

/// Empties the cells of every gauge, for [`fold`] to fill.
pub(super) fn empty(views: &[ViewTable], families: &mut Families) {
    for feed in views.iter().flat_map(|view| &view.plan.feeds) {
        if let Take::Present { fold, .. } = feed.take {
            let table = &mut families.tables[feed.family];
            if let Layout::Single(sign) = table.layout {
                table.cells.fill(sign.neutral(fold));
            }
        }
    }
}

/// Folds one view's present values into their gauges.
pub(super) fn fold(view: &ViewTable, families: &mut Families) {
    for (index, feed) in view.plan.feeds.iter().enumerate() {
        if let Take::Present { reading, fold } = feed.take {
            let from = reading.map_or(Sign::Unsigned, |reading| reading.form.sign());
            fold_feed(view, index, feed, (fold, from), families);
        }
    }
}

fn fold_feed(view: &ViewTable, index: usize, feed: &FeedPlan, (fold, from): (Fold, Sign), families: &mut Families) {
    let table = &mut families.tables[feed.family];
    let Layout::Single(sign) = table.layout else { return };
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
                let value = if counts_entries { 1 } else { sign.hold(view.last[index][at], from) };
                let cell = &mut table.cells[target as usize];
                *cell = sign.fold(fold, *cell, value);
            }
        }
    }
}

impl Sign {
    /// What folding starts from.
    fn neutral(self, fold: Fold) -> u64 {
        match (self, fold) {
            (_, Fold::Sum) | (Sign::Unsigned, Fold::Max) => 0,
            (Sign::Unsigned, Fold::Min) => u64::MAX,
            (Sign::Signed, Fold::Min) => i64::MAX as u64,
            (Sign::Signed, Fold::Max) => i64::MIN as u64,
        }
    }
}
