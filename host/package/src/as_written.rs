//! A YAML text as a tree in which every scalar is the text that is written: `1.10`, `0x0800`, `False`, `on`. The value of a label is such
//! a text, and the parser would make another of it: `1.1`, `2048`, `false`.
//!
//! The parser tells of which kind a node is only by handing out its value. So the text is read twice: once for the shape of the tree, and
//! once guided by that shape, which asks for the text of every scalar.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::located::{Mapping, NewKey};

/// Parses a file. Scalars are strings as they are written, those without a value (`key:`, `~`, `null`) are [`Value::Null`]; quoted ones are
/// always strings.
///
/// # Errors
/// As for every YAML text: a mistake of form, a key that appears twice.
pub(super) fn parse(text: &str) -> Result<Value, serde_yaml::Error> {
    let shape: Shape = serde_yaml::from_str(text)?;
    Guided(&shape).deserialize(serde_yaml::Deserializer::from_str(text))
}

/// The kind of a node, and the shapes of the nodes below it in the order of the file.
enum Shape {
    Scalar,
    List(Vec<Self>),
    Mapping(Vec<Self>),
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_str<E>(self, _: &str) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    /// An empty file.
    fn visit_none<E>(self) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Shape, A::Error> {
        let mut shapes = Vec::new();
        while let Some(shape) = items.next_element()? {
            shapes.push(shape);
        }
        Ok(Shape::List(shapes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Shape, A::Error> {
        let (mut shapes, mut mapping) = (Vec::new(), Mapping::default());
        while let Some(key) = entries.next_key_seed(NewKey(&mapping))? {
            shapes.push(entries.next_value()?);
            mapping.insert(key, Value::Object(serde_json::Map::new()));
        }
        Ok(Shape::Mapping(shapes))
    }
}

/// Reads a node of this shape.
struct Guided<'a>(&'a Shape);

impl<'de> DeserializeSeed<'de> for Guided<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        match self.0 {
            Shape::Scalar => from.deserialize_option(ScalarVisitor),
            Shape::List(shapes) => from.deserialize_seq(ListVisitor(shapes)),
            Shape::Mapping(shapes) => from.deserialize_map(MappingVisitor(shapes)),
        }
    }
}

/// The text of a scalar, if it has a value.
struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_str(self)
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }
}

struct ListVisitor<'a>(&'a [Shape]);

impl<'de> Visitor<'de> for ListVisitor<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::with_capacity(self.0.len());
        for shape in self.0 {
            list.extend(items.next_element_seed(Guided(shape))?);
        }
        Ok(list.into())
    }
}

struct MappingVisitor<'a>(&'a [Shape]);

impl<'de> Visitor<'de> for MappingVisitor<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut mapping = Mapping::default();
        for shape in self.0 {
            let Some(key) = entries.next_key_seed(NewKey(&mapping))? else { break };
            mapping.insert(key, entries.next_value_seed(Guided(shape))?);
        }
        Ok(mapping.merged())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// `0x0800` was a label value `2048`, `1.10` was `1.1`, and `~` refused the file.
    #[test]
    fn scalars_keep_the_text_that_is_written() {
        let text = "{ 0: False, 2: 0x0800, 3: 1.10, 4: 1e3, 5: 010, 6: , 7: ~, 8: '~', 9: '', 10: yes, 11: 99999999999999999999999, \
                    12: -0x1, 13: .5, 14: \"a\\tb\" }";
        let expected = json!({
            "0": "False", "2": "0x0800", "3": "1.10", "4": "1e3", "5": "010", "6": null, "7": null, "8": "~", "9": "", "10": "yes",
            "11": "99999999999999999999999", "12": "-0x1", "13": ".5", "14": "a\tb",
        });
        assert_eq!(parse(text).unwrap(), expected);
        assert_eq!(parse("").unwrap(), Value::Null);
    }

    #[test]
    fn lists_mappings_aliases_and_merge_keys_stay_what_they_are() {
        let text = "a: &a { x: 1.0, y: [&n 2.50, ~, [on]] }\nb: { <<: *a, x: 0x1 }\nc: *n\nd: |\n  two\n  lines\n";
        let a = json!({"x": "1.0", "y": ["2.50", null, ["on"]]});
        let b = json!({"x": "0x1", "y": ["2.50", null, ["on"]]});
        assert_eq!(parse(text).unwrap(), json!({"a": a, "b": b, "c": "2.50", "d": "two\nlines\n"}));
    }

    #[test]
    fn a_key_that_appears_twice_is_refused() {
        let error = parse("a: 1\nb: { c: 1, c: 2 }\n").unwrap_err();
        assert!(error.to_string().contains("found the key `c` a second time"), "{error}");
        assert_eq!(error.location().unwrap().line(), 2);
    }
}
