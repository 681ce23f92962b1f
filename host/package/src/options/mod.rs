//! Options: the variants that a package's author offers its operators.
//!
//! A `plugin.yaml` declares each option with its type, default and meaning, and refers to its value as `$NAME` in `bpf.globals`,
//! `bpf.max_entries` and `config`; `when` says what a value changes beside that. An operator chooses values in the settings file
//! ([`crate::Settings`]) and never edits the package. One choice sets everything that has to agree, so that a combination which is
//! half set cannot be expressed. This module knows no file: whoever calls it adds the place to its messages.

mod kind;
mod overlay;
mod template;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

pub use kind::OptionKind;
pub(super) use kind::shown;
pub use kind::truth;
pub(super) use overlay::{Overlay, Overlays, Section};
pub(super) use template::{Settable, Values, references, substitute};

use super::located::Tree;

/// One option of a package, as its `plugin.yaml` declares it.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "RawOption")]
pub struct PackageOption {
    pub kind: OptionKind,
    /// The value without a setting, of the option's type.
    pub default: Value,
    pub help: String,
    /// The cost of the option, as the author measured it; empty: none is stated.
    pub cost: String,
    /// Further changes that a value makes, by the value's text.
    when: BTreeMap<String, Overlay>,
}

/// Options by name.
pub type PackageOptions = BTreeMap<String, PackageOption>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOption {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    values: Vec<String>,
    min: Option<i64>,
    max: Option<i64>,
    default: Tree,
    help: String,
    #[serde(default)]
    cost: String,
    #[serde(default)]
    when: BTreeMap<String, Overlay>,
}

impl TryFrom<RawOption> for PackageOption {
    type Error = String;

    fn try_from(raw: RawOption) -> Result<Self, String> {
        let kind = OptionKind::declared(&raw.kind, raw.values, raw.min, raw.max)?;
        let default = kind.check(&raw.default.0).map_err(|fault| format!("the default: {fault}"))?;
        if raw.help.trim().is_empty() {
            return Err("found no `help`, expected a sentence about what the option does".to_owned());
        }
        for value in raw.when.keys() {
            kind.check_choice(value).map_err(|fault| format!("`when`: {fault}"))?;
        }
        Ok(Self { kind, default, help: raw.help, cost: raw.cost, when: raw.when })
    }
}

impl PackageOption {
    /// Whether a value of it changes anything beside the places that name it.
    pub(crate) fn changes_anything(&self) -> bool {
        !self.when.is_empty()
    }

    /// Changes that this value makes beside the places that refer to the option.
    pub(super) fn overlay(&self, value: &Value) -> Option<&Overlay> {
        self.when.get(&kind::text_of(value))
    }

    /// The options that its overlays refer to, whatever is chosen.
    pub(super) fn references(&self) -> Vec<String> {
        self.when.values().flat_map(Overlay::references).collect()
    }
}

/// Names that an option cannot have, because settings of a package have other meanings for them.
const TAKEN: [&str; 4] = ["bounds", "enabled", "limits", "until"];

/// Checks the names of the options.
///
/// # Errors
/// The name of an option, and why it cannot be called so.
pub(super) fn check_names(options: &PackageOptions) -> Result<(), (String, String)> {
    for name in options.keys() {
        let is_plain = name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(template::is_name_char);
        if !is_plain || TAKEN.contains(&name.as_str()) {
            let message = format!(
                "found the option `{name}`, expected a lower-case letter, then lower-case letters, digits or `_`, and not `bounds`, \
                 `enabled`, `limits` or `until`"
            );
            return Err((name.clone(), message));
        }
    }
    Ok(())
}
