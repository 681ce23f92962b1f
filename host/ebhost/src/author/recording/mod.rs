//! Recordings: the contents of a package's maps and the names looked up for it, as lines of JSON (docs/recording.md).
//!
//! Each line is one object, so that a person can read it and a diff shows what changed. A recording holds raw bytes and names, and nothing
//! that depends on the plugin: another version of the component replays the same file. Array rows that are all zero and zeros at the end
//! of a value are left out, so that an array of mostly empty slots stays small.

mod contents;
mod hex;
mod lines;

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

pub(super) use contents::Contents;
pub(super) use hex::hex;

use self::{
    hex::unhex,
    lines::{Head, Line, MemoryBudget, Name, ReadHead, VERSION, check_version, empty, fill, rows, source},
};
use ebhost_limits as limits;
use ebhost_lookup::Question;
use ebhost_lookup::tables::LookupTable;

/// A recording.
#[derive(Debug, Default)]
pub(super) struct Recording {
    pub(super) package: String,
    /// The machine's, such as `x86_64`, where it is known.
    pub(super) architecture: Option<String>,
    pub(super) names: Vec<(Question, Option<String>)>,
    pub(super) reads: Vec<Read>,
}

/// One read of all sources.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) at: Duration,
    pub(super) sources: Vec<(String, Contents)>,
}

/// Why a file cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordingError {
    #[error("{path}: cannot be read: {source}; `ebhost record PACKAGE -o FILE` writes one")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{path}: found {found} bytes, expected at most {most}: is this the right file?")]
    TooLarge { path: PathBuf, found: u64, most: u64 },
    #[error("{path}:{line}: {why}; expected what `ebhost record` writes, version {VERSION}")]
    Line { path: PathBuf, line: usize, why: String },
}

impl Recording {
    /// Writes all lines.
    pub(super) fn write(&self, out: &mut impl io::Write) -> io::Result<()> {
        let by = concat!("ebhost ", env!("CARGO_PKG_VERSION")).to_owned();
        let mut put = |line: Line| {
            serde_json::to_writer(&mut *out, &line)?;
            out.write_all(b"\n")
        };
        let (package, architecture) = (self.package.clone(), self.architecture.clone());
        put(Line::Recording(Head { version: VERSION, package, architecture, by }))?;
        for ((table, bytes), name) in &self.names {
            put(Line::Name(Name { table: table.name().to_owned(), bytes: hex(bytes), name: name.clone() }))?;
        }
        for read in &self.reads {
            put(Line::Read(ReadHead { at_ms: u64::try_from(read.at.as_millis()).unwrap_or(u64::MAX) }))?;
            for (name, contents) in &read.sources {
                put(Line::Source(source(name, contents)))?;
                rows(contents).into_iter().try_for_each(|row| put(Line::Row(row)))?;
            }
        }
        Ok(())
    }

    /// Writes a file.
    pub(super) fn save(&self, path: &Path) -> io::Result<()> {
        let mut out = io::BufWriter::new(fs::File::create(path)?);
        self.write(&mut out)?;
        out.flush()
    }

    /// Reads a file.
    pub(super) fn open(path: &Path) -> Result<Self, RecordingError> {
        let unreadable = |source| RecordingError::Unreadable { path: path.to_owned(), source };
        let found = fs::metadata(path).map_err(unreadable)?.len();
        if found > limits::RECORDING_BYTES {
            return Err(RecordingError::TooLarge { path: path.to_owned(), found, most: limits::RECORDING_BYTES });
        }
        let bytes = fs::read(path).map_err(unreadable)?;
        let text = String::from_utf8_lossy(&bytes);
        Self::parse(&text).map_err(|(line, why)| RecordingError::Line { path: path.to_owned(), line, why })
    }

    /// Reads the lines. The error is a line's number and what is wrong in it.
    fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut recording = Self::default();
        let mut budget = MemoryBudget::whole();
        let mut is_begun = false;
        for (number, line) in text.lines().enumerate() {
            let at = |why: String| (number + 1, why);
            let line: Line = serde_json::from_str(line).map_err(|error| at(error.to_string()))?;
            if let Line::Recording(head) = line {
                check_version(&head).map_err(at)?;
                (recording.package, recording.architecture) = (head.package, head.architecture);
                is_begun = true;
            } else if is_begun {
                recording.take(line, &mut budget).map_err(at)?;
            } else {
                return Err(at("found it without a line `recording` before it".to_owned()));
            }
        }
        if is_begun { Ok(recording) } else { Err((1, "found an empty file".to_owned())) }
    }

    /// Adds a line behind the first.
    fn take(&mut self, line: Line, budget: &mut MemoryBudget) -> Result<(), String> {
        match line {
            Line::Recording(_) => {}
            Line::Name(name) => {
                let table = LookupTable::named(&name.table).ok_or_else(|| {
                    format!("found the table `{}`, expected one of {}", name.table, LookupTable::names())
                })?;
                self.names.push(((table, unhex(&name.bytes)?.into()), name.name));
            }
            Line::Read(read) => {
                self.reads.push(Read { at: Duration::from_millis(read.at_ms), ..Read::default() });
            }
            Line::Source(source) => {
                let read = self.reads.last_mut().ok_or("found a source before the first `read`")?;
                read.sources.push((source.name.clone(), empty(&source, budget)?));
            }
            Line::Row(row) => {
                let source = self.reads.last_mut().and_then(|read| read.sources.last_mut());
                let (_, contents) = source.ok_or("found a row before the first `source`")?;
                fill(contents, &row, budget)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
