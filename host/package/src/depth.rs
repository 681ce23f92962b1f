//! A look at a YAML text before it is parsed: how deep its flow collections nest.
//!
//! The parser takes time that grows with the square of the depth: `[` forty thousand times takes seconds, a megabyte of it an hour. No
//! configuration nests more than a few levels.

use std::path::Path;

use super::Diagnostic;
use ebhost_limits as limits;

/// Refuses a text with more than [`YAML_DEPTH`](limits::YAML_DEPTH) open brackets and braces outside of comments and quoted text.
///
/// # Errors
/// A diagnostic that points at the bracket that is too deep.
pub fn check_depth(file: &Path, text: &str) -> Result<(), Diagnostic> {
    let too_deep = |line: usize, column: usize| {
        let most = limits::YAML_DEPTH;
        let message = format!("found brackets that nest deeper than {most}, expected at most {most}");
        Diagnostic::at(file, text, Some((line + 1, column + 1)), message)
    };
    let mut depth = 0usize;
    let mut quote = None;
    for (line, line_text) in text.lines().enumerate() {
        let mut before = ' ';
        for (column, c) in line_text.chars().enumerate() {
            match (quote, c) {
                // In double quotes a backslash takes the meaning of what follows; two of them are one.
                (Some('"'), '\\') if before == '\\' => {
                    before = ' ';
                    continue;
                }
                (Some('"'), '"') if before == '\\' => {}
                (Some(open), c) if open == c => quote = None,
                (Some(_), _) => {}
                // Quotes begin a value only where a value begins.
                (None, '"' | '\'') if matches!(before, ' ' | '\t' | '[' | '{' | ',' | ':') => quote = Some(c),
                (None, '#') if before.is_whitespace() => break,
                (None, '[' | '{') => {
                    depth += 1;
                    if depth > limits::YAML_DEPTH {
                        return Err(too_deep(line, column));
                    }
                }
                (None, ']' | '}') => depth = depth.saturating_sub(1),
                (None, _) => {}
            }
            before = c;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), String> {
        check_depth(Path::new("x.yaml"), text).map_err(|fault| fault.to_string())
    }

    #[test]
    fn brackets_without_end_are_refused_at_their_line() {
        let message = check(&format!("a: 1\nb: {}", "[".repeat(40_000))).unwrap_err();
        assert!(message.starts_with("x.yaml:2:68: found brackets that nest deeper than 64"), "{message}");
        assert!(message.len() < 1_000, "{} bytes", message.len());
        assert!(check(&format!("{}{}", "{a: ".repeat(65), "}".repeat(65))).is_err());
    }

    #[test]
    fn ordinary_files_are_not() {
        let flat = "- [a, {b: c}]\n".repeat(1_000);
        for text in [flat.as_str(), "a: '[[[[' # [[[\n", "a: \"[\\\"[\\\\\"\n", "it's: [a]\n", ""] {
            assert_eq!(check(&text.repeat(100)), Ok(()), "{text}");
        }
    }

    #[test]
    fn brackets_behind_a_quoted_value_are_counted() {
        for quoted in ["\"x\"", "\"x\\\"\"", "\"\\\\\"", "'x'", "'it''s'"] {
            let text = format!("a: {quoted}\nb: {}", "[".repeat(65));
            assert!(check(&text).is_err(), "{text}");
        }
    }
}
