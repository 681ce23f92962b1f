//! A manifest becomes a schema, or a refusal that says what was found, what was expected and where.
//!
//! Every rule of the contract about what a plugin *is* is checked here, once, at load; a scrape checks none of them.

mod family;
mod refusal;
mod value;
mod view;

use std::collections::{BTreeMap, BTreeSet};

pub use self::refusal::{ManifestError, Rule};
use self::{
    family::{check_sample_names, check_size, family},
    refusal::{Checked, at_most, refuse, require},
    view::view,
};
use super::contract::Manifest;
use ebhost_limits as limits;
use ebhost_lookup::tables::LookupTable;
use ebhost_package::Compat;
use ebhost_series::schema::{Schema, SourceShape};

/// What a manifest is held against.
#[derive(Debug)]
pub struct Context<'a> {
    pub sources: &'a BTreeMap<String, SourceShape>,
    pub grants: &'a [LookupTable],
    pub compat: Compat,
}

/// Checks a manifest whole.
pub(super) fn check(manifest: Manifest, context: &Context<'_>) -> Checked<Schema> {
    require(!manifest.families.is_empty(), Rule::Present, "families", "none", "at least one")?;
    require(!manifest.views.is_empty(), Rule::Present, "views", "none", "at least one")?;
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
    let fed: BTreeSet<_> = views.iter().flat_map(|view| &view.feeds).map(|feed| feed.family).collect();
    match (0..families.len()).find(|family| !fed.contains(family)) {
        Some(family) => refuse(
            Rule::Present,
            &format!("family `{}`", families[family].name),
            "no view that feeds it",
            "at least one series",
        ),
        None => Ok(Schema { families, views }),
    }
}

#[cfg(test)]
mod tests;
