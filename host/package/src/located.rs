//! YAML with line numbers: a path such as `metrics.counters[0].name` is found again in the text of the file. A key that appears
//! twice is an error, and a number or a boolean that is a key is text.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// A file as JSON.
#[derive(Debug, Clone)]
pub(super) struct Tree(pub(super) Value);

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(TreeVisitor).map(Self)
    }
}

struct TreeVisitor;

/// YAML's merge key, which takes over the keys of other mappings.
const MERGE: &str = "<<";

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    /// A file without any content.
    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Tree(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut mapping = Mapping::default();
        while let Some(key) = entries.next_key_seed(NewKey(&mapping))? {
            let Tree(value) = entries.next_value()?;
            mapping.insert(key, value);
        }
        Ok(mapping.merged())
    }
}

/// A mapping while its entries are read.
#[derive(Default)]
pub(super) struct Mapping {
    own: Map<String, Value>,
    /// The mappings that it takes over by merge keys.
    merged: Vec<Map<String, Value>>,
}

impl Mapping {
    pub(super) fn insert(&mut self, key: String, value: Value) {
        match (key.as_str(), value) {
            (MERGE, Value::Object(other)) => self.merged.push(other),
            (MERGE, Value::Array(others)) => {
                self.merged.extend(others.into_iter().filter_map(|other| Some(other.as_object()?.clone())));
            }
            (_, value) => drop(self.own.insert(key, value)),
        }
    }

    /// Its own entries, and those of the mappings that it takes over.
    pub(super) fn merged(mut self) -> Value {
        for (key, value) in self.merged.into_iter().flatten() {
            self.own.entry(key).or_insert(value);
        }
        self.own.into()
    }
}

/// A key that is not in the mapping yet. A number or a boolean before a colon is taken as text.
pub(super) struct NewKey<'a>(pub(super) &'a Mapping);

impl<'de> DeserializeSeed<'de> for NewKey<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<String, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for NewKey<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<String, E> {
        if self.0.own.contains_key(key) {
            return Err(E::custom(format!("found the key `{key}` a second time, expected it once")));
        }
        Ok(key.to_owned())
    }
}

/// One step into a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Item(usize),
}

/// The steps of a path such as `metrics.counters[0]["odd key"]`; none: it is not a path.
pub(super) fn steps(path: &str) -> Option<Vec<Step>> {
    let (mut steps, mut rest) = (Vec::new(), path);
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('[') {
            let mut values = serde_json::Deserializer::from_str(inside).into_iter::<Value>();
            steps.push(match values.next()?.ok()? {
                Value::String(key) => Step::Key(key),
                number => Step::Item(usize::try_from(number.as_u64()?).ok()?),
            });
            rest = inside[values.byte_offset()..].strip_prefix(']')?;
        } else {
            let plain = rest.strip_prefix('.').unwrap_or(rest);
            let end = plain.find(['.', '[']).unwrap_or(plain.len());
            if end == 0 {
                return None;
            }
            steps.push(Step::Key(plain[..end].to_owned()));
            rest = &plain[end..];
        }
    }
    Some(steps)
}

/// The line and column, from 1, of a key or a list item; if it is not there, of the nearest thing above it.
pub(super) fn find(text: &str, steps: &[Step]) -> Option<(usize, usize)> {
    (1..=steps.len()).rev().find_map(|depth| {
        let error = Seek(&steps[..depth]).deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
        let is_found = error.to_string().contains(FOUND);
        let location = error.location().filter(|_| is_found)?;
        Some((location.line(), location.column()))
    })
}

/// Stops parsing at the end of the steps, with an error: YAML's errors carry their position.
struct Seek<'a>(&'a [Step]);

const FOUND: &str = "here it is";

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        match self.0 {
            [] => from.deserialize_any(Here),
            _ => from.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list or a mapping")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Some((Step::Item(wanted), after)) = self.0.split_first() else {
            return Err(A::Error::custom("no list was meant"));
        };
        for _ in 0..*wanted {
            items.next_element::<IgnoredAny>()?;
        }
        items.next_element_seed(Seek(after))?;
        Err(A::Error::custom("it is not there"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let Some((Step::Key(wanted), after)) = self.0.split_first() else {
            return Err(A::Error::custom("no mapping was meant"));
        };
        while let Some(is_it) = entries.next_key_seed(Key { wanted, is_last: after.is_empty() })? {
            if is_it {
                entries.next_value_seed(Seek(after))?;
            } else {
                entries.next_value::<IgnoredAny>()?;
            }
        }
        Err(A::Error::custom("it is not there"))
    }
}

/// Tells whether a key is the wanted one; the last wanted one is an error.
struct Key<'a> {
    wanted: &'a str,
    is_last: bool,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<bool, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<bool, E> {
        match key == self.wanted {
            true if self.is_last => Err(E::custom(FOUND)),
            is_it => Ok(is_it),
        }
    }
}

/// Stops at any value.
struct Here;

impl<'de> Visitor<'de> for Here {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(FOUND)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "metrics:\n  counters:\n    - name: a\n      labels: [{ name: x, 'odd key': 1 }]\n    - b\n  1: yes\n";

    #[test]
    fn a_path_leads_to_its_line() {
        let at = |path: &str| find(TEXT, &steps(path).unwrap());
        assert_eq!(at("metrics"), Some((1, 1)));
        assert_eq!(at("metrics.counters[0].name"), Some((3, 7)));
        assert_eq!(at("metrics.counters[0].labels[0].name"), Some((4, 18)));
        assert_eq!(at(r#"metrics.counters[0].labels[0]["odd key"]"#), Some((4, 27)));
        assert_eq!(at("metrics.counters[0]"), Some((3, 7)));
        assert_eq!(at("metrics.counters[1]"), Some((5, 7)));
        assert_eq!(at("metrics.counters[0].help"), Some((3, 7)), "not there: where it should be");
        assert_eq!(at("nothing"), None);
        assert_eq!((steps("a..b"), steps("[x]"), steps("a[0")), (None, None, None));
    }

    #[test]
    fn keys_are_texts_and_stand_once() {
        let Tree(value) = serde_yaml::from_str(TEXT).unwrap();
        assert_eq!(value["metrics"]["1"], "yes");
        let again = serde_yaml::from_str::<Tree>("a: 1\nb: { c: 1, c: 2 }\n").unwrap_err().to_string();
        assert!(again.contains("found the key `c` a second time"), "{again}");
        let Tree(value) = serde_yaml::from_str("x: &x { a: 1, b: 2 }\ny: { <<: *x, b: 3 }\n").unwrap();
        assert_eq!(value["y"], serde_json::json!({"a": 1, "b": 3}));
    }
}
