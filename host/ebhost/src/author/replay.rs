//! `ebhost replay`: prints the metrics that a scrape would have returned for a recording.
//!
//! The result does not depend on the machine or the time: names are those of the recording. So the same package and file give the same
//! bytes, and comparing them with a golden file is a test.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use super::{
    AuthorError,
    command::ReplayArgs,
    cost::{self, LimitUsage},
    read,
    recording::Recording,
};
use ebhost_agent::Offline;
use ebhost_lookup::Lookups;
use ebhost_metrics::{Created, Format, Presentation, encode_fragment};
use ebhost_package::Limits;
use ebhost_plugin_host::Engine;
use ebhost_series::{ShapeMismatch, Table, schema::View};

/// Why a replay is not what was expected.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReplayError {
    #[error("{path}: cannot be read: {source}; `--bless` writes it")]
    NoGolden { path: PathBuf, source: io::Error },
    #[error("{recording}: is of the package `{found}`, expected one of `{expected}`")]
    OtherPackage { recording: PathBuf, found: String, expected: String },
    #[error("{recording}: has no source `{source_name}`, which the manifest reads; record it again")]
    NoSource { recording: PathBuf, source_name: String },
}

pub(super) fn replay(args: &ReplayArgs, engine: &Engine) -> Result<ExitCode, AuthorError> {
    let package = read(&args.package)?;
    let recording = Recording::open(&args.recording)?;
    let offline = Offline::new(&package, engine)?;
    if recording.package != package.name {
        let (found, expected) = (recording.package, package.name);
        return Err(ReplayError::OtherPackage { recording: args.recording.clone(), found, expected }.into());
    }
    let replayed = play(offline, &recording, &args.recording)?;
    let text = print(&replayed.table, &args.namespace);
    for line in report(&replayed, package.limits, text.len()) {
        eprintln!("{line}");
    }
    let Some(golden) = &args.expect else {
        io::stdout().write_all(&text).map_err(AuthorError::Output)?;
        return Ok(ExitCode::SUCCESS);
    };
    if args.bless {
        fs::write(golden, &text).map_err(|source| AuthorError::Unwritable { path: golden.clone(), source })?;
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
        let outdated = |misfit| AuthorError::Outdated { recording: path.to_owned(), misfit };
        // The table accepts values that are longer than it needs; a struct that has shrunk since must be reported all the same.
        let is_other = |view: &View| {
            let stride = find(&view.source).map_or(0, |snapshot| snapshot.value_stride);
            !view.is_events() && stride != view.value_size && stride != view.value_size.next_multiple_of(8)
        };
        if let Some(view) = schema.views.iter().position(is_other) {
            return Err(outdated(ShapeMismatch { view }));
        }
        offline.count(&mut lookups, find).map_err(outdated)?;
    }
    Ok(offline)
}

fn print(table: &Table, namespace: &str) -> Vec<u8> {
    encode_fragment(Format::Text004, Created::LeftOut, Presentation::exact(namespace), table.families())
}

/// The usage of each limit, and a warning where it is near.
fn report(replayed: &Offline, limits: Limits, text_bytes: usize) -> Vec<String> {
    let (tally, stats) = (replayed.plugin.tally(), replayed.table.stats());
    let mut lines = cost::lines(tally, stats.series, text_bytes, limits).to_vec();
    let near = |usage: &LimitUsage| usage.near().map(|near| format!("warning: {near}: {}", usage.remedy));
    lines.extend(cost::usages(tally, stats.series, limits).iter().filter_map(near));
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

/// Compares the text with a golden file, and prints the first line that differs.
fn compare(golden: &Path, text: &[u8]) -> Result<ExitCode, AuthorError> {
    let expected = fs::read(golden).map_err(|source| ReplayError::NoGolden { path: golden.to_owned(), source })?;
    if expected == text {
        println!("{}: as expected", golden.display());
        return Ok(ExitCode::SUCCESS);
    }
    let (expected, found) = (String::from_utf8_lossy(&expected), String::from_utf8_lossy(text));
    let same = expected.lines().zip(found.lines()).take_while(|(expected, found)| expected == found).count();
    let line = |text: &str| text.lines().nth(same).unwrap_or("(the end)").to_owned();
    println!("{}:{}: differs\n  expected {}\n  found    {}", golden.display(), same + 1, line(&expected), line(&found));
    println!("`--bless` overwrites the expected file with what was found");
    Ok(ExitCode::FAILURE)
}
