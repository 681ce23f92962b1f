//! `ebhost run`: one package in a terminal, for its author or for somebody who looks into a problem on a host.

use std::{
    io::{self, Write as _},
    process::ExitCode,
    time::Instant,
};

use super::{AuthorError, command::RunArgs, interrupt::InterruptibleWait, plausible, read, show, stale};
use ebhost_agent::Single;
use ebhost_limits as limits;
use ebhost_plugin_host::Engine;

pub(super) fn run(args: &RunArgs, engine: &Engine) -> Result<ExitCode, AuthorError> {
    let package = read(&args.package)?;
    stale::artefacts(&package)
        .iter()
        .for_each(|stale| eprintln!("warning: {}: {}", stale.artefact.display(), stale.message()));
    let name = package.name.clone();
    let mut single = Single::load(package, engine)?;
    println!("{name} counts for {} s; Ctrl-C ends it before", args.time.as_secs_f64());
    let mut wait = InterruptibleWait::new()?;
    let started = Instant::now();
    wait.wait(args.time);
    let counted = started.elapsed();
    single.collect(Instant::now() + limits::SCRAPE);
    let table = single.table().ok_or(AuthorError::Late)?;
    let mut text = String::new();
    table.families().for_each(|family| show::family(family, &mut text));
    plausible::implausible_sums(table).for_each(|message| eprintln!("warning: {message}"));
    let stats = table.stats();
    let counts = format!("{} series of {} entries in {:.1} s\n", stats.series, stats.entries, counted.as_secs_f64());
    io::stdout().write_all((text + &counts).as_bytes()).map_err(AuthorError::Output)?;
    Ok(ExitCode::SUCCESS)
}
