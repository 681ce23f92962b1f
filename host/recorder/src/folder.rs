//! Recordings on disk: segments as they are packed, and whole dumps.
//!
//! A segment is a file of its own, `segment-FIRST-LAST.flight` with the times of its frames, and can be viewed by itself. It is deleted when it
//! leaves the window, so the folder takes no more than the memory of the window. Files that are not ours are left alone.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use ebhost_limits as limits;
use ebhost_telemetry::{unix_seconds, utc_stamp};
use tracing::warn;

use crate::{
    window::{Dump, Segment},
    wire::HEADER,
};

/// Why a recording is not on disk.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    #[error("nothing is recorded: the recorder is off; try --recorder.window 15m")]
    Off,
    #[error("there is no folder for recordings; try --recorder.dir DIR, or GET /recorder/dump")]
    NoFolder,
    #[error("{path}: the recording cannot be written")]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// The name of a dump that is made now: `ebhost-20261127T002131Z.flight`.
pub fn file_name(now: SystemTime) -> String {
    format!("ebhost-{}.flight", utc_stamp(unix_seconds(now)))
}

/// Writes a dump into a folder; returns its file.
pub(crate) fn save(folder: &Path, dump: &Dump) -> Result<PathBuf, SaveError> {
    let path = folder.join(file_name(SystemTime::now()));
    write(&path, &dump.chunks).map_err(|source| SaveError::Write { path: path.clone(), source })?;
    Ok(path)
}

pub(crate) fn store(folder: &Path, segment: &Segment) -> Result<(), SaveError> {
    let path = path_of(folder, segment);
    let chunks = [Bytes::from_static(&HEADER), segment.packed.clone()];
    write(&path, &chunks).map_err(|source| SaveError::Write { path, source })
}

pub(crate) fn remove(folder: &Path, segment: &Segment) {
    let _ = fs::remove_file(path_of(folder, segment)); // somebody else may have deleted it
}

/// The segments of an earlier run that are still within the window; others are deleted.
pub(crate) fn load(folder: &Path, length: Duration) -> Vec<Segment> {
    let since = unix_seconds(SystemTime::now()) - length.as_secs_f64();
    let mut segments = Vec::new();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            warn!("{}: recordings of before cannot be read: {error}", folder.display());
            return segments;
        }
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        let Some((first_ms, last_ms)) = times_of(&path) else { continue };
        if (last_ms as f64) < since * 1e3 {
            let _ = fs::remove_file(&path); // it stays if it cannot be deleted
            continue;
        }
        let is_small = fs::metadata(&path).is_ok_and(|file| file.len() <= limits::RECORDER_BYTES as u64);
        let bytes = if is_small { fs::read(&path).unwrap_or_default() } else { Vec::new() };
        if let Some(packed) = bytes.strip_prefix(&HEADER) {
            segments.push(Segment { first_ms, last_ms, packed: Bytes::copy_from_slice(packed) });
        }
    }
    segments.sort_by_key(|segment| segment.first_ms);
    segments
}

fn path_of(folder: &Path, segment: &Segment) -> PathBuf {
    folder.join(format!("segment-{}-{}.flight", segment.first_ms, segment.last_ms))
}

fn times_of(path: &Path) -> Option<(u64, u64)> {
    let name = path.file_name()?.to_str()?.strip_prefix("segment-")?.strip_suffix(".flight")?;
    let (first, last) = name.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

/// Under another name first, so that nobody reads half of it.
fn write(path: &Path, chunks: &[Bytes]) -> io::Result<()> {
    use std::io::Write as _;
    let unfinished = path.with_extension("unfinished");
    let written =
        fs::File::create(&unfinished).and_then(|mut file| chunks.iter().try_for_each(|chunk| file.write_all(chunk)));
    let named = written.and_then(|()| fs::rename(&unfinished, path));
    if named.is_err() {
        let _ = fs::remove_file(&unfinished); // it may not be there
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_of_before_a_restart_are_found_again_and_old_ones_deleted() {
        let folder = std::env::temp_dir().join(format!("ebhost-recorder-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let now = unix_seconds(SystemTime::now()) as u64 * 1000;
        let segment = |ago: u64| Segment {
            first_ms: now - ago * 1000 - 60_000,
            last_ms: now - ago * 1000,
            packed: Bytes::copy_from_slice(&ago.to_le_bytes()),
        };
        for ago in [10, 100, 5000] {
            store(&folder, &segment(ago)).unwrap();
        }
        fs::write(folder.join("other.flight"), "not ours").unwrap();
        let loaded = load(&folder, Duration::from_secs(900));
        assert_eq!(loaded.iter().map(|segment| segment.packed[0]).collect::<Vec<_>>(), [100, 10]);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 3, "the oldest is deleted");
        loaded.iter().for_each(|segment| remove(&folder, segment));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_dir_all(&folder).unwrap();
    }
}
