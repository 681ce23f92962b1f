//! Families: their names, units, labels and kinds.

use std::collections::BTreeMap;

use super::error::{Checked, ManifestRule, at_most, refuse, require};
use crate::contract::declared;
use ebhost_limits as limits;
use ebhost_metrics::{Family, Fold, Kind};
use ebhost_package::Compat;

/// Checks lengths and counts, before anything of the family is quoted in an error.
pub(super) fn check_size(family: &declared::Family) -> Checked<()> {
    at_most("a family", " bytes of name", family.name.len(), limits::MANIFEST_TEXT_BYTES)?;
    let place = format!("family `{}`", family.name);
    at_most(&place, " bytes of help", family.help.len(), limits::MANIFEST_TEXT_BYTES)?;
    at_most(&place, " bytes of unit", family.unit.len(), limits::MANIFEST_TEXT_BYTES)?;
    at_most(&place, " labels", family.labels.len(), limits::MANIFEST_LABELS)?;
    let longest = family.labels.iter().map(String::len).max().unwrap_or(0);
    at_most(&place, " bytes of a label name", longest, limits::MANIFEST_TEXT_BYTES)?;
    match &family.kind {
        declared::Kind::Histogram(bounds) => at_most(&place, " bounds", bounds.len(), limits::MANIFEST_BOUNDS),
        declared::Kind::Counter | declared::Kind::Gauge(_) => Ok(()),
    }
}

/// Checks a family whose sizes were checked.
pub(super) fn family(family: declared::Family, compat: Compat) -> Checked<Family> {
    let place = format!("family `{}`", family.name);
    let name = &family.name;
    let name_rule = "letters, digits and `_`, not beginning with a digit or `__`";
    require(is_name(name), ManifestRule::Name, &place, "that name", name_rule)?;
    let kind = kind(&place, family.kind)?;
    let is_counter = matches!(kind, Kind::Counter);
    let counter_rule = "a counter's name to end in `_total`, and no other's";
    let is_well_ended = compat == Compat::EbpfExporter || name.ends_with("_total") == is_counter;
    require(is_well_ended, ManifestRule::Name, &place, "that name", counter_rule)?;
    let base = name.strip_suffix("_total").unwrap_or(name);
    let unit_rule = format!("a name that ends with its unit: `…_{}`", family.unit);
    let has_unit = family.unit.is_empty() || base.ends_with(&format!("_{}", family.unit));
    require(
        has_unit && (family.unit.is_empty() || is_name(&family.unit)),
        ManifestRule::Name,
        &place,
        format!("unit `{}`", family.unit),
        unit_rule,
    )?;
    for (index, label) in family.labels.iter().enumerate() {
        let is_free = !matches!(label.as_str(), "le" | "quantile");
        let rule = "letters, digits and `_`, not beginning with a digit or `__`, not `le` or `quantile`";
        require(is_free && is_name(label), ManifestRule::Name, &place, format!("the label name `{label}`"), rule)?;
        require(
            !family.labels[..index].contains(label),
            ManifestRule::Name,
            &place,
            format!("the label `{label}` twice"),
            "it once",
        )?;
    }
    for (what, factor) in [("times", family.times), ("per", family.per)] {
        let is_factor = factor.is_finite() && factor > 0.0;
        require(
            is_factor,
            ManifestRule::Scale,
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

fn kind(place: &str, kind: declared::Kind) -> Checked<Kind> {
    Ok(match kind {
        declared::Kind::Counter => Kind::Counter,
        declared::Kind::Gauge(fold) => Kind::Gauge(match fold {
            declared::Fold::Sum => Fold::Sum,
            declared::Fold::Min => Fold::Min,
            declared::Fold::Max => Fold::Max,
        }),
        declared::Kind::Histogram(bounds) => {
            require(!bounds.is_empty(), ManifestRule::Bounds, place, "no bounds", "at least one upper bound")?;
            let faulty = bounds.windows(2).find(|pair| pair[0] >= pair[1]).map(|pair| (pair[0], pair[1]));
            let finite = bounds.iter().all(|bound| bound.is_finite());
            require(
                finite,
                ManifestRule::Bounds,
                place,
                "a bound that is not finite",
                "finite bounds; +Inf is the host's",
            )?;
            if let Some((before, after)) = faulty {
                return refuse(
                    ManifestRule::Bounds,
                    place,
                    format!("the bound {after} after {before}"),
                    "ascending bounds",
                );
            }
            Kind::Histogram(bounds)
        }
    })
}

/// Checks that no two families expose samples of one name, as a counter `x_count` and a histogram `x` would.
pub(super) fn check_sample_names(families: &[Family]) -> Checked<()> {
    let mut owners: BTreeMap<String, &str> = BTreeMap::new();
    for family in families {
        for sample in family.sample_names() {
            if let Some(owner) = owners.insert(sample.clone(), &family.name) {
                let place = format!("family `{}`", family.name);
                let found = format!("the sample name `{sample}`, which family `{owner}` prints already");
                return refuse(ManifestRule::Name, &place, found, "each sample name in one family");
            }
        }
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.starts_with("__")
}
