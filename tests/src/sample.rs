//! Parses one line of text 0.0.4 or OpenMetrics: `name{label="value",…} number`, without timestamp or exemplar.

use std::collections::BTreeMap;

/// Label values by label name.
pub type Labels = BTreeMap<String, String>;

#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub name: String,
    pub labels: Labels,
    pub value: f64,
}

impl Sample {
    /// Parses a line.
    ///
    /// # Errors
    /// The mistake in it.
    pub fn parse(line: &str) -> Result<Self, String> {
        let end = line.find(['{', ' ']).ok_or("no value")?;
        let (name, mut rest) = line.split_at(end);
        let mut labels = Labels::new();
        if let Some(block) = rest.strip_prefix('{') {
            rest = block;
            loop {
                let (label, after) = rest.split_once("=\"").ok_or("a label block without end")?;
                let (value, after) = label_value(after)?;
                if !is_name(label, '_') || labels.insert(label.to_owned(), value).is_some() {
                    return Err(format!("the label `{label}` twice, or not a legal name"));
                }
                match after.as_bytes().first() {
                    Some(b',') => rest = &after[1..],
                    Some(b'}') => {
                        rest = &after[1..];
                        break;
                    }
                    _ => return Err("a label block without end".into()),
                }
            }
        }
        let value = number(rest.strip_prefix(' ').ok_or("no space before the value")?)?;
        if is_name(name, ':') { Ok(Self { name: name.to_owned(), labels, value }) } else { Err("no legal name".into()) }
    }
}

/// Parses a number as both formats write it.
///
/// # Errors
/// The text, if it is no number.
pub fn number(text: &str) -> Result<f64, String> {
    match text {
        "+Inf" => Ok(f64::INFINITY),
        "-Inf" => Ok(f64::NEG_INFINITY),
        "NaN" => Ok(f64::NAN),
        _ if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') => {
            text.parse().map_err(|_| format!("no number: {text}"))
        }
        _ => Err(format!("no number: {text}")),
    }
}

/// Whether this is a valid name. `more` is an additional character that is allowed.
pub(crate) fn is_name(name: &str, more: char) -> bool {
    let is_letter = |c: char| c.is_ascii_alphabetic() || c == '_' || c == more;
    name.starts_with(is_letter) && name.chars().all(|c| is_letter(c) || c.is_ascii_digit())
}

/// Parses a label value up to the closing quote; returns it and the rest of the line.
fn label_value(text: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => value.push(match chars.next() {
                Some((_, 'n')) => '\n',
                Some((_, c @ ('\\' | '"'))) => c,
                _ => return Err("an unknown escape".into()),
            }),
            _ => value.push(c),
        }
    }
    Err("a label value without end".into())
}
