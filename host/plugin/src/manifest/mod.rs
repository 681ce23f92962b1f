//! Checks a manifest and makes a schema of it, or an error that says where, what was found and what was expected.
//!
//! All rules of the contract about a plugin's families and views are checked here, once, at load; a scrape checks none of them. The
//! input is the same for every contract version ([`declared`](crate::contract::declared)).

mod error;
mod family;
mod spans;
mod value;
mod view;

use std::collections::{BTreeMap, BTreeSet};

pub use self::error::{ManifestError, ManifestRule};
pub(crate) use self::spans::check as check_spans;
use self::{
    error::{Checked, at_most, refuse, require},
    family::{check_sample_names, check_size, family},
    view::view,
};
use crate::contract::declared::Manifest;
use ebhost_limits as limits;
use ebhost_lookup::tables::LookupTable;
use ebhost_package::Compat;
use ebhost_series::schema::{Schema, SourceShape, View};

/// The package that a manifest is checked against.
#[derive(Debug)]
pub struct ManifestContext<'a> {
    /// Shape of each map in the BPF object and of each perf source, by name.
    pub sources: &'a BTreeMap<String, SourceShape>,
    /// Lookup tables that plugin.yaml grants.
    pub grants: &'a [LookupTable],
    /// Rules for family names.
    pub compat: Compat,
}

/// Checks a whole manifest.
///
/// # Errors
/// The first rule that it breaks.
pub(crate) fn check(manifest: Manifest, context: &ManifestContext<'_>) -> Checked<Schema> {
    // A component that makes spans need not count anything.
    let makes_spans = !manifest.spans.sources.is_empty();
    let has_any = |count: usize| count > 0 || makes_spans;
    require(has_any(manifest.families.len()), ManifestRule::Present, "families", "none", "at least one")?;
    require(has_any(manifest.views.len()), ManifestRule::Present, "views", "none", "at least one")?;
    at_most("families", "", manifest.families.len(), limits::MANIFEST_FAMILIES)?;
    at_most("views", "", manifest.views.len(), limits::MANIFEST_VIEWS)?;
    manifest.families.iter().try_for_each(check_size)?;
    let families = manifest.families.into_iter().map(|one| family(one, context.compat));
    let families = families.collect::<Checked<Vec<_>>>()?;
    check_sample_names(&families)?;
    let views = manifest
        .views
        .into_iter()
        .enumerate()
        .map(|(index, one)| view(index, one, &families, context))
        .collect::<Checked<Vec<_>>>()?;
    check_event_lengths(&views)?;
    let fed: BTreeSet<_> = views.iter().flat_map(|view| &view.feeds).map(|feed| feed.family).collect();
    match (0..families.len()).find(|family| !fed.contains(family)) {
        Some(family) => refuse(
            ManifestRule::Present,
            &format!("family `{}`", families[family].name),
            "no view that feeds it",
            "at least one series",
        ),
        None => Ok(Schema { families, views }),
    }
}

/// Checks how many different lengths of one source's events there are: for each of them the host keeps a copy of the events.
fn check_event_lengths(views: &[View]) -> Checked<()> {
    let mut lengths: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    for view in views.iter().filter(|view| view.is_events()) {
        lengths.entry(&view.source).or_default().insert(view.value_size);
    }
    lengths.iter().try_for_each(|(source, lengths)| {
        let place = format!("views of `{source}`");
        at_most(&place, " different lengths of its events", lengths.len(), limits::MANIFEST_EVENT_LENGTHS)
    })
}

#[cfg(test)]
mod tests;
