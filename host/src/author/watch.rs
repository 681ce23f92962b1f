//! `ebhost run`: one package in a terminal, for its author or for whoever looks at a sick host.

use std::{
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use super::{AuthorError, command::Watch, read, show};
use crate::{agent::Single, limits, plugin::Engine};

pub(super) fn watch(asked: &Watch, cache: Option<&Path>) -> Result<ExitCode, AuthorError> {
    let package = read(&asked.package)?;
    let name = package.name.clone();
    let mut single = Single::load(package, &Engine::new(cache, None)?)?;
    println!("{name} counts for {} s; Ctrl-C ends it before", asked.time.as_secs_f64());
    let counted = wait(asked.time)?;
    single.collect(Instant::now() + limits::SCRAPE);
    let table = single.table().ok_or(AuthorError::Late)?;
    let mut text = String::new();
    table.families().for_each(|family| show::family(family, &mut text));
    let stats = table.stats();
    let counts = format!("{} series of {} entries in {:.1} s\n", stats.series, stats.entries, counted.as_secs_f64());
    io::stdout().write_all((text + &counts).as_bytes()).map_err(AuthorError::Output)?;
    Ok(ExitCode::SUCCESS)
}

/// Waits so long, or until Ctrl-C.
fn wait(time: Duration) -> Result<Duration, AuthorError> {
    let started = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(AuthorError::Signals)?;
    let waited = runtime.block_on(async { tokio::time::timeout(time, tokio::signal::ctrl_c()).await });
    match waited {
        Ok(Err(error)) => Err(AuthorError::Signals(error)),
        Ok(Ok(())) | Err(_) => Ok(started.elapsed()),
    }
}
