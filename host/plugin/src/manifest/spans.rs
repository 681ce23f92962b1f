//! Sources of spans and exemplars, checked against the package's sources, its grants and the views of its manifest.

use super::{
    ManifestContext,
    error::{Checked, ManifestRule, at_most, refuse, require},
};
use crate::{
    contract::declared,
    decode::{SpanLookup, SpanSchema, SpanSource},
};
use ebhost_limits as limits;
use ebhost_lookup::tables::LookupTable;
use ebhost_series::{
    ExemplarFields,
    schema::{Schema, SourceShape, Value, View},
};

/// Bytes of a trace id and of a span id.
const TRACE_ID_BYTES: usize = 16;
const SPAN_ID_BYTES: usize = 8;

/// Checks the optional export of a component whose other manifest was checked.
///
/// # Errors
/// The first rule that it breaks.
pub(crate) fn check(spans: &declared::Spans, schema: &Schema, context: &ManifestContext<'_>) -> Checked<SpanSchema> {
    at_most("spans", " sources", spans.sources.len(), limits::SPAN_SOURCES)?;
    at_most("spans", " exemplars", spans.exemplars.len(), limits::MANIFEST_VIEWS)?;
    let mut schema_of_spans = SpanSchema::default();
    for source in &spans.sources {
        let place = format!("span source `{}`", source.buffer);
        let is_new = schema_of_spans.sources.iter().all(|known| known.buffer != source.buffer);
        require(is_new, ManifestRule::Source, &place, "it a second time", "each buffer once")?;
        schema_of_spans.sources.push(checked_source(&place, source, context)?);
    }
    for exemplar in &spans.exemplars {
        let place = format!("exemplars of view {}", exemplar.view);
        let is_new = schema_of_spans.exemplars.iter().all(|known| known.view != exemplar.view as usize);
        require(is_new, ManifestRule::Source, &place, "them a second time", "each view once")?;
        schema_of_spans.exemplars.push(checked_exemplar(&place, exemplar, schema)?);
    }
    Ok(schema_of_spans)
}

fn checked_source(place: &str, source: &declared::SpanSource, context: &ManifestContext<'_>) -> Checked<SpanSource> {
    let is_events = matches!(context.sources.get(&source.buffer), Some(SourceShape::Events { .. }));
    let expected = "a ring buffer or a perf event array of the BPF object";
    require(is_events, ManifestRule::Source, place, "a source that is none, or another kind", expected)?;
    at_most(place, " lookups", source.lookups.len(), limits::MANIFEST_LABELS)?;
    let min_size = source.min_size as usize;
    let lookups = source.lookups.iter().map(|lookup| checked_lookup(place, lookup, min_size, context.grants));
    Ok(SpanSource { buffer: source.buffer.clone(), min_size, lookups: lookups.collect::<Checked<_>>()? })
}

fn checked_lookup(
    place: &str,
    lookup: &declared::SpanLookup,
    min_size: usize,
    grants: &[LookupTable],
) -> Checked<SpanLookup> {
    let place = format!("{place}, lookup in `{}`", lookup.table);
    let Some(table) = LookupTable::named(&lookup.table) else {
        let expected = format!("one of {}", LookupTable::names());
        return refuse(ManifestRule::Lookup, &place, "a table that does not exist", expected);
    };
    let expected = format!("a granted table; add `grants: [{}]` to plugin.yaml to grant it", lookup.table);
    require(grants.contains(&table), ManifestRule::Grant, &place, "no grant of it", expected)?;
    let (offset, length) = (lookup.offset as usize, lookup.length as usize);
    let found = format!("{length} bytes");
    require(table.takes(length), ManifestRule::Lookup, &place, found, table.key_widths())?;
    check_within(&place, offset, length, min_size)?;
    Ok(SpanLookup { table, offset, length })
}

fn checked_exemplar(place: &str, exemplar: &declared::Exemplar, schema: &Schema) -> Checked<ExemplarFields> {
    let (view, trace_id) = (exemplar.view as usize, exemplar.trace_id as usize);
    let observes = |view: &&View| view.feeds.iter().any(|feed| matches!(feed.value, Value::Observation(_)));
    let Some(observed) = schema.views.get(view).filter(observes) else {
        let expected = "a view of events that feeds an `observation`";
        return refuse(ManifestRule::Value, place, "no such view, or another kind", expected);
    };
    check_within(place, trace_id, TRACE_ID_BYTES, observed.value_size)?;
    let span_id = exemplar.span_id.map(|offset| offset as usize);
    span_id.map_or(Ok(()), |offset| check_within(place, offset, SPAN_ID_BYTES, observed.value_size))?;
    Ok(ExemplarFields { view, trace_id, span_id })
}

fn check_within(place: &str, offset: usize, length: usize, size: usize) -> Checked<()> {
    let fits = offset.checked_add(length).is_some_and(|end| end <= size);
    let found = format!("bytes {offset} to {}", offset.saturating_add(length));
    require(fits, ManifestRule::Size, place, found, format!("bytes within the first {size} of an event"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use ebhost_package::Compat;

    fn cgroup() -> LookupTable {
        LookupTable::named("cgroup").unwrap()
    }

    fn checked(source: declared::SpanSource) -> Result<SpanSchema, String> {
        let sources = BTreeMap::from([
            ("ring".to_owned(), SourceShape::Events { know_cpu: false }),
            ("table".to_owned(), SourceShape::Table { key_size: 4, value_size: 8 }),
        ]);
        let context = ManifestContext { sources: &sources, grants: &[cgroup()], compat: Compat::Native };
        let spans = declared::Spans { sources: vec![source], exemplars: Vec::new() };
        let schema = Schema { families: Vec::new(), views: Vec::new() };
        check(&spans, &schema, &context).map_err(|error| error.to_string())
    }

    fn source(buffer: &str, table: &str, offset: u32, length: u32) -> declared::SpanSource {
        let lookups = vec![declared::SpanLookup { table: table.to_owned(), offset, length }];
        declared::SpanSource { buffer: buffer.to_owned(), min_size: 16, lookups }
    }

    #[test]
    fn a_sound_source_passes() {
        let lookups = vec![SpanLookup { table: cgroup(), offset: 8, length: 8 }];
        let expected = SpanSource { buffer: "ring".to_owned(), min_size: 16, lookups };
        assert_eq!(checked(source("ring", "cgroup", 8, 8)).unwrap().sources, [expected]);
    }

    #[test]
    fn each_mistake_is_refused_with_what_was_expected() {
        for (source, expected) in [
            (source("table", "cgroup", 8, 8), "expected a ring buffer"),
            (source("none", "cgroup", 8, 8), "expected a ring buffer"),
            (source("ring", "cgrp", 8, 8), "a table that does not exist"),
            (source("ring", "pci-vendor", 8, 8), "`grants: [pci-vendor]`"),
            (source("ring", "cgroup", 9, 8), "found bytes 9 to 17, expected bytes within the first 16"),
            (source("ring", "cgroup", u32::MAX, 8), "expected bytes within the first 16"),
            (source("ring", "cgroup", 0, 3), "found 3 bytes"),
        ] {
            let error = checked(source).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
