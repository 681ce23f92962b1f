//! Messages about a configuration file that point at the line they are about.

use std::{
    borrow::Cow,
    fmt,
    path::{Path, PathBuf},
};

use ebhost_limits as limits;

/// A message about a configuration file, with the line that it is about. It prints like a compiler's error.
#[derive(Debug)]
pub struct Diagnostic {
    file: PathBuf,
    message: String,
    /// Line and column, from 1, and the line's text.
    at: Option<(usize, usize, String)>,
}

impl Diagnostic {
    /// About the file as a whole.
    pub(super) fn whole(file: &Path, message: String) -> Self {
        Self { file: file.to_owned(), message, at: None }
    }

    /// An error of the YAML parser, at its line.
    pub fn of(file: &Path, text: &str, error: &serde_yaml::Error) -> Self {
        let Some(location) = error.location() else {
            return Self::whole(file, error.to_string());
        };
        let line_text = text.lines().nth(location.line().saturating_sub(1)).unwrap_or_default().to_owned();
        let mut message = error.to_string();
        if let Some(end) = message.rfind(" at line ") {
            message.truncate(end);
        }
        let indent = &line_text[..line_text.len() - line_text.trim_start().len()];
        if indent.contains('\t') {
            message.push_str(": found a tab; YAML is indented with spaces");
        }
        Self { file: file.to_owned(), message, at: Some((location.line(), location.column(), line_text)) }
    }

    /// About a line and column, counted from 1, if they are known.
    pub(super) fn at(file: &Path, text: &str, at: Option<(usize, usize)>, message: String) -> Self {
        let at = at.map(|(line, column)| {
            let line_text = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
            (line, column, line_text.to_owned())
        });
        Self { file: file.to_owned(), message, at }
    }

    /// About the first line that has the key.
    pub(super) fn of_key(file: &Path, text: &str, key: &str, message: String) -> Self {
        let at = text.lines().enumerate().find_map(|(line, line_text)| {
            let column = line_text.find(key)?;
            line_text[column + key.len()..]
                .trim_start()
                .starts_with(':')
                .then(|| (line + 1, column + 1, line_text.to_owned()))
        });
        Self { file: file.to_owned(), message, at }
    }
}

/// The first characters of a message that repeats what a file says, which may be long.
fn shortened(message: &str) -> Cow<'_, str> {
    match message.char_indices().nth(limits::SHOWN_MESSAGE_CHARS) {
        Some((end, _)) => Cow::Owned(format!("{}…", &message[..end])),
        None => Cow::Borrowed(message),
    }
}

/// The part of a line around a column, from 1, and the column in that part.
fn around(line: &str, column: usize) -> (Cow<'_, str>, usize) {
    if line.chars().nth(limits::SHOWN_LINE_CHARS).is_none() {
        return (Cow::Borrowed(line), column);
    }
    let start = column.saturating_sub(limits::SHOWN_LINE_CHARS / 2);
    let part: String = line.chars().skip(start).take(limits::SHOWN_LINE_CHARS).collect();
    (Cow::Owned(part), column - start)
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = shortened(&self.message);
        let Some((line, column, text)) = &self.at else {
            return write!(f, "{}: {message}", self.file.display());
        };
        let (text, shown_column) = around(text, *column);
        let gutter = line.to_string();
        let blank = " ".repeat(gutter.len());
        let before: String =
            text.chars().take(shown_column.saturating_sub(1)).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        writeln!(f, "{}:{line}:{column}: {message}", self.file.display())?;
        writeln!(f, "{blank} |")?;
        writeln!(f, "{gutter} | {text}")?;
        write!(f, "{blank} | {before}^")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Errors repeated a line of 80 KB, and its value once more.
    #[test]
    fn a_long_line_is_shown_around_its_mistake() {
        let line = format!("{}x{}", "a".repeat(40_000), "b".repeat(40_000));
        let fault = Diagnostic::at(Path::new("p.yaml"), &line, Some((1, 40_001)), format!("found `{line}`"));
        let shown = fault.to_string();
        assert!(shown.len() < 2_000, "{} bytes", shown.len());
        let lines: Vec<_> = shown.lines().collect();
        let column = lines.last().unwrap().find('^').unwrap();
        assert_eq!(lines[lines.len() - 2].chars().nth(column), Some('x'), "{shown}");
    }
}
