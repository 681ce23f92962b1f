//! Escaping of label values and HELP texts.
//!
//! Text 0.0.4 and OpenMetrics escape label values alike, so a label block is rendered once and serves both.

/// Hands a label value to `push` in runs, with `\`, `"` and line feeds escaped.
pub fn label_value(value: &str, push: impl FnMut(&[u8])) {
    escape(value, special, push);
}

/// Whether a label value has nothing to escape.
pub fn is_plain(value: &[u8]) -> bool {
    special(value).is_none()
}

/// Appends a HELP text of text 0.0.4, which escapes no quotes.
pub(super) fn help_of_text(help: &str, out: &mut Vec<u8>) {
    escape(help, |rest| memchr::memchr2(b'\\', b'\n', rest), |run| out.extend_from_slice(run));
}

/// Appends a HELP text of OpenMetrics, which escapes quotes too.
pub(super) fn help_of_openmetrics(help: &str, out: &mut Vec<u8>) {
    label_value(help, |run| out.extend_from_slice(run));
}

/// The first byte of a label value that has to be escaped.
fn special(value: &[u8]) -> Option<usize> {
    memchr::memchr3(b'\\', b'"', b'\n', value)
}

fn escape(text: &str, find: impl Fn(&[u8]) -> Option<usize>, mut push: impl FnMut(&[u8])) {
    let mut rest = text.as_bytes();
    while let Some(at) = find(rest) {
        push(&rest[..at]);
        push(match rest[at] {
            b'\n' => br"\n",
            b'"' => br#"\""#,
            _ => br"\\",
        });
        rest = &rest[at + 1..];
    }
    push(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_backslashes_and_line_feeds_are_escaped() {
        let mut value = Vec::new();
        label_value("a\"b\\c\nd\r", |run| value.extend_from_slice(run));
        assert_eq!(value, br#"a\"b\\c\nd"#.iter().chain(b"\r").copied().collect::<Vec<_>>());
        let (mut text, mut openmetrics) = (Vec::new(), Vec::new());
        help_of_text("A \\ \"q\"\n.", &mut text);
        help_of_openmetrics("A \\ \"q\"\n.", &mut openmetrics);
        assert_eq!((&text[..], &openmetrics[..]), (&br#"A \\ "q"\n."#[..], &br#"A \\ \"q\"\n."#[..]));
    }

    #[test]
    fn a_byte_to_escape_is_found_at_any_position() {
        for length in 0..20 {
            let plain = "\u{ff}\u{21}\u{23}\u{0b}]".repeat(4)[..].chars().take(length).collect::<String>();
            assert!(is_plain(plain.as_bytes()), "{plain:?}");
            for (at, _) in plain.char_indices() {
                for special in [b'\\', b'"', b'\n'] {
                    let mut value = plain.clone().into_bytes();
                    value.insert(at, special);
                    assert!(!is_plain(&value), "{special} at {at} of {length}");
                }
            }
        }
    }
}
