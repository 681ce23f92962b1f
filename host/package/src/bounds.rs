//! `bounds:` of the settings: the histogram bounds that an operator wants exposed, by family or by unit.
//!
//! ```yaml
//! bounds: { seconds: [0.000128, 0.002048, 0.016384, 0.131072, 1.048576] }
//! plugins:
//!   biolatency: { bounds: { bio_latency_seconds: [0.000512, 0.002048, 0.032768] } }
//! ```
//!
//! Which bounds a family can have is known when its component has described itself; this module only says which are wanted.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Diagnostic, options::shown, settings::Setting};
use ebhost_limits as limits;

/// The bounds that an operator wants for the histograms of one package.
#[derive(Debug, Clone, Default)]
pub struct ChosenBounds {
    /// Bounds for this package, by family or unit.
    pub(super) own: BTreeMap<String, WantedBounds>,
    /// Bounds for all packages, by family or unit.
    pub(super) all: BTreeMap<String, WantedBounds>,
}

/// A list of bounds, and where it was set.
#[derive(Debug, Clone)]
pub struct WantedBounds {
    bounds: Vec<f64>,
    setting: Setting,
}

impl ChosenBounds {
    /// The bounds that are wanted for a histogram of this package, which takes precedence over [`common`](Self::common). The family's name
    /// is without the namespace.
    pub fn own(&self, family: &str, unit: &str) -> Option<&WantedBounds> {
        find(&self.own, family, unit)
    }

    /// The bounds that are wanted for this histogram among those of all packages. A histogram need not have all of them.
    pub fn common(&self, family: &str, unit: &str) -> Option<&WantedBounds> {
        find(&self.all, family, unit)
    }

    /// Keys of the package's own setting that are none of its histograms and none of their units, with the fault at their line.
    ///
    /// # Errors
    /// The first such key.
    pub fn check_keys<'a>(
        &self,
        histograms: impl Iterator<Item = (&'a str, &'a str)> + Clone,
    ) -> Result<(), Diagnostic> {
        let is_known = |key: &str| histograms.clone().any(|(family, unit)| key == family || key == unit);
        match self.own.iter().find(|(key, _)| !is_known(key)) {
            None => Ok(()),
            Some((key, wanted)) => {
                let names: Vec<_> = histograms.map(|(family, _)| family).collect();
                let expected =
                    if names.is_empty() { "none, for it has no histogram".to_owned() } else { names.join(", ") };
                Err(wanted.fault(format!(
                    "found bounds of `{key}`, expected those of a histogram of this package or of its unit: {expected}"
                )))
            }
        }
    }

    /// All that is wanted, as a text: equal texts if and only if nothing of it differs.
    pub(super) fn digest_text(&self) -> String {
        let lists = |from: &BTreeMap<String, WantedBounds>| {
            from.iter().map(|(key, wanted)| format!("{key}{:?}", wanted.bounds)).collect::<Vec<_>>().join(" ")
        };
        format!("{} / {}", lists(&self.own), lists(&self.all))
    }
}

/// A family's setting takes precedence over its unit's.
fn find<'a>(from: &'a BTreeMap<String, WantedBounds>, family: &str, unit: &str) -> Option<&'a WantedBounds> {
    from.get(family).or_else(|| from.get(unit))
}

impl WantedBounds {
    /// The bounds, ascending and finite, at least one.
    pub fn bounds(&self) -> &[f64] {
        &self.bounds
    }

    /// A message about this setting, at its line.
    pub fn fault(&self, message: String) -> Diagnostic {
        self.setting.fault(message)
    }

    /// Reads a list of bounds.
    ///
    /// # Errors
    /// No list, an empty or too long one, an item that is no finite number, or one that is not above the one before.
    pub(super) fn read(setting: Setting) -> Result<Self, Diagnostic> {
        let expected = "expected a list of ascending numbers, such as [0.001024, 0.016384]";
        let Value::Array(items) = &setting.value else {
            return Err(setting.fault(format!("found `{}`, {expected}", shown(&setting.value))));
        };
        if items.is_empty() || items.len() > limits::MANIFEST_BOUNDS {
            let found = items.len();
            return Err(setting.fault(format!("found {found} bounds, expected 1 to {}", limits::MANIFEST_BOUNDS)));
        }
        let mut bounds: Vec<f64> = Vec::with_capacity(items.len());
        for item in items {
            let bound = item.as_f64().filter(|bound| bound.is_finite());
            let bound = bound.filter(|bound| bounds.last().is_none_or(|before| bound > before));
            bounds.push(bound.ok_or_else(|| setting.fault(format!("found the bound `{}`, {expected}", shown(item))))?);
        }
        Ok(Self { bounds, setting })
    }
}

/// Reads `bounds:`, a mapping from families and units to lists.
///
/// # Errors
/// The first list that is none.
pub(super) fn read(
    settings: impl Iterator<Item = (String, Setting)>,
    into: &mut BTreeMap<String, WantedBounds>,
) -> Result<(), Diagnostic> {
    for (key, setting) in settings {
        into.insert(key, WantedBounds::read(setting)?);
    }
    Ok(())
}
