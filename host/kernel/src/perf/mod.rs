//! Perf events: groups of counters on every CPU, read as a table of one row a CPU.
//!
//! `event` finds what a name means on this machine, `group` is one CPU's counters, `opener` the thread that may open them, `reader`
//! keeps a group on every CPU that is online, `trouble` says in words why one is not. Counts are the kernel's; where the kernel had to let
//! events take turns they are scaled, and said to be. What was not counted has no row.

mod cpus;
mod event;
mod group;
mod opener;
mod reader;
mod trouble;

use std::{collections::BTreeSet, io, path::Path};

pub(super) use opener::Opener;
pub use reader::{EventState, PerfReader};

/// The CPUs that run now.
pub(super) fn online_cpus() -> io::Result<BTreeSet<u32>> {
    cpus::read(Path::new(reader::ONLINE)).ok_or_else(|| io::Error::other(format!("{} cannot be read", reader::ONLINE)))
}
