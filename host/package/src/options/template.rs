//! References to options: `$NAME` in a value of `plugin.yaml` stands for what was chosen.

use std::collections::BTreeMap;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};
use serde_json::Value;

use super::kind;
use crate::located::Tree;

/// The chosen value of each option.
pub(crate) type Values = BTreeMap<String, Value>;

/// A value, or a text with references that becomes one.
#[derive(Debug, Clone)]
pub(crate) enum Settable<T> {
    Value(T),
    Template(String),
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Settable<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Tree(value) = Tree::deserialize(from)?;
        match value {
            Value::String(text) if text.contains('$') => Ok(Self::Template(text)),
            value => serde_json::from_value(value).map(Self::Value).map_err(D::Error::custom),
        }
    }
}

impl<T: DeserializeOwned> Settable<T> {
    /// The value with these choices.
    pub(crate) fn resolve(self, values: &Values) -> Result<T, String> {
        match self {
            Self::Value(value) => Ok(value),
            Self::Template(text) => {
                let value = substitute(Value::String(text), values)?;
                serde_json::from_value(value).map_err(|fault| fault.to_string())
            }
        }
    }
}

impl<T> Settable<T> {
    /// The options that it refers to.
    pub(crate) fn references(&self) -> Vec<String> {
        match self {
            Self::Value(_) => Vec::new(),
            Self::Template(text) => names(text),
        }
    }
}

pub(super) fn is_name_char(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'
}

/// A part of a text: as it is, or the name of an option.
enum Part<'a> {
    Text(&'a str),
    Option(&'a str),
}

/// Splits a text at its references. `$$` is a `$`, and so is one without a name after it.
fn parts(text: &str) -> Vec<Part<'_>> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some((before, after)) = rest.split_once('$') {
        let end = after.find(|c| !is_name_char(c)).unwrap_or(after.len());
        parts.push(Part::Text(before));
        rest = match after.strip_prefix('$') {
            Some(after) => {
                parts.push(Part::Text("$"));
                after
            }
            None if end == 0 => {
                parts.push(Part::Text("$"));
                after
            }
            None => {
                parts.push(Part::Option(&after[..end]));
                &after[end..]
            }
        };
    }
    parts.push(Part::Text(rest));
    parts.retain(|part| !matches!(part, Part::Text("")));
    parts
}

fn names(text: &str) -> Vec<String> {
    let name = |part| if let Part::Option(name) = part { Some(name.to_owned()) } else { None };
    parts(text).into_iter().filter_map(name).collect()
}

/// The options that a value refers to, anywhere in it.
pub(crate) fn references(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => names(text),
        Value::Array(items) => items.iter().flat_map(references).collect(),
        Value::Object(map) => map.values().flat_map(references).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

/// Puts the chosen values in the place of references. A text that is nothing but a reference takes the value's type.
///
/// # Errors
/// A reference to an option that is not declared, or to a list in the middle of a text.
pub(crate) fn substitute(value: Value, values: &Values) -> Result<Value, String> {
    match value {
        Value::String(text) => substitute_text(&text, values),
        Value::Array(items) => items.into_iter().map(|item| substitute(item, values)).collect(),
        Value::Object(map) => {
            let entry = |(key, value)| Ok((key, substitute(value, values)?));
            map.into_iter().map(entry).collect::<Result<serde_json::Map<_, _>, String>>().map(Value::Object)
        }
        value => Ok(value),
    }
}

fn substitute_text(text: &str, values: &Values) -> Result<Value, String> {
    let chosen = |name: &str| {
        let declared = || values.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        values.get(name).ok_or_else(|| format!("found `${name}`, expected an option of this package: {}", declared()))
    };
    let parts = parts(text);
    if let [Part::Option(name)] = parts[..] {
        return chosen(name).cloned();
    }
    let mut whole = String::new();
    for part in parts {
        match part {
            Part::Text(text) => whole.push_str(text),
            Part::Option(name) => match chosen(name)? {
                Value::Array(_) => return Err(format!("found the list `${name}` within a text, expected it alone")),
                value => whole.push_str(&kind::text_of(value)),
            },
        }
    }
    Ok(Value::String(whole))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn values() -> Values {
        [("native", json!(true)), ("banks", json!(128)), ("disks", json!(["sda"]))]
            .map(|(name, value)| (name.to_owned(), value))
            .into()
    }

    #[test]
    fn a_reference_alone_takes_the_type_and_one_within_a_text_the_text() {
        let config = json!({"a": "$native", "b": ["$disks", "$banks per cpu"], "c": "$$banks", "d": "5 $", "e": 7});
        let expected = json!({"a": true, "b": [["sda"], "128 per cpu"], "c": "$banks", "d": "5 $", "e": 7});
        assert_eq!(references(&config), ["native", "disks", "banks"]);
        assert_eq!(substitute(config, &values()), Ok(expected));
    }

    #[test]
    fn what_cannot_be_put_in_is_named() {
        let fault = substitute(json!("$bank"), &values()).unwrap_err();
        assert_eq!(fault, "found `$bank`, expected an option of this package: banks, disks, native");
        let fault = substitute(json!("x$disks"), &values()).unwrap_err();
        assert_eq!(fault, "found the list `$disks` within a text, expected it alone");
    }
}
