//! Views: the identity bytes of a source's entries, their lookups, and the series that they feed.

use super::{
    ManifestContext,
    error::{Checked, ManifestRule, at_most, refuse, require},
    value::{bounds, value},
};
use crate::contract::declared::{self, Label};
use ebhost_limits as limits;
use ebhost_lookup::tables::LookupTable;
use ebhost_metrics::Family;
use ebhost_package::did_you_mean;
use ebhost_series::schema::{Feed, Field, LabelSource, Lookup, Part, SourceShape, Value, View};

/// Checks a view whose families were checked.
pub(super) fn view(
    index: usize,
    view: declared::View,
    families: &[Family],
    context: &ManifestContext<'_>,
) -> Checked<View> {
    let place = format!("view {index} (`{}`)", view.source);
    at_most(&place, " identity fields", view.identity.len(), limits::MANIFEST_LABELS)?;
    at_most(&place, " lookups", view.lookups.len(), limits::MANIFEST_LABELS)?;
    at_most(&place, " columns", view.columns as usize, limits::MANIFEST_LABELS)?;
    at_most(&place, " series", view.series.len(), limits::MANIFEST_FAMILIES)?;
    let Some(shape) = context.sources.get(&view.source).copied() else {
        let has: Vec<_> = context.sources.keys().map(String::as_str).collect();
        let has = if has.is_empty() { "a source, but this package has none".to_owned() } else { has.join(", ") };
        return refuse(
            ManifestRule::Source,
            &place,
            format!("the source `{}`", view.source),
            format!(
                "a map of the BPF object or a source under `perf` in plugin.yaml: {has}{}",
                did_you_mean(&view.source, context.sources.keys().map(String::as_str))
            ),
        );
    };
    let (key_size, value_size) = (view.key_size as usize, view.value_size as usize);
    check_sizes(&place, shape, key_size, value_size)?;
    let identity = identity(&place, shape, key_size, value_size, &view.identity)?;
    let lookups = lookups(&place, &identity, view.lookups, context.grants)?;
    require(!view.series.is_empty(), ManifestRule::Present, &place, "no series", "at least one")?;
    let columns = view.columns as usize;
    let feeds = view
        .series
        .into_iter()
        .map(|series| feed(&place, series, shape, value_size, columns, families))
        .collect::<Checked<Vec<_>>>()?;
    check_buckets(&place, &feeds, families)?;
    Ok(View { source: view.source, key_size, value_size, identity, lookups, columns, feeds })
}

fn check_sizes(place: &str, shape: SourceShape, key_size: usize, value_size: usize) -> Checked<()> {
    match shape {
        SourceShape::Table { key_size: key, value_size: value }
        | SourceShape::PerCpuTable { key_size: key, value_size: value } => {
            require(
                key_size == key,
                ManifestRule::Size,
                place,
                format!("key-size {key_size}"),
                format!("{key}, as the map has it"),
            )?;
            require(
                value_size == value,
                ManifestRule::Size,
                place,
                format!("value-size {value_size}"),
                format!("{value}, as the map has it"),
            )
        }
        SourceShape::Events { .. } => {
            require(key_size == 0, ManifestRule::Size, place, format!("key-size {key_size}"), "0: events have no key")
        }
    }
}

fn identity(
    place: &str,
    shape: SourceShape,
    key_size: usize,
    value_size: usize,
    fields: &[declared::Field],
) -> Checked<Vec<Field>> {
    let check = |(index, field): (usize, &declared::Field)| {
        let place = format!("{place}, identity field {index}");
        let (offset, length) = (field.offset as usize, field.length as usize);
        let (part, size) = match field.part {
            declared::Part::Key => (Part::Key, key_size),
            declared::Part::Value => (Part::Value, value_size),
        };
        if part == Part::Value && matches!(shape, SourceShape::PerCpuTable { .. }) {
            return refuse(
                ManifestRule::Identity,
                &place,
                "bytes of the value",
                "bytes of the key: a per-CPU map has a value for each CPU",
            );
        }
        let fits = length > 0 && offset.checked_add(length).is_some_and(|end| end <= size);
        let found = format!("bytes {offset} to {}", offset.saturating_add(length));
        require(
            fits,
            ManifestRule::Identity,
            &place,
            found,
            format!("1 or more bytes within the {size} of the {part:?}").to_lowercase(),
        )?;
        Ok(Field { part, offset, length })
    };
    fields.iter().enumerate().map(check).collect()
}

fn lookups(
    place: &str,
    identity: &[Field],
    lookups: Vec<declared::Lookup>,
    grants: &[LookupTable],
) -> Checked<Vec<Lookup>> {
    let check = |lookup: declared::Lookup| {
        let place = format!("{place}, lookup in `{}`", lookup.table);
        let Some(table) = LookupTable::named(&lookup.table) else {
            return refuse(
                ManifestRule::Lookup,
                &place,
                "a table that does not exist",
                format!("one of {}", LookupTable::names()),
            );
        };
        let granted: Vec<_> = grants.iter().map(|grant| grant.name()).collect();
        let expected = format!("a granted table; add `grants: [{}]` to plugin.yaml to grant it", lookup.table);
        require(
            grants.contains(&table),
            ManifestRule::Grant,
            &place,
            format!("the grants [{}]", granted.join(", ")),
            expected,
        )?;
        let field = lookup.field as usize;
        let Some(bytes) = identity.get(field).map(|field| field.length) else {
            return refuse(
                ManifestRule::Lookup,
                &place,
                format!("identity field {field}"),
                format!("one below {}", identity.len()),
            );
        };
        require(
            table.takes(bytes),
            ManifestRule::Lookup,
            &place,
            format!("a field of {bytes} bytes"),
            "a length that the table takes",
        )?;
        Ok(Lookup { table: lookup.table, field })
    };
    lookups.into_iter().map(check).collect()
}

fn feed(
    place: &str,
    series: declared::Series,
    shape: SourceShape,
    value_size: usize,
    columns: usize,
    families: &[Family],
) -> Checked<Feed> {
    let Some(family) = families.get(series.family as usize) else {
        return refuse(
            ManifestRule::Labels,
            place,
            format!("family {}", series.family),
            format!("one below {}", families.len()),
        );
    };
    let place = format!("{place}, series of `{}`", family.name);
    let (found, expected) = (series.labels.len(), family.labels.len());
    require(
        found == expected,
        ManifestRule::Labels,
        &place,
        format!("{found} labels"),
        format!("{expected}, as the family has"),
    )?;
    let label = |label: Label| {
        Ok(match label {
            Label::Column(column) => {
                let expected = format!("one below the view's {columns}");
                require(
                    (column as usize) < columns,
                    ManifestRule::Labels,
                    &place,
                    format!("column {column}"),
                    expected,
                )?;
                LabelSource::Column(column as usize)
            }
            Label::Fixed(text) => LabelSource::Fixed(text),
            Label::Cpu => {
                let has_cpus = !matches!(shape, SourceShape::Table { .. } | SourceShape::Events { know_cpu: false });
                require(
                    has_cpus,
                    ManifestRule::Labels,
                    &place,
                    "the label `cpu`",
                    "a per-CPU map or a perf event array for it",
                )?;
                LabelSource::Cpu
            }
        })
    };
    let labels = series.labels.into_iter().map(label).collect::<Checked<Vec<_>>>()?;
    let value = value(&place, series.value, family, shape, value_size)?;
    Ok(Feed { family: series.family as usize, labels, value })
}

/// Checks the `bucket` values of a view: one bucket number serves all series of an entry, so all must be buckets of as many bounds.
fn check_buckets(place: &str, feeds: &[Feed], families: &[Family]) -> Checked<()> {
    let is_bucket = |feed: &Feed| matches!(feed.value, Value::Bucket(_));
    if !feeds.iter().any(is_bucket) {
        return Ok(());
    }
    require(
        feeds.iter().all(is_bucket),
        ManifestRule::Value,
        place,
        "`bucket` beside other values",
        "all series of the view to be `bucket`",
    )?;
    let mut counts = feeds.iter().map(|feed| bounds(&families[feed.family]).len());
    let first = counts.next();
    require(
        counts.all(|count| Some(count) == first),
        ManifestRule::Value,
        place,
        "families of differently many bounds",
        "equally many",
    )
}
