//! A configuration as a tree that knows where in it one is. Mistakes are collected, not stopped at: a user mends a file once.
//!
//! A mistake begins with its place, `config.metrics.counters[0].name: `, by which the host finds file and line.

use std::cell::RefCell;
use std::fmt::Display;

use serde_json::Value;

/// What is wrong, in the order in which it was found.
#[derive(Default)]
pub(crate) struct Mistakes(RefCell<Vec<String>>);

/// Between two mistakes in the one line that refuses a package.
const BETWEEN: &str = "; ";

impl Mistakes {
    /// All of them in one line; none: there are none.
    pub(crate) fn refusal(&self) -> Option<String> {
        let all = self.0.borrow();
        (!all.is_empty()).then(|| all.join(BETWEEN))
    }
}

/// One value and its place.
#[derive(Clone)]
pub(crate) struct Node<'a> {
    value: &'a Value,
    place: String,
    mistakes: &'a Mistakes,
}

/// A mapping whose keys are known ones.
pub(crate) struct Keys<'a> {
    node: Node<'a>,
}

impl<'a> Node<'a> {
    pub(crate) fn root(value: &'a Value, mistakes: &'a Mistakes) -> Self {
        Self { value, place: "config".into(), mistakes }
    }

    /// Notes a mistake here.
    pub(crate) fn wrong(&self, found: impl Display, expected: impl Display) {
        self.mistakes.0.borrow_mut().push(format!("{}: found {found}, expected {expected}", self.place));
    }

    fn unsuitable(&self, expected: &str) {
        let found = match self.value {
            Value::Null => "nothing".into(),
            Value::Bool(_) | Value::Number(_) => format!("`{}`", self.value),
            Value::String(text) => format!("`{text}`"),
            Value::Array(_) => "a list".into(),
            Value::Object(_) => "a mapping".into(),
        };
        self.wrong(found, expected);
    }

    /// A mapping; keys other than `known` are mistakes.
    pub(crate) fn keys(&self, known: &[&str]) -> Keys<'a> {
        match self.value {
            Value::Object(map) => {
                for key in map.keys().filter(|key| !known.contains(&key.as_str())) {
                    self.key(key).wrong(format!("the key `{key}`"), format!("one of {}", known.join(", ")));
                }
            }
            _ => self.unsuitable(&format!("a mapping with {}", known.join(", "))),
        }
        Keys { node: self.clone() }
    }

    /// Every key of a mapping that may have any.
    pub(crate) fn entries(&self) -> Vec<(&'a str, Node<'a>)> {
        match self.value {
            Value::Object(map) => map.keys().map(|key| (key.as_str(), self.key(key))).collect(),
            _ => {
                self.unsuitable("a mapping");
                Vec::new()
            }
        }
    }

    pub(crate) fn list(&self) -> Vec<Node<'a>> {
        let Value::Array(values) = self.value else {
            self.unsuitable("a list");
            return Vec::new();
        };
        let item = |(index, value)| Node { value, place: format!("{}[{index}]", self.place), mistakes: self.mistakes };
        values.iter().enumerate().map(item).collect()
    }

    /// Text; YAML's plain numbers and truths are text where text is meant.
    pub(crate) fn text(&self) -> Option<String> {
        match self.value {
            Value::String(text) => Some(text.clone()),
            Value::Number(_) | Value::Bool(_) => Some(self.value.to_string()),
            _ => {
                self.unsuitable("text");
                None
            }
        }
    }

    pub(crate) fn whole(&self, least: u32, most: u32) -> Option<u32> {
        let number = self.value.as_u64().and_then(|number| u32::try_from(number).ok());
        let number = number.filter(|number| (least..=most).contains(number));
        if number.is_none() {
            self.unsuitable(&format!("a whole number from {least} to {most}"));
        }
        number
    }

    pub(crate) fn number(&self) -> Option<f64> {
        let number = self.value.as_f64().filter(|number| number.is_finite());
        if number.is_none() {
            self.unsuitable("a number");
        }
        number
    }

    pub(crate) fn truth(&self) -> Option<bool> {
        let truth = self.value.as_bool();
        if truth.is_none() {
            self.unsuitable("true or false");
        }
        truth
    }

    fn key(&self, key: &str) -> Self {
        let value = self.value.get(key).unwrap_or(&Value::Null);
        let is_plain = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let place =
            if is_plain { format!("{}.{key}", self.place) } else { format!("{}[{}]", self.place, Value::from(key)) };
        Self { value, place, mistakes: self.mistakes }
    }
}

impl<'a> Keys<'a> {
    /// The key's value, unless it is not there or empty.
    pub(crate) fn find(&self, key: &str) -> Option<Node<'a>> {
        let node = self.node.key(key);
        (!node.value.is_null()).then_some(node)
    }

    /// The same; its absence is a mistake.
    pub(crate) fn need(&self, key: &str) -> Option<Node<'a>> {
        let found = self.find(key);
        if found.is_none() && self.node.value.is_object() {
            self.node.wrong(format!("no `{key}`"), "one");
        }
        found
    }

    pub(crate) fn text(&self, key: &str) -> Option<String> {
        self.need(key)?.text()
    }

    pub(crate) fn list(&self, key: &str) -> Vec<Node<'a>> {
        self.find(key).map(|node| node.list()).unwrap_or_default()
    }

    /// Where the whole mapping stands.
    pub(crate) fn place(&self) -> &Node<'a> {
        &self.node
    }
}
