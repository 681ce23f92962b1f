//! Escaping of label values and HELP texts.
//!
//! Text 0.0.4 and OpenMetrics escape label values alike, so a label block is rendered once and serves both.

/// Hands a label value to `push` in runs, with `\`, `"` and line feeds escaped.
pub fn label_value(value: &str, push: impl FnMut(&[u8])) {
    escape(value, |byte| matches!(byte, b'\\' | b'"' | b'\n'), push);
}

/// Appends a HELP text of text 0.0.4, which escapes no quotes.
pub(super) fn help_of_text(help: &str, out: &mut Vec<u8>) {
    escape(help, |byte| matches!(byte, b'\\' | b'\n'), |run| out.extend_from_slice(run));
}

/// Appends a HELP text of OpenMetrics, which escapes quotes too.
pub(super) fn help_of_openmetrics(help: &str, out: &mut Vec<u8>) {
    label_value(help, |run| out.extend_from_slice(run));
}

fn escape(text: &str, is_special: fn(u8) -> bool, mut push: impl FnMut(&[u8])) {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| is_special(*byte)) {
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
        help_of_text("A \"q\"\n.", &mut text);
        help_of_openmetrics("A \"q\"\n.", &mut openmetrics);
        assert_eq!((&text[..], &openmetrics[..]), (&br#"A "q"\n."#[..], &br#"A \"q\"\n."#[..]));
    }
}
