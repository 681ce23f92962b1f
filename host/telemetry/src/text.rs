//! Text of others as it may be shown to an operator.
//!
//! Names in a component, its log lines and its messages, and the answers of a receiver are third-party text: none of it may begin a line of its own in the log, move a
//! terminal's cursor, reorder what stands around it, or fill a screen.

/// Characters that are no control characters and still change how the text around them is shown: directions, line and paragraph
/// separators, and characters without width.
fn is_formatting(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    )
}

/// The text on one line, cut to `most` bytes before its control and formatting characters are escaped.
pub fn one_line(text: &str, most: usize) -> String {
    let cut = &text[..text.floor_char_boundary(most)];
    let mut line = String::with_capacity(cut.len() + 8);
    for character in cut.chars() {
        if character.is_control() || is_formatting(character) {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    if cut.len() < text.len() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_does_not_begin_another_or_turn_around_what_follows() {
        assert_eq!(one_line("a\nb\u{1b}[2J", 99), "a\\nb\\u{1b}[2J");
        for hidden in ["\r", "\u{9b}", "\u{202e}", "\u{2028}", "\u{200d}", "\u{2066}"] {
            let line = one_line(hidden, 99);
            assert!(line.is_ascii() && line.starts_with('\\'), "{line}");
        }
        assert_eq!(one_line("größer", 99), "größer");
    }

    #[test]
    fn a_name_of_thirty_megabytes_is_cut() {
        assert_eq!(one_line(&"ö".repeat(15 << 20), 5), "öö…");
    }
}
