//! The lines of a recording, and their conversion from and to snapshots.

use serde::{Deserialize, Serialize};

use super::{
    contents::{Contents, Event},
    hex::{hex, unhex},
};
use ebhost_limits as limits;
use ebhost_snapshot::{Keys, Snapshot};

/// Version of the format; other versions are refused.
pub(super) const VERSION: u32 = 1;

/// One line of a recording: an object with one key.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Line {
    Recording(Head),
    Name(Name),
    Read(ReadHead),
    Source(Source),
    Row(Row),
}

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    pub(super) version: u32,
    pub(super) package: String,
    /// The machine's, for what names differ by it; without it, that of the replay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) architecture: Option<String>,
    /// The program that wrote it; for people.
    pub(super) by: String,
}

/// A looked-up name.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Name {
    pub(super) table: String,
    pub(super) bytes: String,
    pub(super) name: Option<String>,
}

/// Begins a read of all sources.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadHead {
    pub(super) at_ms: u64,
}

/// Begins the rows of one source.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) keys: KeyForm,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) key_size: usize,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) value_stride: usize,
    pub(super) cpus: usize,
    pub(super) rows: usize,
    pub(super) complete: bool,
}

/// Form of a source's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum KeyForm {
    Index,
    Bytes,
    Events,
}

/// One row of a source.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) index: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cpu: Option<u32>,
    /// Bytes of an event, the zeros at its end included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) length: Option<usize>,
    /// One value for each CPU, in hex.
    pub(super) values: Vec<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_zero(size: &usize) -> bool {
    *size == 0
}

/// Checks the version of a recording.
pub(super) fn check_version(head: &Head) -> Result<(), String> {
    if head.version == VERSION {
        Ok(())
    } else {
        Err(format!("found version {} (by {}): record it again with this ebhost", head.version, head.by))
    }
}

/// The line that begins a source.
pub(super) fn source(name: &str, contents: &Contents) -> Source {
    let of_table = |snapshot: &Snapshot, keys, key_size| Source {
        name: name.to_owned(),
        keys,
        key_size,
        value_stride: snapshot.value_stride,
        cpus: snapshot.cpus,
        rows: snapshot.len,
        complete: snapshot.complete,
    };
    match contents {
        Contents::Table(snapshot) => match &snapshot.keys {
            Keys::Bytes { size, .. } => of_table(snapshot, KeyForm::Bytes, *size),
            Keys::Index | Keys::Events { .. } => of_table(snapshot, KeyForm::Index, 0),
        },
        Contents::Events(events) => Source {
            name: name.to_owned(),
            keys: KeyForm::Events,
            key_size: 0,
            value_stride: 0,
            cpus: 1,
            rows: events.len(),
            complete: true,
        },
    }
}

/// The rows of a source. Those with keys are sorted: the kernel's order means nothing and differs from boot to boot.
pub(super) fn rows(contents: &Contents) -> Vec<Row> {
    match contents {
        Contents::Table(snapshot) => table_rows(snapshot),
        Contents::Events(events) => events.iter().map(event_row).collect(),
    }
}

fn event_row(event: &Event) -> Row {
    let values = vec![hex(trimmed(&event.bytes))];
    Row { index: None, key: None, cpu: Some(event.cpu), length: Some(event.bytes.len()), values }
}

fn table_rows(snapshot: &Snapshot) -> Vec<Row> {
    let row = |row: usize, index, key| {
        let values = snapshot.row(row).chunks_exact(snapshot.value_stride.max(1)).map(|value| hex(trimmed(value)));
        Row { index, key, cpu: None, length: None, values: values.collect() }
    };
    let Keys::Bytes { size, bytes } = &snapshot.keys else {
        let is_used = |row: &usize| snapshot.row(*row).iter().any(|byte| *byte != 0);
        return (0..snapshot.len).filter(is_used).map(|index| row(index, Some(index), None)).collect();
    };
    let mut order: Vec<_> = bytes.chunks_exact((*size).max(1)).take(snapshot.len).enumerate().collect();
    order.sort_by_key(|(_, key)| *key);
    order.into_iter().map(|(number, key)| row(number, None, Some(hex(key)))).collect()
}

/// A value without the zeros at its end.
fn trimmed(value: &[u8]) -> &[u8] {
    let end = value.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &value[..end]
}

/// The memory that a recording may still take.
#[derive(Debug)]
pub(super) struct MemoryBudget(usize);

impl MemoryBudget {
    pub(super) fn whole() -> Self {
        Self(limits::RECORDING_BYTES as usize)
    }

    /// Takes the memory of so many rows of a source.
    fn take(&mut self, rows: usize, row_bytes: usize) -> Result<(), String> {
        let left = row_bytes.checked_mul(rows).and_then(|bytes| self.0.checked_sub(bytes));
        let most = limits::RECORDING_BYTES;
        self.0 = left
            .ok_or_else(|| format!("found {rows} rows of {row_bytes} bytes, expected at most {most} bytes in all"))?;
        Ok(())
    }
}

/// A source before its rows are filled in; all rows of an array are there, and zero.
pub(super) fn empty(source: &Source, budget: &mut MemoryBudget) -> Result<Contents, String> {
    if source.keys == KeyForm::Events {
        return Ok(Contents::Events(Vec::new()));
    }
    let stride = source.value_stride.checked_mul(source.cpus).filter(|stride| *stride > 0);
    let stride = stride.ok_or("found no bytes a row, expected value_stride and cpus of 1 or more")?;
    let (keys, len) = match source.keys {
        KeyForm::Bytes if source.key_size == 0 => {
            return Err("found no key_size, expected it beside keys: bytes".into());
        }
        KeyForm::Bytes => (Keys::Bytes { size: source.key_size, bytes: Vec::new() }, 0),
        KeyForm::Index | KeyForm::Events => (Keys::Index, source.rows),
    };
    budget.take(len, stride)?;
    let values = vec![0; len * stride];
    let (value_stride, cpus, complete) = (source.value_stride, source.cpus, source.complete);
    Ok(Contents::Table(Snapshot { keys, values, value_stride, cpus, len, complete, ..Snapshot::default() }))
}

/// Adds a row to a source.
pub(super) fn fill(contents: &mut Contents, row: &Row, budget: &mut MemoryBudget) -> Result<(), String> {
    match contents {
        Contents::Table(snapshot) => fill_table(snapshot, row, budget),
        Contents::Events(events) => {
            events.push(event(row, budget)?);
            Ok(())
        }
    }
}

fn event(row: &Row, budget: &mut MemoryBudget) -> Result<Event, String> {
    let [value] = &row.values[..] else {
        return Err(format!("found {} values, expected 1, the event", row.values.len()));
    };
    let length = row.length.ok_or("found no length, expected that of the event; record it again with this ebhost")?;
    let mut bytes = unhex(value)?;
    if bytes.len() > length {
        return Err(format!("found {} bytes, expected at most the length, {length}", bytes.len()));
    }
    budget.take(1, length.saturating_add(size_of::<Event>()))?;
    bytes.resize(length, 0);
    Ok(Event { cpu: row.cpu.unwrap_or_default(), bytes })
}

fn fill_table(snapshot: &mut Snapshot, row: &Row, budget: &mut MemoryBudget) -> Result<(), String> {
    if row.values.len() != snapshot.cpus {
        return Err(format!("found {} values, expected {}, one a CPU", row.values.len(), snapshot.cpus));
    }
    let stride = snapshot.row_stride();
    let at = match (&mut snapshot.keys, row) {
        (Keys::Bytes { size, bytes }, Row { key: Some(key), .. }) => {
            let key = unhex(key)?;
            if key.len() != *size {
                return Err(format!("found a key of {} bytes, expected {size}", key.len()));
            }
            budget.take(1, stride.saturating_add(*size))?;
            bytes.extend_from_slice(&key);
            snapshot.len += 1;
            snapshot.len - 1
        }
        (Keys::Bytes { .. }, _) => return Err("found no key, expected the hex digits of one".to_owned()),
        (_, Row { index: Some(index), .. }) if *index < snapshot.len => *index,
        _ => return Err(format!("found no index below the {} rows of an array", snapshot.len)),
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
