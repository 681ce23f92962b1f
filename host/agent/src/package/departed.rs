//! Deletes map entries whose cgroup, disk or interface is gone, after their counts were taken, where the package allows it
//! (`delete_departed` in plugin.yaml). Otherwise a small map would be full of what is gone.

use std::collections::BTreeMap;

use tracing::warn;

use super::{Running, view_snapshots};
use crate::label;
use ebhost_kernel::Source;
use ebhost_limits as limits;
use ebhost_lookup::{Lookups, QuestionSet};

/// The deletions of one package.
#[derive(Debug, Default)]
pub(super) struct Deletion {
    /// Entries that were deleted, by map. Maps that are not in it are left alone.
    maps: BTreeMap<String, Deleted>,
    /// Departed things whose entries have not all been deleted.
    left: QuestionSet,
}

#[derive(Debug, Default)]
struct Deleted {
    entries: u64,
    has_failed: bool,
}

impl Deletion {
    pub(super) fn of(maps: &[String]) -> Self {
        let maps = maps.iter().map(|map| (map.clone(), Deleted::default())).collect();
        Self { maps, left: QuestionSet::default() }
    }

    /// Entries of a map that were deleted; `None`: none are.
    pub(super) fn entries(&self, map: &str) -> Option<u64> {
        self.maps.get(map).map(|deleted| deleted.entries)
    }
}

impl Running {
    /// Deletes the entries of what was noticed to be gone in the collection before, unless they have counted again since this
    /// collection read them: these are kept for the next one.
    pub(crate) fn delete_departed(&mut self, lookups: &Lookups, departed: &QuestionSet) {
        if self.deletion.maps.is_empty() {
            return;
        }
        let left = &mut self.deletion.left;
        // A disk's number may mean another disk meanwhile.
        left.retain(|question| lookups.is_gone(question));
        if left.len() < limits::REMOVED_CGROUPS {
            left.extend(departed);
        }
        if !self.is_ready || left.is_empty() {
            return;
        }
        let is_done = self.delete_rows();
        if is_done {
            self.deletion.left.clear();
        }
    }

    /// Returns whether every entry is deleted.
    fn delete_rows(&mut self) -> bool {
        let schema = self.table.schema().clone();
        let mut is_done = true;
        for view in view_snapshots(&schema, &self.loaded, &self.sources) {
            let Some(deleted) = self.deletion.maps.get_mut(view.source) else { continue };
            let Source::Map(map) = &self.loaded.sources[self.sources[view.index]] else { continue };
            for row in label::rows_about(&self.table, view.index, &self.deletion.left) {
                match map.delete_unchanged(row) {
                    Ok(is_deleted) => {
                        deleted.entries += u64::from(is_deleted);
                        is_done &= is_deleted;
                    }
                    Err(error) => {
                        if !std::mem::replace(&mut deleted.has_failed, true) {
                            warn!(
                                package = self.name,
                                map = view.source,
                                "an entry of what is gone cannot be deleted: {error}"
                            );
                        }
                        is_done = false;
                    }
                }
            }
        }
        is_done
    }
}
