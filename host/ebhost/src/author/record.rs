//! `ebhost record`: runs a package for a while and records the contents of its maps.

use std::{
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use super::{
    AuthorError,
    command::RecordArgs,
    interrupt::{InterruptibleWait, WaitEnd},
    read,
    recording::{Read, Recording},
    stale,
};
use ebhost_agent::Single;
use ebhost_limits as limits;
use ebhost_plugin_host::Engine;

pub(super) fn record(args: &RecordArgs, engine: &Engine) -> Result<ExitCode, AuthorError> {
    let package = read(&args.package)?;
    stale::artefacts(&package)
        .iter()
        .for_each(|stale| eprintln!("warning: {}: {}", stale.artefact.display(), stale.message()));
    let architecture = Some(std::env::consts::ARCH.to_owned());
    let mut recording = Recording { package: package.name.clone(), architecture, ..Recording::default() };
    let mut single = Single::load(package, engine)?;
    println!("{} counts for {} s; Ctrl-C ends it before", recording.package, args.time.as_secs_f64());
    let mut wait = InterruptibleWait::new()?;
    let started = Instant::now();
    for number in 1..=args.reads {
        let due = args.time.mul_f64(f64::from(number) / f64::from(args.reads));
        let ended = wait.wait(due.saturating_sub(started.elapsed()));
        let at = started.elapsed();
        single.collect(Instant::now() + limits::SCRAPE);
        if single.table().is_none() {
            return Err(AuthorError::Late);
        }
        let sources = single.contents().map(|(name, contents)| (name.to_owned(), contents.into())).collect();
        recording.reads.push(Read { at, sources });
        if ended == WaitEnd::Interrupted {
            break;
        }
    }
    recording.names = single.names();
    let path = &args.output;
    recording.save(path).map_err(|source| AuthorError::Unwritable { path: path.clone(), source })?;
    print_summary(&recording, path);
    Ok(ExitCode::SUCCESS)
}

fn print_summary(recording: &Recording, path: &Path) {
    let rows: usize = recording.reads.iter().flat_map(|read| &read.sources).map(|(_, contents)| contents.rows()).sum();
    let last = recording.reads.last().map_or(Duration::ZERO, |read| read.at);
    println!(
        "{}: {} reads within {:.1} s, {rows} rows, {} names",
        path.display(),
        recording.reads.len(),
        last.as_secs_f64(),
        recording.names.len()
    );
}
