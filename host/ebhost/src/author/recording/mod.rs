//! Recordings: the contents of a package's maps and the names looked up for it, as lines of JSON (docs/recording.md).
//!
//! Each line is one object, so that a person can read it and a diff shows what changed. A recording holds raw bytes and names, and nothing
//! that depends on the plugin: another version of the component replays the same file. Array rows that are all zero and zeros at the end
//! of a value are left out, so that an array of mostly empty slots stays small.

mod hex;
mod lines;

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

pub(super) use hex::hex;

use self::{
    hex::unhex,
    lines::{Head, Line, Name, ReadHead, VERSION, begin, empty, fill, rows, source},
};
use ebhost_limits as limits;
use ebhost_lookup::Question;
use ebhost_lookup::tables::LookupTable;
use ebhost_snapshot::Snapshot;

/// A recording.
#[derive(Debug, Default)]
pub(super) struct Recording {
    pub(super) package: String,
    pub(super) names: Vec<(Question, Option<String>)>,
    pub(super) reads: Vec<Read>,
}

/// One read of all sources.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) at: Duration,
    pub(super) sources: Vec<(String, Snapshot)>,
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
        put(Line::Recording(Head { version: VERSION, package: self.package.clone(), by }))?;
        for ((table, bytes), name) in &self.names {
            put(Line::Name(Name { table: table.name().to_owned(), bytes: hex(bytes), name: name.clone() }))?;
        }
        for read in &self.reads {
            put(Line::Read(ReadHead { at_ms: u64::try_from(read.at.as_millis()).unwrap_or(u64::MAX) }))?;
            for (name, snapshot) in &read.sources {
                put(Line::Source(source(name, snapshot)))?;
                rows(snapshot).into_iter().try_for_each(|row| put(Line::Row(row)))?;
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
        let mut budget = limits::RECORDING_BYTES as usize;
        let mut is_begun = false;
        for (number, line) in text.lines().enumerate() {
            let at = |why: String| (number + 1, why);
            let line: Line = serde_json::from_str(line).map_err(|error| at(error.to_string()))?;
            if let Line::Recording(head) = &line {
                recording.package = begin(head).map_err(at)?;
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
    fn take(&mut self, line: Line, budget: &mut usize) -> Result<(), String> {
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
                let (_, snapshot) = source.ok_or("found a row before the first `source`")?;
                fill(snapshot, &row)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ebhost_snapshot::Keys;

    fn sample() -> Recording {
        let array = Snapshot {
            keys: Keys::Index,
            values: [[0; 8], [1, 0, 2, 0, 0, 0, 0, 0], [0; 8]].concat(),
            value_stride: 8,
            cpus: 1,
            len: 3,
            complete: true,
        };
        let hash = Snapshot {
            keys: Keys::Bytes { size: 2, bytes: vec![9, 9, 1, 2] },
            values: (0..32).collect(),
            value_stride: 8,
            cpus: 2,
            len: 2,
            complete: false,
        };
        let events = Snapshot {
            keys: Keys::Events { cpus: vec![3, 0] },
            values: vec![7; 8],
            value_stride: 4,
            cpus: 1,
            len: 2,
            complete: true,
        };
        let names =
            vec![((LookupTable::named("cgroup").unwrap(), Box::from([1u8, 0, 0, 0])), Some("/a\"b".to_owned()))];
        let sources = vec![("array".into(), array), ("hash".into(), hash), ("events".into(), events)];
        Recording { package: "p".into(), names, reads: vec![Read { at: Duration::from_millis(5), sources }] }
    }

    fn text(recording: &Recording) -> String {
        let mut out = Vec::new();
        recording.write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_written_recording_is_read_again() {
        let (before, written) = (sample(), text(&sample()));
        let after = Recording::parse(&written).unwrap();
        assert_eq!(text(&after), written);
        assert_eq!(after.names, before.names);
        let (array, hash) = (&after.reads[0].sources[0].1, &after.reads[0].sources[1].1);
        assert_eq!(array.values, before.reads[0].sources[0].1.values, "zeros come back");
        assert!(matches!(&hash.keys, Keys::Bytes { size: 2, bytes } if *bytes == [1, 2, 9, 9]), "in the keys' order");
        assert_eq!(hash.row(0), (16..32).collect::<Vec<u8>>());
        assert!(written.contains(r#"{"row":{"index":1,"values":["010002"]}}"#), "{written}");
    }

    #[test]
    fn the_error_names_the_wrong_line() {
        let good = text(&sample());
        for (from, to, line, says) in [
            ("\"version\":1", "\"version\":2", 1, "found version 2"),
            ("cgroup", "cgroups", 2, "found the table `cgroups`"),
            ("\"010002\"", "\"01000\"", 5, "expected pairs of hex digits"),
            ("\"010002\"", "\"010002\",\"\"", 5, "found 2 values, expected 1"),
            ("\"index\":1", "\"index\":3", 5, "found no index below the 3 rows"),
            ("\"rows\":3", "\"rows\":99999999999", 4, "found 99999999999 rows"),
            ("\"at_ms\"", "\"at_s\"", 3, "unknown field `at_s`"),
            ("\"0102\"", "\"01\"", 7, "found a key of 1 bytes, expected 2"),
        ] {
            assert!(good.contains(from), "{from}");
            let (found, why) = Recording::parse(&good.replacen(from, to, 1)).unwrap_err();
            assert!(found == line && why.contains(says), "{found}: {why}");
        }
        assert_eq!(Recording::parse("").unwrap_err().1, "found an empty file");
    }
}
