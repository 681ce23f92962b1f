//! Parsing label blocks: `a="x",b="y"` into names and values, for formats that do not print them as text.

use std::borrow::Cow;

/// The names and unescaped values of a label block.
pub fn parse_block(block: &[u8]) -> impl Iterator<Item = (&[u8], Cow<'_, [u8]>)> {
    let mut rest = block;
    std::iter::from_fn(move || {
        let equals = rest.iter().position(|&byte| byte == b'=')?;
        let name = &rest[..equals];
        let (value, after) = value(rest.get(equals + 2..)?)?;
        rest = after.strip_prefix(b",").unwrap_or(after);
        Some((name, value))
    })
}

/// The value up to its closing quote, without escapes, and what follows the quote.
fn value(text: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let plain = text.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
    if text[plain] == b'"' {
        return Some((Cow::Borrowed(&text[..plain]), &text[plain + 1..]));
    }
    let mut value = text[..plain].to_vec();
    let mut bytes = text[plain..].iter().enumerate();
    while let Some((at, &byte)) = bytes.next() {
        match byte {
            b'"' => return Some((Cow::Owned(value), &text[plain + at + 1..])),
            b'\\' => value.push(match bytes.next()?.1 {
                b'n' => b'\n',
                other => *other,
            }),
            _ => value.push(byte),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(block: &str) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        parse_block(block.as_bytes()).map(|(name, value)| (text(name), text(&value))).collect()
    }

    #[test]
    fn escapes_are_undone_and_separators_within_values_are_kept() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(read(""), []);
        assert_eq!(
            read(r#"a="",b="x=\"1\",y\\n",c="\n""#),
            [pair("a", ""), pair("b", "x=\"1\",y\\n"), pair("c", "\n")]
        );
    }
}
