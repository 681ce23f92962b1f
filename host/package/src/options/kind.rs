//! Types of options: which values there are, and what an operator may write for them.

use std::time::Duration;

use serde_json::Value;

use crate::quantity::Time;

/// The values that an option can have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OptionKind {
    Bool,
    /// A whole number between these two, both included.
    Integer {
        min: i64,
        max: i64,
    },
    /// One of these whole numbers.
    Integers(Vec<i64>),
    /// A time, which programs and components get in nanoseconds.
    Time,
    Text,
    /// A list of texts.
    List,
    /// One of these texts.
    Enum(Vec<String>),
}

const KINDS: &str = "bool, integer, time, text, list or enum";

impl OptionKind {
    /// The type that a `plugin.yaml` names, with what belongs to it.
    pub(super) fn declared(
        name: &str,
        values: Vec<String>,
        min: Option<i64>,
        max: Option<i64>,
    ) -> Result<Self, String> {
        if (min.is_some() || max.is_some()) && name != "integer" {
            return Err(format!("found `min` or `max` for the type `{name}`, expected them for an integer only"));
        }
        match (name, values.is_empty()) {
            ("enum", true) => {
                return Err("found no `values`, expected the values of the enum, such as [none, cgroup]".to_owned());
            }
            ("enum", false) | (_, true) => {}
            ("integer", false) if min.is_none() && max.is_none() => return integers(&values),
            ("integer", false) => return Err("found `values` beside `min` or `max`, expected one of them".to_owned()),
            (_, false) => {
                return Err(format!(
                    "found `values` for the type `{name}`, expected them for an enum or an integer only"
                ));
            }
        }
        match name {
            "bool" => Ok(Self::Bool),
            "integer" => match (min.unwrap_or(0), max.unwrap_or(i64::MAX)) {
                (min, max) if min <= max => Ok(Self::Integer { min, max }),
                (min, max) => Err(format!("found `min` {min} above `max` {max}, expected it below")),
            },
            "time" => Ok(Self::Time),
            "text" => Ok(Self::Text),
            "list" => Ok(Self::List),
            "enum" => Ok(Self::Enum(values)),
            other => Err(format!("found the type `{other}`, expected {KINDS}")),
        }
    }

    /// The name of the type, as `plugin.yaml` has it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Integer { .. } | Self::Integers(_) => "integer",
            Self::Time => "time",
            Self::Text => "text",
            Self::List => "list",
            Self::Enum(_) => "enum",
        }
    }

    /// The values that may be written for it.
    pub fn expected(&self) -> String {
        match self {
            Self::Bool => "true or false".to_owned(),
            Self::Integer { min, max: i64::MAX } => format!("a whole number from {min}"),
            Self::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Self::Time => "a time with its unit, such as 50ms (us, ms or s)".to_owned(),
            Self::Text => "a text".to_owned(),
            Self::List => "a list of texts, such as [a, b]".to_owned(),
            Self::Integers(values) => {
                format!("one of {}", values.iter().map(i64::to_string).collect::<Vec<_>>().join(", "))
            }
            Self::Enum(values) => format!("one of {}", values.join(", ")),
        }
    }

    /// The value as programs and components get it: a time in nanoseconds, a list's items as texts.
    ///
    /// # Errors
    /// The value that was found, and those that were expected.
    pub fn check(&self, value: &Value) -> Result<Value, String> {
        let checked = match (self, value) {
            (Self::Bool, Value::Bool(_)) => Some(value.clone()),
            (Self::Bool, Value::String(text)) => truth(text).map(Value::Bool),
            (Self::Integer { min, max }, Value::Number(number)) => {
                number.as_i64().filter(|number| (min..=max).contains(&number)).map(Value::from)
            }
            (Self::Integers(values), Value::Number(number)) => {
                number.as_i64().filter(|number| values.contains(number)).map(Value::from)
            }
            (Self::Time, Value::String(text)) => time(text).map(|time| Value::from(time.as_nanos() as u64)),
            (Self::Text, value) => scalar(value).map(Value::String),
            (Self::List, Value::Array(items)) => {
                items.iter().map(|item| scalar(item).map(Value::String)).collect::<Option<Vec<_>>>().map(Value::Array)
            }
            (Self::Enum(values), value) => scalar(value).filter(|text| values.contains(text)).map(Value::String),
            _ => None,
        };
        checked.ok_or_else(|| format!("found `{}`, expected {}", shown(value), self.expected()))
    }

    /// Whether a key of `when` is a value of this type.
    pub(super) fn check_choice(&self, key: &str) -> Result<(), String> {
        let is_value = match self {
            Self::Bool => matches!(key, "true" | "false"),
            Self::Integer { min, max } => key.parse().is_ok_and(|number| (min..=max).contains(&&number)),
            Self::Integers(values) => key.parse().is_ok_and(|number| values.contains(&number)),
            Self::Enum(values) => values.iter().any(|value| value == key),
            Self::Time | Self::Text | Self::List => false,
        };
        if is_value { Ok(()) } else { Err(format!("found `{key}`, expected {}", self.choices())) }
    }

    fn choices(&self) -> String {
        match self {
            Self::Time | Self::Text | Self::List => format!("no `when` for the type {}", self.name()),
            _ => self.expected(),
        }
    }
}

fn integers(values: &[String]) -> Result<OptionKind, String> {
    let number = |text: &String| text.parse().map_err(|_| format!("found the value `{text}`, expected a whole number"));
    values.iter().map(number).collect::<Result<_, _>>().map(OptionKind::Integers)
}

/// The booleans that people write. YAML 1.1, which many tools still speak, knows these.
pub fn truth(text: &str) -> Option<bool> {
    match text {
        "true" | "on" | "yes" => Some(true),
        "false" | "off" | "no" => Some(false),
        _ => None,
    }
}

fn time(text: &str) -> Option<Duration> {
    serde_json::from_value::<Time>(Value::String(text.to_owned())).ok().map(|time| time.0)
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The text of a checked value, as a key of `when` has it.
pub(super) fn text_of(value: &Value) -> String {
    scalar(value).unwrap_or_default()
}

/// A value as people wrote it.
pub(crate) fn shown(value: &Value) -> String {
    scalar(value).unwrap_or_else(|| value.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_type_is_what_it_is_declared_as() {
        let declared = |name: &str, values: &[&str], min, max| {
            OptionKind::declared(name, values.iter().map(|value| (*value).to_owned()).collect(), min, max)
        };
        let found = [
            declared("integer", &["16", "64"], None, None),
            declared("integer", &[], Some(1), None),
            declared("enum", &["none", "cgroup"], None, None),
        ];
        let expected = [
            OptionKind::Integers(vec![16, 64]),
            OptionKind::Integer { min: 1, max: i64::MAX },
            OptionKind::Enum(vec!["none".to_owned(), "cgroup".to_owned()]),
        ];
        assert_eq!(found, expected.map(Ok));
        for (name, values, min, says) in [
            ("integer", &["16"][..], Some(1), "found `values` beside `min` or `max`"),
            ("time", &["16"], None, "found `values` for the type `time`"),
            ("time", &[], Some(1), "found `min` or `max` for the type `time`"),
            ("enum", &[], None, "found no `values`"),
        ] {
            let error = declared(name, values, min, None).unwrap_err();
            assert!(error.starts_with(says), "{error}");
        }
    }

    #[test]
    fn values_are_held_to_their_type() {
        let by = OptionKind::Enum(vec!["none".to_owned(), "cgroup".to_owned(), "7".to_owned()]);
        let some = OptionKind::Integer { min: 1, max: 4096 };
        for (kind, value, checked) in [
            (&OptionKind::Bool, json!("on"), Ok(json!(true))),
            (&OptionKind::Bool, json!(1), Err("found `1`, expected true or false")),
            (&some, json!(4096), Ok(json!(4096))),
            (&some, json!(0), Err("found `0`, expected a whole number from 1 to 4096")),
            (&some, json!("9"), Err("found `9`, expected a whole number from 1 to 4096")),
            (&OptionKind::Time, json!("2s"), Ok(json!(2_000_000_000_u64))),
            (&OptionKind::Time, json!(2), Err("found `2`, expected a time with its unit, such as 50ms (us, ms or s)")),
            (&OptionKind::Text, json!(5), Ok(json!("5"))),
            (&OptionKind::List, json!(["sda", 7]), Ok(json!(["sda", "7"]))),
            (&OptionKind::List, json!("sda"), Err("found `sda`, expected a list of texts, such as [a, b]")),
            (&OptionKind::Integers(vec![8, 16]), json!(16), Ok(json!(16))),
            (&OptionKind::Integers(vec![8, 16]), json!(12), Err("found `12`, expected one of 8, 16")),
            (&by, json!("cgroup"), Ok(json!("cgroup"))),
            (&by, json!(7), Ok(json!("7"))),
            (&by, json!("cgruop"), Err("found `cgruop`, expected one of none, cgroup, 7")),
        ] {
            assert_eq!(kind.check(&value), checked.map_err(str::to_owned), "{value}");
        }
    }
}
