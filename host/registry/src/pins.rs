//! The file of pins that `ebhost pull` keeps: that of `--trust.pins`, with a comment for each package that says where it came from.
//!
//! ```text
//! # ebhost pull: runqlat 1.2.0 2026-11-27T04:00:00Z ghcr.io/acme/runqlat:1.2.0@sha256:…
//! 2d711642…  runqlat/plugin.yaml
//! ```
//!
//! Lines of packages that were not pulled are kept.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::reference::Reference;
use ebhost_limits as limits;
use ebhost_package::{Digest, parse_pin};

/// Begins the comment of a package.
const MARK: &str = "# ebhost pull: ";

/// In the place of what is not known.
const UNKNOWN: &str = "-";

/// Which artifact a package came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub name: String,
    pub version: Option<String>,
    pub created: Option<SystemTime>,
    /// With its digest.
    pub reference: Reference,
}

/// The digest of a file, by its path in the folder of packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    pub path: String,
    pub digest: Digest,
}

/// The lines of the file.
#[derive(Debug, Clone)]
pub struct Pins {
    path: PathBuf,
    lines: Vec<String>,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PinsError {
    #[error("{path}: cannot be read: {source}")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error(
        "{path}:{line}: found `{found}`, expected name, version, time and reference with a digest, as `ebhost pull` writes them"
    )]
    Record { path: PathBuf, line: usize, found: String },
}

impl Record {
    fn parse(text: &str) -> Option<Self> {
        let words: Vec<_> = text.split(' ').collect();
        let &[name, version, created, reference] = words.as_slice() else { return None };
        let reference: Reference = reference.parse().ok()?;
        reference.digest?;
        let known = |text: &str| (text != UNKNOWN).then(|| text.to_owned());
        Some(Self {
            name: name.to_owned(),
            version: known(version),
            created: known(created).map(|text| humantime::parse_rfc3339(&text)).transpose().ok()?,
            reference,
        })
    }

    fn line(&self) -> String {
        let is_word =
            |text: &&String| !text.is_empty() && !text.contains(char::is_whitespace) && text.as_str() != UNKNOWN;
        let version = self.version.as_ref().filter(is_word).map_or(UNKNOWN, String::as_str);
        let created =
            self.created.map_or_else(|| UNKNOWN.to_owned(), |time| humantime::format_rfc3339_seconds(time).to_string());
        format!("{MARK}{} {version} {created} {}", self.name, self.reference)
    }
}

impl Pins {
    /// Reads the file, or begins one that is not there.
    ///
    /// # Errors
    /// It cannot be read, or a comment of ours was changed.
    pub fn read(path: &Path) -> Result<Self, PinsError> {
        let unreadable = |source| PinsError::Unreadable { path: path.to_owned(), source };
        let text = match fs::metadata(path) {
            Ok(metadata) if metadata.len() > limits::PINS_BYTES => {
                let why = format!("found {} bytes, expected at most {}", metadata.len(), limits::PINS_BYTES);
                return Err(unreadable(io::Error::other(why)));
            }
            Ok(_) => fs::read_to_string(path).map_err(unreadable)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(unreadable(error)),
        };
        let pins = Self { path: path.to_owned(), lines: text.lines().map(str::to_owned).collect() };
        for (index, line) in pins.lines.iter().enumerate() {
            if line.strip_prefix(MARK).is_some_and(|text| Record::parse(text).is_none()) {
                return Err(PinsError::Record { path: path.to_owned(), line: index + 1, found: line.clone() });
            }
        }
        Ok(pins)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The text of the file.
    pub fn text(&self) -> String {
        self.lines.iter().map(|line| format!("{line}\n")).collect()
    }

    /// Every package that was pulled.
    pub fn records(&self) -> impl Iterator<Item = Record> {
        self.lines.iter().filter_map(|line| Record::parse(line.strip_prefix(MARK)?))
    }

    /// The package of this name, if it was pulled.
    pub fn record(&self, name: &str) -> Option<Record> {
        self.records().find(|record| record.name == name)
    }

    /// The pins of a package's files.
    pub fn of_package(&self, name: &str) -> Vec<Pin> {
        let pins = self.lines.iter().filter_map(|line| pin(line));
        pins.filter(|pin| pin.path.split('/').next() == Some(name)).collect()
    }

    /// Puts a package and the pins of its files in the place of those that it had.
    pub fn set(&mut self, record: &Record, pins: &[Pin]) {
        let is_of_package = |line: &String| match line.strip_prefix(MARK) {
            Some(text) => text.split(' ').next() == Some(record.name.as_str()),
            None => pin(line).is_some_and(|pin| pin.path.split('/').next() == Some(record.name.as_str())),
        };
        self.lines.retain(|line| !is_of_package(line));
        self.lines.push(record.line());
        self.lines.extend(pins.iter().map(|pin| format!("{}  {}", pin.digest, pin.path)));
    }
}

/// The pin of a line, as the host reads it.
fn pin(line: &str) -> Option<Pin> {
    parse_pin(line).map(|(digest, path)| Pin { path, digest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_that_a_person_wrote_are_kept() {
        let digest = Digest::of(b"x");
        let text = format!("# mine\n{digest}  other/x.wasm\n{digest} *./mine/x.wasm\n");
        let mut pins = Pins { path: "pins".into(), lines: text.lines().map(str::to_owned).collect() };
        let reference: Reference = format!("a.io/x:1@{}", crate::OciDigest::of(b"m")).parse().unwrap();
        let record = |version: &str| Record {
            name: "mine".to_owned(),
            version: Some(version.to_owned()),
            created: humantime::parse_rfc3339("2026-11-27T04:00:00Z").ok(),
            reference: reference.clone(),
        };
        let file = |path: &str| Pin { path: path.to_owned(), digest };
        pins.set(&record("1.0"), &[file("mine/plugin.yaml"), file("mine/old.wasm")]);
        pins.set(&record("1.1"), &[file("mine/plugin.yaml")]);
        let expected = format!(
            "# mine\n{digest}  other/x.wasm\n# ebhost pull: mine 1.1 2026-11-27T04:00:00Z {reference}\n{digest}  mine/plugin.yaml\n"
        );
        assert_eq!(pins.text(), expected);
        assert_eq!(pins.record("mine"), Some(record("1.1")));
        assert_eq!(pins.of_package("mine"), [file("mine/plugin.yaml")]);
        assert_eq!(pins.record("other"), None);
    }

    #[test]
    fn a_version_that_is_no_word_does_not_break_the_line() {
        let reference: Reference = format!("a.io/x@{}", crate::OciDigest::of(b"m")).parse().unwrap();
        let record = Record { name: "x".to_owned(), version: Some("1 beta\n".to_owned()), created: None, reference };
        let line = record.line();
        assert_eq!(Record::parse(line.strip_prefix(MARK).unwrap()), Some(Record { version: None, ..record }));
        assert_eq!(Record::parse("x 1 - a.io/x:1"), None, "without a digest");
    }
}
