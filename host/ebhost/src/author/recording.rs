//! Recordings: what a package's maps held and which names were found for it, as lines of JSON (docs/recording.md).
//!
//! One object a line, so that a person reads it and a diff shows what changed. It holds raw bytes and names and nothing
//! that depends on the plugin: another version of the component replays the same file. Rows that are all zero in an array
//! and zeros at the end of a value are left out, so that an array of mostly empty slots stays small.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use ebhost_limits as limits;
use ebhost_lookup::Question;
use ebhost_lookup::tables::LookupTable;
use ebhost_snapshot::{Keys, Snapshot};

/// The form's version; another one is refused.
const VERSION: u32 = 1;

/// What was recorded.
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
    #[error("{path}: cannot be read: {error}; `ebhost record PACKAGE -o FILE` writes one")]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("{path}: found {found} bytes, expected at most {most}: is this the right file?")]
    TooLarge { path: PathBuf, found: u64, most: u64 },
    #[error("{path}:{line}: {why}; expected what `ebhost record` writes, version {VERSION}")]
    Line { path: PathBuf, line: usize, why: String },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Recording(Head),
    Name(Name),
    Read(ReadHead),
    Source(Source),
    Row(Row),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    version: u32,
    package: String,
    /// What wrote it; for people.
    by: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Name {
    table: String,
    bytes: String,
    name: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadHead {
    at_ms: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    name: String,
    keys: KeyForm,
    #[serde(default, skip_serializing_if = "is_zero")]
    key_size: usize,
    value_stride: usize,
    cpus: usize,
    rows: usize,
    complete: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KeyForm {
    Index,
    Bytes,
    Events,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cpu: Option<u32>,
    /// One for each CPU.
    values: Vec<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_zero(size: &usize) -> bool {
    *size == 0
}

impl Recording {
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

    pub(super) fn save(&self, path: &Path) -> io::Result<()> {
        let mut out = io::BufWriter::new(fs::File::create(path)?);
        self.write(&mut out)?;
        out.flush()
    }

    pub(super) fn open(path: &Path) -> Result<Self, RecordingError> {
        let unreadable = |error| RecordingError::Unreadable { path: path.to_owned(), error };
        let found = fs::metadata(path).map_err(unreadable)?.len();
        if found > limits::RECORDING_BYTES {
            return Err(RecordingError::TooLarge { path: path.to_owned(), found, most: limits::RECORDING_BYTES });
        }
        let bytes = fs::read(path).map_err(unreadable)?;
        let text = String::from_utf8_lossy(&bytes);
        Self::parse(&text).map_err(|(line, why)| RecordingError::Line { path: path.to_owned(), line, why })
    }

    /// Reads the lines; an error is the line's number and what is wrong in it.
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

fn begin(head: &Head) -> Result<String, String> {
    if head.version == VERSION {
        Ok(head.package.clone())
    } else {
        Err(format!("found version {} (by {}): record it again with this ebhost", head.version, head.by))
    }
}

fn source(name: &str, snapshot: &Snapshot) -> Source {
    let (keys, key_size) = match &snapshot.keys {
        Keys::Index => (KeyForm::Index, 0),
        Keys::Bytes { size, .. } => (KeyForm::Bytes, *size),
        Keys::Events { .. } => (KeyForm::Events, 0),
    };
    Source {
        name: name.to_owned(),
        keys,
        key_size,
        value_stride: snapshot.value_stride,
        cpus: snapshot.cpus,
        rows: snapshot.len,
        complete: snapshot.complete,
    }
}

/// The rows, those with keys in the keys' order: the kernel's own says nothing and differs from boot to boot.
fn rows(snapshot: &Snapshot) -> Vec<Row> {
    let values = |row: usize| -> Vec<String> {
        snapshot.row(row).chunks_exact(snapshot.value_stride.max(1)).map(|value| hex(trimmed(value))).collect()
    };
    match &snapshot.keys {
        Keys::Index => (0..snapshot.len)
            .filter(|row| snapshot.row(*row).iter().any(|byte| *byte != 0))
            .map(|row| Row { index: Some(row), key: None, cpu: None, values: values(row) })
            .collect(),
        Keys::Bytes { size, bytes } => {
            let mut order: Vec<_> = bytes.chunks_exact((*size).max(1)).take(snapshot.len).enumerate().collect();
            order.sort_by_key(|(_, key)| *key);
            let row = |(row, key)| Row { index: None, key: Some(hex(key)), cpu: None, values: values(row) };
            order.into_iter().map(row).collect()
        }
        Keys::Events { cpus } => (0..snapshot.len)
            .map(|row| Row { index: None, key: None, cpu: cpus.get(row).copied(), values: values(row) })
            .collect(),
    }
}

fn trimmed(value: &[u8]) -> &[u8] {
    let end = value.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &value[..end]
}

/// A source whose rows are still to come; an array's are all there, empty.
fn empty(source: &Source, budget: &mut usize) -> Result<Snapshot, String> {
    let stride = source.value_stride.checked_mul(source.cpus).filter(|stride| *stride > 0);
    let stride = stride.ok_or("found no bytes a row, expected value_stride and cpus of 1 or more")?;
    let bytes = (stride + source.key_size).checked_mul(source.rows);
    *budget = bytes.and_then(|bytes| budget.checked_sub(bytes)).ok_or_else(|| {
        format!(
            "found {} rows of {stride} bytes, expected at most {} bytes in all",
            source.rows,
            limits::RECORDING_BYTES
        )
    })?;
    let (keys, len) = match source.keys {
        KeyForm::Index => (Keys::Index, source.rows),
        KeyForm::Bytes if source.key_size == 0 => {
            return Err("found no key_size, expected it beside keys: bytes".into());
        }
        KeyForm::Bytes => (Keys::Bytes { size: source.key_size, bytes: Vec::new() }, 0),
        KeyForm::Events => (Keys::Events { cpus: Vec::new() }, 0),
    };
    let values = vec![0; len * stride];
    let (value_stride, cpus, complete) = (source.value_stride, source.cpus, source.complete);
    Ok(Snapshot { keys, values, value_stride, cpus, len, complete })
}

fn fill(snapshot: &mut Snapshot, row: &Row) -> Result<(), String> {
    if row.values.len() != snapshot.cpus {
        return Err(format!("found {} values, expected {}, one a CPU", row.values.len(), snapshot.cpus));
    }
    let stride = snapshot.row_stride();
    let at = match (&mut snapshot.keys, row) {
        (Keys::Index, Row { index: Some(index), .. }) if *index < snapshot.len => *index,
        (Keys::Index, _) => return Err(format!("found no index below the {} rows of an array", snapshot.len)),
        (Keys::Bytes { size, bytes }, Row { key: Some(key), .. }) => {
            let key = unhex(key)?;
            if key.len() != *size {
                return Err(format!("found a key of {} bytes, expected {size}", key.len()));
            }
            bytes.extend_from_slice(&key);
            snapshot.len += 1;
            snapshot.len - 1
        }
        (Keys::Bytes { .. }, _) => return Err("found no key, expected the hex digits of one".to_owned()),
        (Keys::Events { cpus }, row) => {
            cpus.push(row.cpu.unwrap_or_default());
            snapshot.len += 1;
            snapshot.len - 1
        }
    };
    snapshot.values.resize(snapshot.len * stride, 0);
    for (cpu, value) in row.values.iter().enumerate() {
        let value = unhex(value)?;
        if value.len() > snapshot.value_stride {
            return Err(format!("found a value of {} bytes, expected at most {}", value.len(), snapshot.value_stride));
        }
        let first = at * stride + cpu * snapshot.value_stride;
        snapshot.values[first..first + value.len()].copy_from_slice(&value);
    }
    Ok(())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn unhex(text: &str) -> Result<Vec<u8>, String> {
    let wrong = || format!("found `{text}`, expected pairs of hex digits");
    let nibble = |digit: u8| char::from(digit).to_digit(16).map(|nibble| nibble as u8);
    if !text.len().is_multiple_of(2) {
        return Err(wrong());
    }
    let byte = |pair: &[u8]| Some(nibble(pair[0])? << 4 | nibble(pair[1])?);
    text.as_bytes().chunks_exact(2).map(byte).collect::<Option<_>>().ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn what_is_written_is_read_again() {
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
    fn a_wrong_line_is_named() {
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
