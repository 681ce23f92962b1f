//! Errors of manifests: the place, what was found there and what was expected.

use ebhost_limits as limits;
use ebhost_telemetry::one_line;

/// A rule that a manifest breaks: where, what was found and what was expected. [`ManifestError::rule`] tells which rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("manifest, {place}: found {found}, expected {expected}")]
pub struct ManifestError {
    place: String,
    found: String,
    expected: String,
    rule: ManifestRule,
}

/// The rules of a manifest, for advice on how to fix it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManifestRule {
    /// Families, views and series that must not be missing.
    Present,
    /// Maximum numbers and lengths.
    Most,
    /// Names of families, samples, units and labels.
    Name,
    /// `times` and `per`.
    Scale,
    /// Bounds of histograms.
    Bounds,
    /// Names of sources.
    Source,
    /// Sizes of keys and values.
    Size,
    /// Identity bytes within the key or value.
    Identity,
    /// Lookup tables and the fields that they take.
    Lookup,
    /// Lookup tables that plugin.yaml must grant.
    Grant,
    /// A series' labels and their sources.
    Labels,
    /// A series' value, which must suit its family's kind.
    Value,
    /// Position and size of numbers within the value.
    Number,
}

impl ManifestError {
    /// The rule that was broken.
    pub fn rule(&self) -> ManifestRule {
        self.rule
    }
}

/// A checked part of a manifest.
pub(super) type Checked<T> = Result<T, ManifestError>;

/// An error about `place`.
pub(super) fn refuse<T>(
    rule: ManifestRule,
    place: &str,
    found: impl Into<String>,
    expected: impl Into<String>,
) -> Checked<T> {
    // Parts of it are the guest's own text, which may be long and may move a terminal's cursor.
    let shown = |text: &str| one_line(text, limits::LOG_BYTES);
    let (place, found, expected) = (shown(place), shown(&found.into()), shown(&expected.into()));
    Err(ManifestError { place, found, expected, rule })
}

/// An error about `place` unless `holds`.
pub(super) fn require(
    holds: bool,
    rule: ManifestRule,
    place: &str,
    found: impl Into<String>,
    expected: impl Into<String>,
) -> Checked<()> {
    if holds { Ok(()) } else { refuse(rule, place, found, expected) }
}

/// An error about `place` if there are more than `most`.
pub(super) fn at_most(place: &str, what: &str, found: usize, most: usize) -> Checked<()> {
    require(found <= most, ManifestRule::Most, place, format!("{found}{what}"), format!("at most {most}"))
}
