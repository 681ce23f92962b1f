//! A configuration as a tree of nodes that know their path. Mistakes are collected rather than stopped at, so that a user sees all
//! mistakes in a file at once.
//!
//! A mistake begins with its path, `config.metrics.counters[0].name: `, by which the host finds file and line.

use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::ops::RangeInclusive;

use serde_json::Value;

use crate::scalar;

/// The mistakes, in the order in which they were found.
#[derive(Default)]
pub(crate) struct Mistakes {
    shown: RefCell<Vec<String>>,
    /// The number of those beyond [`MOST_SHOWN`].
    more: Cell<usize>,
}

/// Mistakes that are described. The host looks for the line of each, and nobody mends more at once.
const MOST_SHOWN: usize = 30;

/// Separates the mistakes in the one line that describes them all.
const SEPARATOR: &str = "; ";

impl Mistakes {
    /// All mistakes in one line; none if there are none.
    pub(crate) fn to_line(&self) -> Option<String> {
        let mut all = self.shown.borrow().clone();
        if self.more.get() > 0 {
            all.push(format!("config: found {} mistakes more, expected none", self.more.get()));
        }
        (!all.is_empty()).then(|| all.join(SEPARATOR))
    }

    fn add(&self, path: &str, found: impl Display, expected: impl Display) {
        let mut shown = self.shown.borrow_mut();
        if shown.len() < MOST_SHOWN {
            shown.push(format!("{path}: found {found}, expected {expected}"));
        } else {
            self.more.set(self.more.get() + 1);
        }
    }
}

/// One value and its path.
#[derive(Clone)]
pub(crate) struct Node<'a> {
    value: &'a Value,
    path: String,
    mistakes: &'a Mistakes,
}

/// A mapping in which only certain keys are allowed.
pub(crate) struct Keys<'a> {
    node: Node<'a>,
}

impl<'a> Node<'a> {
    pub(crate) fn root(value: &'a Value, mistakes: &'a Mistakes) -> Self {
        Self { value, path: "config".into(), mistakes }
    }

    /// Adds a mistake with this node's path.
    pub(crate) fn mistake(&self, found: impl Display, expected: impl Display) {
        self.mistakes.add(&self.path, found, expected);
    }

    fn wrong_type(&self, expected: &str) {
        let found = match self.value {
            Value::Null => "nothing".into(),
            Value::Bool(_) | Value::Number(_) => format!("`{}`", self.value),
            Value::String(text) => format!("`{text}`"),
            Value::Array(_) => "a list".into(),
            Value::Object(_) => "a mapping".into(),
        };
        self.mistake(found, expected);
    }

    /// The node as a mapping; keys other than `known` are mistakes.
    pub(crate) fn keys(&self, known: &[&str]) -> Keys<'a> {
        match self.value {
            Value::Object(map) => {
                for key in map.keys().filter(|key| !known.contains(&key.as_str())) {
                    self.key(key).mistake(format!("the key `{key}`"), format!("one of {}", known.join(", ")));
                }
            }
            _ => self.wrong_type(&format!("a mapping with {}", known.join(", "))),
        }
        Keys { node: self.clone() }
    }

    /// The node as a mapping whose keys have been checked by the host: those that nobody knows are warnings.
    pub(crate) fn keys_and_others(&self, known: &[&str]) -> Keys<'a> {
        if !self.value.is_object() {
            self.wrong_type(&format!("a mapping with {}", known.join(", ")));
        }
        Keys { node: self.clone() }
    }

    /// The entries of a mapping that may have any keys.
    pub(crate) fn entries(&self) -> Vec<(&'a str, Node<'a>)> {
        match self.value {
            Value::Object(map) => map.keys().map(|key| (key.as_str(), self.key(key))).collect(),
            _ => {
                self.wrong_type("a mapping");
                Vec::new()
            }
        }
    }

    pub(crate) fn list(&self) -> Vec<Node<'a>> {
        let Value::Array(values) = self.value else {
            self.wrong_type("a list");
            return Vec::new();
        };
        let item = |(index, value)| Node { value, path: format!("{}[{index}]", self.path), mistakes: self.mistakes };
        values.iter().enumerate().map(item).collect()
    }

    /// The node as text; text that may be empty can be left out (`key:`).
    pub(crate) fn text_or_nothing(&self) -> Option<String> {
        if self.value.is_null() { Some(String::new()) } else { self.text() }
    }

    /// The node as text. Unquoted numbers and booleans are text where text is expected.
    pub(crate) fn text(&self) -> Option<String> {
        match self.value {
            Value::String(text) => Some(text.clone()),
            Value::Number(_) | Value::Bool(_) => Some(self.value.to_string()),
            _ => {
                self.wrong_type("text");
                None
            }
        }
    }

    pub(crate) fn integer(&self, range: RangeInclusive<u32>) -> Option<u32> {
        let number = match self.value {
            Value::String(text) => scalar::integer(text),
            other => other.as_u64(),
        };
        let number = number.and_then(|number| u32::try_from(number).ok());
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            self.wrong_type(&format!("a whole number from {} to {}", range.start(), range.end()));
        }
        number
    }

    pub(crate) fn number(&self) -> Option<f64> {
        let number = match self.value {
            Value::String(text) => scalar::number(text),
            other => other.as_f64(),
        };
        let number = number.filter(|number| number.is_finite());
        if number.is_none() {
            self.wrong_type("a number");
        }
        number
    }

    pub(crate) fn boolean(&self) -> Option<bool> {
        let boolean = match self.value {
            Value::String(text) => scalar::boolean(text),
            other => other.as_bool(),
        };
        if boolean.is_none() {
            self.wrong_type("true or false");
        }
        boolean
    }

    fn key(&self, key: &str) -> Self {
        let value = self.value.get(key).unwrap_or(&Value::Null);
        let is_plain = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let path =
            if is_plain { format!("{}.{key}", self.path) } else { format!("{}[{}]", self.path, Value::from(key)) };
        Self { value, path, mistakes: self.mistakes }
    }
}

impl<'a> Keys<'a> {
    /// The value of a key; none if the key is missing or empty.
    pub(crate) fn find(&self, key: &str) -> Option<Node<'a>> {
        let node = self.node.key(key);
        (!node.value.is_null()).then_some(node)
    }

    /// The value of a key whose absence is a mistake.
    pub(crate) fn need(&self, key: &str) -> Option<Node<'a>> {
        let found = self.find(key);
        if found.is_none() && self.node.value.is_object() {
            self.node.mistake(format!("no `{key}`"), "one");
        }
        found
    }

    pub(crate) fn text(&self, key: &str) -> Option<String> {
        self.need(key)?.text()
    }

    pub(crate) fn list(&self, key: &str) -> Vec<Node<'a>> {
        self.find(key).map(|node| node.list()).unwrap_or_default()
    }

    /// The mapping itself.
    pub(crate) fn node(&self) -> &Node<'a> {
        &self.node
    }
}
