//! A manifest becomes a schema, or a refusal that says what was found, what was expected and where.
//!
//! Every rule of the contract about what a plugin *is* is checked here, once, at load; a scrape checks none of them.

use std::collections::{BTreeMap, BTreeSet};

use super::contract::{self as wit, Kind as WitKind, Label, Manifest, Value as WitValue};
use super::instance::plain;
use crate::{
    limits,
    package::Dialect,
    series::schema::{
        Bucket, Family, Feed, Field, Fold, Kind, LabelSource, Lookup, NativeSlots, Number, Part, Schema, Slots,
        SourceShape, Value, View,
    },
    tables::LookupTable,
};

/// A manifest that cannot be taken: the place in it, what was found, what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("manifest, {place}: found {found}, expected {expected}")]
pub struct ManifestError {
    place: String,
    found: String,
    expected: String,
    rule: Rule,
}

/// Which rule a manifest broke, for whoever says what to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Families, views and series that there must be.
    Present,
    /// How many of a thing there may be.
    Most,
    /// Names of families, samples, units and labels.
    Name,
    /// `times` and `per`.
    Scale,
    Bounds,
    Source,
    /// Sizes of keys and values.
    Size,
    Identity,
    Lookup,
    Grant,
    /// A series' labels and where they come from.
    Labels,
    /// A series' value and its family's kind.
    Value,
    /// Where in the value numbers lie.
    Number,
}

impl ManifestError {
    pub fn rule(&self) -> Rule {
        self.rule
    }
}

/// What a manifest is held against.
#[derive(Debug)]
pub struct Context<'a> {
    pub sources: &'a BTreeMap<String, SourceShape>,
    pub grants: &'a [LookupTable],
    pub dialect: Dialect,
}

type Checked<T> = Result<T, ManifestError>;

fn refuse<T>(rule: Rule, place: &str, found: impl Into<String>, expected: impl Into<String>) -> Checked<T> {
    // Parts of it are the guest's own words, which may be long and may move a terminal's cursor.
    let shown = |text: String| plain(text.chars().take(limits::LOG_BYTES / 4).collect());
    let (place, found, expected) = (shown(place.to_owned()), shown(found.into()), shown(expected.into()));
    Err(ManifestError { place, found, expected, rule })
}

fn require(holds: bool, rule: Rule, place: &str, found: impl Into<String>, expected: impl Into<String>) -> Checked<()> {
    if holds { Ok(()) } else { refuse(rule, place, found, expected) }
}

/// Checks a manifest whole.
pub(super) fn check(manifest: Manifest, context: &Context<'_>) -> Checked<Schema> {
    require(!manifest.families.is_empty(), Rule::Present, "families", "none", "at least one")?;
    require(!manifest.views.is_empty(), Rule::Present, "views", "none", "at least one")?;
    at_most("families", "", manifest.families.len(), limits::MANIFEST_FAMILIES)?;
    at_most("views", "", manifest.views.len(), limits::MANIFEST_VIEWS)?;
    manifest.families.iter().try_for_each(check_size)?;
    let families = manifest.families.into_iter().map(|one| family(one, context.dialect));
    let families = families.collect::<Checked<Vec<_>>>()?;
    check_sample_names(&families)?;
    let views = manifest
        .views
        .into_iter()
        .enumerate()
        .map(|(index, view)| check_view(index, view, &families, context))
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

/// Sizes first: what is too large is not even shown.
fn check_size(family: &wit::Family) -> Checked<()> {
    at_most("a family", " bytes of name", family.name.len(), limits::MANIFEST_TEXT_BYTES)?;
    let place = format!("family `{}`", family.name);
    at_most(&place, " bytes of help", family.help.len(), limits::MANIFEST_TEXT_BYTES)?;
    at_most(&place, " bytes of unit", family.unit.len(), limits::MANIFEST_TEXT_BYTES)?;
    at_most(&place, " labels", family.labels.len(), limits::MANIFEST_LABELS)?;
    let longest = family.labels.iter().map(String::len).max().unwrap_or(0);
    at_most(&place, " bytes of a label name", longest, limits::MANIFEST_TEXT_BYTES)?;
    match &family.kind {
        WitKind::Histogram(bounds) => at_most(&place, " bounds", bounds.len(), limits::MANIFEST_BOUNDS),
        WitKind::Counter | WitKind::Gauge(_) => Ok(()),
    }
}

fn at_most(place: &str, what: &str, found: usize, most: usize) -> Checked<()> {
    require(found <= most, Rule::Most, place, format!("{found}{what}"), format!("at most {most}"))
}

fn family(family: wit::Family, dialect: Dialect) -> Checked<Family> {
    let place = format!("family `{}`", family.name);
    let name = &family.name;
    let name_rule = "letters, digits and `_`, not beginning with a digit or `__`";
    require(is_name(name), Rule::Name, &place, "that name", name_rule)?;
    let kind = kind(&place, family.kind)?;
    let is_counter = matches!(kind, Kind::Counter);
    let counter_rule = "a counter's name to end in `_total`, and no other's";
    let is_well_ended = dialect == Dialect::Peer || name.ends_with("_total") == is_counter;
    require(is_well_ended, Rule::Name, &place, "that name", counter_rule)?;
    let base = name.strip_suffix("_total").unwrap_or(name);
    let unit_rule = format!("a name that ends with its unit: `…_{}`", family.unit);
    let has_unit = family.unit.is_empty() || base.ends_with(&format!("_{}", family.unit));
    require(
        has_unit && (family.unit.is_empty() || is_name(&family.unit)),
        Rule::Name,
        &place,
        format!("unit `{}`", family.unit),
        unit_rule,
    )?;
    for (index, label) in family.labels.iter().enumerate() {
        let is_free = !matches!(label.as_str(), "le" | "quantile");
        let rule = "letters, digits and `_`, not beginning with a digit or `__`, not `le` or `quantile`";
        require(is_free && is_name(label), Rule::Name, &place, format!("the label name `{label}`"), rule)?;
        require(
            !family.labels[..index].contains(label),
            Rule::Name,
            &place,
            format!("the label `{label}` twice"),
            "it once",
        )?;
    }
    for (what, factor) in [("times", family.times), ("per", family.per)] {
        let is_factor = factor.is_finite() && factor > 0.0;
        require(
            is_factor,
            Rule::Scale,
            &place,
            format!("{what} = {factor}"),
            "a finite number above 0 (1 for no scaling)",
        )?;
    }
    Ok(Family {
        name: family.name,
        help: family.help,
        unit: family.unit,
        labels: family.labels,
        kind,
        times: family.times,
        per: family.per,
    })
}

fn kind(place: &str, kind: WitKind) -> Checked<Kind> {
    Ok(match kind {
        WitKind::Counter => Kind::Counter,
        WitKind::Gauge(fold) => Kind::Gauge(match fold {
            wit::Fold::Sum => Fold::Sum,
            wit::Fold::Min => Fold::Min,
            wit::Fold::Max => Fold::Max,
        }),
        WitKind::Histogram(bounds) => {
            require(!bounds.is_empty(), Rule::Bounds, place, "no bounds", "at least one upper bound")?;
            let faulty = bounds.windows(2).find(|pair| pair[0] >= pair[1]).map(|pair| (pair[0], pair[1]));
            let finite = bounds.iter().all(|bound| bound.is_finite());
            require(finite, Rule::Bounds, place, "a bound that is not finite", "finite bounds; +Inf is the host's")?;
            if let Some((before, after)) = faulty {
                return refuse(Rule::Bounds, place, format!("the bound {after} after {before}"), "ascending bounds");
            }
            Kind::Histogram(bounds)
        }
    })
}

/// No two families may print a sample of one name: `x_count` beside a histogram `x` would.
fn check_sample_names(families: &[Family]) -> Checked<()> {
    let mut owners: BTreeMap<String, &str> = BTreeMap::new();
    for family in families {
        for sample in sample_names(family) {
            if let Some(owner) = owners.insert(sample.clone(), &family.name) {
                let place = format!("family `{}`", family.name);
                let found = format!("the sample name `{sample}`, which family `{owner}` prints already");
                return refuse(Rule::Name, &place, found, "each sample name in one family");
            }
        }
    }
    Ok(())
}

/// The names of the samples that a family prints, and its own, in text and in OpenMetrics.
pub fn sample_names(family: &Family) -> BTreeSet<String> {
    let name = &family.name;
    match family.kind {
        Kind::Counter => BTreeSet::from([name.clone(), name.trim_end_matches("_total").to_owned()]),
        Kind::Gauge(_) => BTreeSet::from([name.clone()]),
        Kind::Histogram(_) => {
            ["", "_bucket", "_count", "_sum"].iter().map(|suffix| format!("{name}{suffix}")).collect()
        }
    }
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.starts_with("__")
}

fn check_view(index: usize, view: wit::View, families: &[Family], context: &Context<'_>) -> Checked<View> {
    let place = format!("view {index} (`{}`)", view.source);
    at_most(&place, " identity fields", view.identity.len(), limits::MANIFEST_LABELS)?;
    at_most(&place, " lookups", view.lookups.len(), limits::MANIFEST_LABELS)?;
    at_most(&place, " columns", view.columns as usize, limits::MANIFEST_LABELS)?;
    at_most(&place, " series", view.series.len(), limits::MANIFEST_FAMILIES)?;
    let Some(shape) = context.sources.get(&view.source).copied() else {
        let has: Vec<_> = context.sources.keys().map(String::as_str).collect();
        let has = if has.is_empty() { "a source, but this package has none".to_owned() } else { has.join(", ") };
        return refuse(
            Rule::Source,
            &place,
            format!("the source `{}`", view.source),
            format!("a map of the BPF object or a source under `perf` in plugin.yaml: {has}"),
        );
    };
    let (key_size, value_size) = (view.key_size as usize, view.value_size as usize);
    check_sizes(&place, shape, key_size, value_size)?;
    let identity = identity(&place, shape, key_size, value_size, &view.identity)?;
    let lookups = lookups(&place, &identity, view.lookups, context.grants)?;
    require(!view.series.is_empty(), Rule::Present, &place, "no series", "at least one")?;
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
                Rule::Size,
                place,
                format!("key-size {key_size}"),
                format!("{key}, as the map has it"),
            )?;
            require(
                value_size == value,
                Rule::Size,
                place,
                format!("value-size {value_size}"),
                format!("{value}, as the map has it"),
            )
        }
        SourceShape::Events { .. } => {
            require(key_size == 0, Rule::Size, place, format!("key-size {key_size}"), "0: events have no key")
        }
    }
}

fn identity(
    place: &str,
    shape: SourceShape,
    key_size: usize,
    value_size: usize,
    fields: &[wit::Field],
) -> Checked<Vec<Field>> {
    let check = |(index, field): (usize, &wit::Field)| {
        let place = format!("{place}, identity field {index}");
        let (offset, length) = (field.offset as usize, field.length as usize);
        let (part, size) = match field.part {
            wit::Part::Key => (Part::Key, key_size),
            wit::Part::Value => (Part::Value, value_size),
        };
        if part == Part::Value && matches!(shape, SourceShape::PerCpuTable { .. }) {
            return refuse(
                Rule::Identity,
                &place,
                "bytes of the value",
                "bytes of the key: a per-CPU map has a value for each CPU",
            );
        }
        let fits = length > 0 && offset.checked_add(length).is_some_and(|end| end <= size);
        let found = format!("bytes {offset} to {}", offset.saturating_add(length));
        require(
            fits,
            Rule::Identity,
            &place,
            found,
            format!("1 or more bytes within the {size} of the {part:?}").to_lowercase(),
        )?;
        Ok(Field { part, offset, length })
    };
    fields.iter().enumerate().map(check).collect()
}

fn lookups(place: &str, identity: &[Field], lookups: Vec<wit::Lookup>, grants: &[LookupTable]) -> Checked<Vec<Lookup>> {
    let check = |lookup: wit::Lookup| {
        let place = format!("{place}, lookup in `{}`", lookup.table);
        let Some(table) = LookupTable::named(&lookup.table) else {
            return refuse(
                Rule::Lookup,
                &place,
                "a table that does not exist",
                format!("one of {}", LookupTable::names()),
            );
        };
        let granted: Vec<_> = grants.iter().map(|grant| grant.name()).collect();
        let expected = format!("a granted table; add `grants: [{}]` to plugin.yaml to grant it", lookup.table);
        require(
            grants.contains(&table),
            Rule::Grant,
            &place,
            format!("the grants [{}]", granted.join(", ")),
            expected,
        )?;
        let field = lookup.field as usize;
        let Some(bytes) = identity.get(field).map(|field| field.length) else {
            return refuse(
                Rule::Lookup,
                &place,
                format!("identity field {field}"),
                format!("one below {}", identity.len()),
            );
        };
        require(
            table.takes(bytes),
            Rule::Lookup,
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
    series: wit::Series,
    shape: SourceShape,
    value_size: usize,
    columns: usize,
    families: &[Family],
) -> Checked<Feed> {
    let Some(family) = families.get(series.family as usize) else {
        return refuse(
            Rule::Labels,
            place,
            format!("family {}", series.family),
            format!("one below {}", families.len()),
        );
    };
    let place = format!("{place}, series of `{}`", family.name);
    let (found, expected) = (series.labels.len(), family.labels.len());
    require(
        found == expected,
        Rule::Labels,
        &place,
        format!("{found} labels"),
        format!("{expected}, as the family has"),
    )?;
    let label = |label: Label| {
        Ok(match label {
            Label::Column(column) => {
                let expected = format!("one below the view's {columns}");
                require((column as usize) < columns, Rule::Labels, &place, format!("column {column}"), expected)?;
                LabelSource::Column(column as usize)
            }
            Label::Fixed(text) => LabelSource::Fixed(text),
            Label::Cpu => {
                let has_cpus = !matches!(shape, SourceShape::Table { .. } | SourceShape::Events { know_cpu: false });
                require(
                    has_cpus,
                    Rule::Labels,
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

fn value(place: &str, value: WitValue, family: &Family, shape: SourceShape, value_size: usize) -> Checked<Value> {
    let is_events = matches!(shape, SourceShape::Events { .. });
    let suits = match (&value, &family.kind) {
        (WitValue::One, Kind::Counter) => is_events,
        (WitValue::One | WitValue::Number(_), Kind::Gauge(_)) | (WitValue::Number(_), Kind::Counter) => true,
        (WitValue::Observation(_), Kind::Histogram(_)) => is_events,
        (WitValue::Slots(_) | WitValue::NativeSlots(_) | WitValue::Bucket(_), Kind::Histogram(_)) => !is_events,
        _ => false,
    };
    let expected = match &family.kind {
        Kind::Counter => "`number`, or of events `one`, for a counter",
        Kind::Gauge(_) => "`number` or `one` for a gauge",
        Kind::Histogram(_) => "`slots`, `native-slots` or `bucket`, of events `observation`, for a histogram",
    };
    require(suits, Rule::Value, place, format!("the value `{}`", value_name(&value)), expected)?;
    let is_gauge = matches!(family.kind, Kind::Gauge(_));
    let sum = |sum: Option<wit::Number>| sum.map(|sum| number(place, sum, value_size, Signs::Unsigned)).transpose();
    Ok(match value {
        WitValue::One => Value::One,
        WitValue::Number(field) => {
            Value::Number(number(place, field, value_size, if is_gauge { Signs::Any } else { Signs::Unsigned })?)
        }
        WitValue::Observation(field) => Value::Observation(number(place, field, value_size, Signs::Any)?),
        WitValue::Slots(slots) => {
            let count = bounds(family).len() + 1;
            let size = slots.size as usize;
            require(matches!(size, 4 | 8), Rule::Value, place, format!("slots of {size} bytes"), "4 or 8")?;
            check_run(place, slots.offset as usize, size, count, value_size)?;
            Value::Slots(Slots { offset: slots.offset as usize, size, sum: sum(slots.sum)? })
        }
        WitValue::NativeSlots(slots) => native_slots(place, &slots, family, value_size, sum(slots.sum)?)?,
        WitValue::Bucket(bucket) => Value::Bucket(Bucket {
            count: number(place, bucket.count, value_size, Signs::Unsigned)?,
            sum: sum(bucket.sum)?,
        }),
    })
}

#[derive(Clone, Copy)]
enum Signs {
    Any,
    Unsigned,
}

fn number(place: &str, number: wit::Number, value_size: usize, signs: Signs) -> Checked<Number> {
    let (offset, size) = (number.offset as usize, number.size as usize);
    require(matches!(size, 1 | 2 | 4 | 8), Rule::Number, place, format!("a number of {size} bytes"), "1, 2, 4 or 8")?;
    check_run(place, offset, size, 1, value_size)?;
    let is_legal = matches!(signs, Signs::Any) || !number.is_signed;
    require(
        is_legal,
        Rule::Number,
        place,
        "a signed number",
        "an unsigned one: only gauges and observations fall below 0",
    )?;
    Ok(Number { offset, size, is_signed: number.is_signed })
}

fn check_run(place: &str, offset: usize, size: usize, count: usize, value_size: usize) -> Checked<()> {
    let end = size.checked_mul(count).and_then(|bytes| bytes.checked_add(offset));
    let found = format!("{count} × {size} bytes from byte {offset}");
    require(
        end.is_some_and(|end| end <= value_size),
        Rule::Number,
        place,
        found,
        format!("bytes within the value's {value_size}"),
    )
}

fn native_slots(
    place: &str,
    slots: &wit::NativeSlots,
    family: &Family,
    value_size: usize,
    sum: Option<Number>,
) -> Checked<Value> {
    let (schema, first, count) = (slots.schema, slots.first, slots.count as usize);
    require(
        (-4..=8).contains(&schema),
        Rule::Value,
        place,
        format!("schema {schema}"),
        "-4 to 8, as Prometheus has them",
    )?;
    require((1..=65_536).contains(&count), Rule::Value, place, format!("{count} native buckets"), "1 to 65536")?;
    check_run(place, slots.offset as usize, 8, count + 2, value_size)?;
    let width = 2f64.powi(-i32::from(schema));
    let ends = [f64::from(first) - 1.0, f64::from(first) + count as f64 - 1.0].map(|index| (index * width).exp2());
    let found = format!("native buckets from {} to {}", ends[0], ends[1]);
    require(ends[0].is_normal() && ends[1].is_finite(), Rule::Value, place, found, "ends that are numbers above 0")?;
    for bound in bounds(family) {
        let index = bound.log2() / width;
        let is_end = (index - index.round()).abs() < 1e-6
            && index.round() >= f64::from(first) - 1.0
            && index.round() < f64::from(first) + count as f64;
        require(
            is_end,
            Rule::Bounds,
            place,
            format!("the bound {bound}"),
            "bounds that are ends of its native buckets",
        )?;
    }
    Ok(Value::NativeSlots(NativeSlots { offset: slots.offset as usize, schema, first, count, sum }))
}

fn bounds(family: &Family) -> &[f64] {
    match &family.kind {
        Kind::Histogram(bounds) => bounds,
        Kind::Counter | Kind::Gauge(_) => &[],
    }
}

/// One bucket number serves all series of an entry, so they must all be buckets, of equally many bounds.
fn check_buckets(place: &str, feeds: &[Feed], families: &[Family]) -> Checked<()> {
    let is_bucket = |feed: &Feed| matches!(feed.value, Value::Bucket(_));
    if !feeds.iter().any(is_bucket) {
        return Ok(());
    }
    require(
        feeds.iter().all(is_bucket),
        Rule::Value,
        place,
        "`bucket` beside other values",
        "all series of the view to be `bucket`",
    )?;
    let mut counts = feeds.iter().map(|feed| bounds(&families[feed.family]).len());
    let first = counts.next();
    require(
        counts.all(|count| Some(count) == first),
        Rule::Value,
        place,
        "families of differently many bounds",
        "equally many",
    )
}

fn value_name(value: &WitValue) -> &'static str {
    match value {
        WitValue::One => "one",
        WitValue::Number(_) => "number",
        WitValue::Observation(_) => "observation",
        WitValue::Slots(_) => "slots",
        WitValue::NativeSlots(_) => "native-slots",
        WitValue::Bucket(_) => "bucket",
    }
}

#[cfg(test)]
mod tests;
