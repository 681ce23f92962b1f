//! `ebhost replay`: a recording through the plugin and the series table, to the text that a scrape would give.
//!
//! Nothing of the machine comes into it: names are those of the recording, time has no part in the result. So the same
//! package and file give the same bytes, and a golden file of them is a test.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use super::{
    AuthorError,
    command::Replay,
    cost::{self, Share},
    read,
    recording::Recording,
};
use crate::agent::Offline;
use ebhost_lookup::Lookups;
use ebhost_metrics::{Created, Format, Presentation, encode_fragment};
use ebhost_package::Limits;
use ebhost_plugin_host::Engine;
use ebhost_series::{Misfit, Table, schema::View};

/// Why a replay is not what was expected.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReplayError {
    #[error("{path}: cannot be read: {error}; `--bless` writes it")]
    NoGolden { path: PathBuf, error: io::Error },
    #[error("{recording}: is of the package `{found}`, expected one of `{expected}`")]
    OtherPackage { recording: PathBuf, found: String, expected: String },
    #[error("{recording}: has no source `{source_name}`, which the manifest reads; record it again")]
    NoSource { recording: PathBuf, source_name: String },
}

pub(super) fn replay(asked: &Replay, engine: &Engine) -> Result<ExitCode, AuthorError> {
    let package = read(&asked.package)?;
    let recording = Recording::open(&asked.recording)?;
    let offline = Offline::new(&package, engine)?;
    if recording.package != package.name {
        let (found, expected) = (recording.package, package.name);
        return Err(ReplayError::OtherPackage { recording: asked.recording.clone(), found, expected }.into());
    }
    let replayed = play(offline, &recording, &asked.recording)?;
    let text = print(&replayed.table, &asked.namespace);
    for line in report(&replayed, package.limits, text.len()) {
        eprintln!("{line}");
    }
    let Some(golden) = &asked.expect else {
        io::stdout().write_all(&text).map_err(AuthorError::Output)?;
        return Ok(ExitCode::SUCCESS);
    };
    if asked.bless {
        fs::write(golden, &text).map_err(|error| AuthorError::Unwritable { path: golden.clone(), error })?;
        println!("{}: written, {} bytes", golden.display(), text.len());
        return Ok(ExitCode::SUCCESS);
    }
    compare(golden, &text)
}

/// Counts every read of a recording.
pub(super) fn play(mut offline: Offline, recording: &Recording, path: &Path) -> Result<Offline, AuthorError> {
    let mut lookups = Lookups::recorded(recording.names.iter().cloned());
    let schema = offline.table.schema().clone();
    for read in &recording.reads {
        let find = |name: &str| read.sources.iter().find(|(source, _)| source == name).map(|(_, snapshot)| snapshot);
        if let Some(view) = schema.views.iter().find(|view| find(&view.source).is_none()) {
            let source_name = view.source.clone();
            return Err(ReplayError::NoSource { recording: path.to_owned(), source_name }.into());
        }
        let outgrown = |misfit| AuthorError::Outgrown { recording: path.to_owned(), misfit };
        // The table takes values that are longer than it needs; a struct that has shrunk since is to be told all the same.
        let is_other = |view: &View| {
            let stride = find(&view.source).map_or(0, |snapshot| snapshot.value_stride);
            !view.is_events() && stride != view.value_size && stride != view.value_size.next_multiple_of(8)
        };
        if let Some(view) = schema.views.iter().position(is_other) {
            return Err(outgrown(Misfit { view }));
        }
        offline.count(&mut lookups, find).map_err(outgrown)?;
    }
    Ok(offline)
}

fn print(table: &Table, namespace: &str) -> Vec<u8> {
    encode_fragment(Format::Text004, Created::LeftOut, Presentation::exact(namespace), table.families())
}

/// What it cost, beside what it may cost, and a warning where that is near.
fn report(replayed: &Offline, limits: Limits, text_bytes: usize) -> Vec<String> {
    let (tally, stats) = (replayed.plugin.tally(), replayed.table.stats());
    let mut lines = cost::lines(tally, stats.series, text_bytes, limits).to_vec();
    let near = |share: &Share| share.near().map(|near| format!("warning: {near}: {}", share.remedy));
    lines.extend(cost::shares(tally, stats.series, limits).iter().filter_map(near));
    if stats.folded > 0 {
        lines.push(format!("warning: {} label sets were folded into `other` by limits.series", stats.folded));
    }
    if stats.refused > 0 {
        lines.push(format!(
            "warning: {} identities were refused as unknown; --log.level debug shows them",
            stats.refused
        ));
    }
    let failures =
        tally.failures.iter().map(|(reason, count)| format!("warning: decode failed {count} times: {reason}"));
    lines.extend(failures);
    lines
}

/// Says the first line in which the golden file and the text differ.
fn compare(golden: &Path, text: &[u8]) -> Result<ExitCode, AuthorError> {
    let expected = fs::read(golden).map_err(|error| ReplayError::NoGolden { path: golden.to_owned(), error })?;
    if expected == text {
        println!("{}: as expected", golden.display());
        return Ok(ExitCode::SUCCESS);
    }
    let (expected, found) = (String::from_utf8_lossy(&expected), String::from_utf8_lossy(text));
    let same = expected.lines().zip(found.lines()).take_while(|(expected, found)| expected == found).count();
    let line = |text: &str| text.lines().nth(same).unwrap_or("(the end)").to_owned();
    println!("{}:{}: differs\n  expected {}\n  found    {}", golden.display(), same + 1, line(&expected), line(&found));
    println!("`--bless` takes what was found as what is expected");
    Ok(ExitCode::FAILURE)
}
