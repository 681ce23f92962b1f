//! The last lines of the log, for the status page: whoever looks at it need not find the log first.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use ebhost_limits as limits;

static RECENT: RecentLines = RecentLines(Mutex::new(VecDeque::new()));

struct RecentLines(Mutex<VecDeque<String>>);

/// The last messages of the log, the oldest first: [`limits::STATUS_LOG_LINES`] at most, each cut to
/// [`limits::STATUS_LOG_LINE_BYTES`], without the colours of a terminal.
pub fn recent_log_lines() -> Vec<String> {
    RECENT.lines().iter().cloned().collect()
}

/// Remembers a message.
pub(super) fn remember(message: &[u8]) {
    RECENT.push(plain(message));
}

impl RecentLines {
    fn push(&self, line: String) {
        let mut lines = self.lines();
        if lines.len() >= limits::STATUS_LOG_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    fn lines(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The text of a message: cut, and without escape sequences (ESC, `[`, parameters, a letter).
fn plain(message: &[u8]) -> String {
    let text = String::from_utf8_lossy(message);
    let mut parts = text.trim_end().split("\u{1b}[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').get(1..).unwrap_or_default());
    }
    if plain.len() > limits::STATUS_LOG_LINE_BYTES {
        plain.truncate(plain.floor_char_boundary(limits::STATUS_LOG_LINE_BYTES));
        plain.push('…');
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_lines_are_kept() {
        let recent = RecentLines(Mutex::default());
        (0..limits::STATUS_LOG_LINES * 2).for_each(|number| recent.push(number.to_string()));
        let lines = recent.lines();
        assert_eq!(lines.len(), limits::STATUS_LOG_LINES);
        assert_eq!(lines[0], limits::STATUS_LOG_LINES.to_string());
    }

    #[test]
    fn a_long_line_is_cut_between_two_characters() {
        let long = "x".to_owned() + &"ä".repeat(limits::STATUS_LOG_LINE_BYTES);
        let most = (limits::STATUS_LOG_LINE_BYTES - 1) / 2;
        assert_eq!(plain(long.as_bytes()), "x".to_owned() + &"ä".repeat(most) + "…");
    }

    #[test]
    fn colours_of_a_terminal_are_left_out() {
        assert_eq!(plain(b"\x1b[2m2026\x1b[0m \x1b[1;31mERROR\x1b[0m no\n  | ^\n"), "2026 ERROR no\n  | ^");
        assert_eq!(plain(b"\x1b["), "");
    }
}
