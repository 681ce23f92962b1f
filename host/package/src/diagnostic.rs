//! Messages about a configuration file that point at the line they are about.

use std::{
    fmt,
    path::{Path, PathBuf},
};

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

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((line, column, text)) = &self.at else {
            return write!(f, "{}: {}", self.file.display(), self.message);
        };
        let gutter = line.to_string();
        let blank = " ".repeat(gutter.len());
        let before: String =
            text.chars().take(column.saturating_sub(1)).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        writeln!(f, "{}:{line}:{column}: {}", self.file.display(), self.message)?;
        writeln!(f, "{blank} |")?;
        writeln!(f, "{gutter} | {text}")?;
        write!(f, "{blank} | {before}^")
    }
}
