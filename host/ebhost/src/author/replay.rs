//! `ebhost replay`: prints the metrics that a scrape would have returned for a recording.
//!
//! The result does not depend on the machine or the time: names and the architecture are those of the recording, nothing has a deadline
//! and nothing backs off. So the same package and file give the same bytes, and comparing them with a golden file is a test.

use std::{
    borrow::Cow,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use super::{
    AuthorError,
    command::ReplayArgs,
    cost::{self, LimitUsage},
    plausible, read,
    recording::{Contents, Read, Recording},
    unrecorded::UnrecordedNames,
};
use ebhost_agent::Offline;
use ebhost_limits as limits;
use ebhost_lookup::Lookups;
use ebhost_metrics::{Created, Format, Presentation, encode_fragment};
use ebhost_package::{Limits, Package};
use ebhost_plugin_host::{DecodeError, Engine};
use ebhost_series::{
    ShapeMismatch, Table,
    schema::{Schema, View},
};
use ebhost_snapshot::Snapshot;

/// Why a replay is not what was expected.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReplayError {
    #[error("{path}: cannot be read: {source}; `--bless` writes it")]
    NoGolden { path: PathBuf, source: io::Error },
    #[error("{recording}: is of the package `{found}`, expected one of `{expected}`")]
    OtherPackage { recording: PathBuf, found: String, expected: String },
    #[error("{recording}: has no source `{source_name}`, which the manifest reads; record it again")]
    NoSource { recording: PathBuf, source_name: String },
    #[error(transparent)]
    Unrecorded(#[from] UnrecordedNames),
    #[error(
        "the component did not answer within {} s: found a decoder that hangs, expected one that returns; look for a loop that never ends", limits::REPLAY.as_secs()
    )]
    Hangs,
}

pub(super) fn replay(args: &ReplayArgs, engine: &Engine) -> Result<ExitCode, AuthorError> {
    let mut package = read(&args.package)?;
    if let Some(config) = &args.config {
        package.replace_config(config)?;
    }
    let recording = Recording::open(&args.recording)?;
    if recording.package != package.name {
        let (found, expected) = (recording.package, package.name);
        return Err(ReplayError::OtherPackage { recording: args.recording.clone(), found, expected }.into());
    }
    let Played { offline: replayed, unrecorded } = play(&package, &recording, &args.recording, engine)?;
    let text = print(&replayed.table, &args.namespace);
    for line in report(&replayed, package.limits, text.len()) {
        eprintln!("{line}");
    }
    match unrecorded {
        // Without its names a replay is no test: it has other series than the machine had, or none.
        Some(names) if args.expect.is_some() => return Err(ReplayError::Unrecorded(names).into()),
        Some(names) => eprintln!("warning: {names}"),
        None => {}
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

/// A package that has counted a recording.
pub(super) struct Played {
    pub(super) offline: Offline,
    /// The names that it asked for and the recording does not hold.
    pub(super) unrecorded: Option<UnrecordedNames>,
}

/// Counts every read of a recording.
pub(super) fn play(
    package: &Package,
    recording: &Recording,
    path: &Path,
    engine: &Engine,
) -> Result<Played, AuthorError> {
    let architecture = recording.architecture.as_deref().unwrap_or(std::env::consts::ARCH);
    let mut offline = Offline::for_replay(package, engine, architecture)?;
    let mut lookups = Lookups::recorded(recording.names.iter().cloned());
    let schema = offline.table.schema().clone();
    for read in &recording.reads {
        let outdated = |misfit| AuthorError::Outdated { recording: path.to_owned(), misfit };
        let seen = snapshots(&schema, read, path)?;
        let seen: Vec<&Snapshot> = seen.iter().map(AsRef::as_ref).collect();
        offline.count(&mut lookups, &seen).map_err(outdated)?;
        if offline.plugin.tally().failures.contains_key(DecodeError::DEADLINE) {
            return Err(ReplayError::Hangs.into());
        }
    }
    Ok(Played { offline, unrecorded: UnrecordedNames::of(path, recording, &lookups) })
}

/// The rows of one read that each view sees.
fn snapshots<'a>(schema: &Schema, read: &'a Read, path: &Path) -> Result<Vec<Cow<'a, Snapshot>>, AuthorError> {
    let find = |name: &str| -> Result<&'a Contents, ReplayError> {
        let found = read.sources.iter().find(|(source, _)| source == name);
        let missing = || ReplayError::NoSource { recording: path.to_owned(), source_name: name.to_owned() };
        found.map(|(_, contents)| contents).ok_or_else(missing)
    };
    // A source that is missing is the simpler message.
    schema.views.iter().try_for_each(|view| find(&view.source).map(drop))?;
    let see = |(index, view): (usize, &View)| {
        let misfit = ShapeMismatch { view: index };
        find(&view.source)?.snapshot(view).ok_or(AuthorError::Outdated { recording: path.to_owned(), misfit })
    };
    schema.views.iter().enumerate().map(see).collect()
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
    lines.extend(plausible::implausible_sums(&replayed.table).map(|message| format!("warning: {message}")));
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
