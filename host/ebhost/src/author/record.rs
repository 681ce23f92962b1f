//! `ebhost record`: runs a package for a while and keeps what its maps held.

use std::{
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use super::{
    AuthorError,
    command::Record,
    read,
    recording::{Read, Recording},
    wait::{Ended, Waiting},
};
use crate::agent::Single;
use ebhost_limits as limits;
use ebhost_plugin_host::Engine;
use ebhost_snapshot::{Keys, Snapshot};

pub(super) fn record(asked: &Record, engine: &Engine) -> Result<ExitCode, AuthorError> {
    let package = read(&asked.package)?;
    let mut recording = Recording { package: package.name.clone(), ..Recording::default() };
    let mut single = Single::load(package, engine)?;
    println!("{} counts for {} s; Ctrl-C ends it before", recording.package, asked.time.as_secs_f64());
    let mut waiting = Waiting::new()?;
    let started = Instant::now();
    for number in 1..=asked.reads {
        let due = asked.time.mul_f64(f64::from(number) / f64::from(asked.reads));
        let ended = waiting.wait(due.saturating_sub(started.elapsed()));
        let at = started.elapsed();
        single.collect(Instant::now() + limits::SCRAPE);
        if single.table().is_none() {
            return Err(AuthorError::Late);
        }
        let sources = single.snapshots().map(|(name, snapshot)| (name.to_owned(), copy(snapshot))).collect();
        recording.reads.push(Read { at, sources });
        if ended == Ended::Asked {
            break;
        }
    }
    recording.names = single.names();
    let path = &asked.output;
    recording.save(path).map_err(|error| AuthorError::Unwritable { path: path.clone(), error })?;
    tell(&recording, path);
    Ok(ExitCode::SUCCESS)
}

fn tell(recording: &Recording, path: &Path) {
    let rows: usize = recording.reads.iter().flat_map(|read| &read.sources).map(|(_, snapshot)| snapshot.len).sum();
    let last = recording.reads.last().map_or(Duration::ZERO, |read| read.at);
    println!(
        "{}: {} reads within {:.1} s, {rows} rows, {} names",
        path.display(),
        recording.reads.len(),
        last.as_secs_f64(),
        recording.names.len()
    );
}

fn copy(snapshot: &Snapshot) -> Snapshot {
    let keys = match &snapshot.keys {
        Keys::Index => Keys::Index,
        Keys::Bytes { size, bytes } => Keys::Bytes { size: *size, bytes: bytes.clone() },
        Keys::Events { cpus } => Keys::Events { cpus: cpus.clone() },
    };
    let (value_stride, cpus, len, complete) = (snapshot.value_stride, snapshot.cpus, snapshot.len, snapshot.complete);
    Snapshot { keys, values: snapshot.values.clone(), value_stride, cpus, len, complete }
}
