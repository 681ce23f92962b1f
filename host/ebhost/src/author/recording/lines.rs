//! The lines of a recording, and their conversion from and to snapshots.

use serde::{Deserialize, Serialize};

use super::hex::{hex, unhex};
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
    /// One value for each CPU, in hex.
    pub(super) values: Vec<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_zero(size: &usize) -> bool {
    *size == 0
}

/// The package of a recording whose version is known.
pub(super) fn begin(head: &Head) -> Result<String, String> {
    if head.version == VERSION {
        Ok(head.package.clone())
    } else {
        Err(format!("found version {} (by {}): record it again with this ebhost", head.version, head.by))
    }
}

/// The line that begins a source.
pub(super) fn source(name: &str, snapshot: &Snapshot) -> Source {
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

/// The rows of a snapshot. Those with keys are sorted: the kernel's order means nothing and differs from boot to boot.
pub(super) fn rows(snapshot: &Snapshot) -> Vec<Row> {
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

/// A value without the zeros at its end.
fn trimmed(value: &[u8]) -> &[u8] {
    let end = value.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &value[..end]
}

/// A snapshot of a source before its rows are filled in; all rows of an array are there, and zero. Memory is taken from `budget`.
pub(super) fn empty(source: &Source, budget: &mut usize) -> Result<Snapshot, String> {
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

/// Adds a row to a snapshot.
pub(super) fn fill(snapshot: &mut Snapshot, row: &Row) -> Result<(), String> {
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
