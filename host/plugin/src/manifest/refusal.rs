//! How a manifest is refused: with the place in it, what was found and what was expected.

use super::super::instance::plain;
use ebhost_limits as limits;

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

pub(super) type Checked<T> = Result<T, ManifestError>;

pub(super) fn refuse<T>(rule: Rule, place: &str, found: impl Into<String>, expected: impl Into<String>) -> Checked<T> {
    // Parts of it are the guest's own words, which may be long and may move a terminal's cursor.
    let shown = |text: String| plain(text.chars().take(limits::LOG_BYTES / 4).collect());
    let (place, found, expected) = (shown(place.to_owned()), shown(found.into()), shown(expected.into()));
    Err(ManifestError { place, found, expected, rule })
}

pub(super) fn require(
    holds: bool,
    rule: Rule,
    place: &str,
    found: impl Into<String>,
    expected: impl Into<String>,
) -> Checked<()> {
    if holds { Ok(()) } else { refuse(rule, place, found, expected) }
}

pub(super) fn at_most(place: &str, what: &str, found: usize, most: usize) -> Checked<()> {
    require(found <= most, Rule::Most, place, format!("{found}{what}"), format!("at most {most}"))
}
