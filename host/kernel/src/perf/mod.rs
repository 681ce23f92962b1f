//! Perf events: a group of counters on every CPU, read as a table with one row for each CPU.
//!
//! [`event`] resolves names of events on this machine, [`plan`] is what a source opens on a CPU, [`group`] the open counters of one CPU,
//! [`opener`] the thread that may open them, [`reader`] keeps a group on every CPU that is online, [`diagnosis`] says why an event does
//! not count. Counts are the kernel's. Where the kernel lets events take turns (multiplexing) they are scaled, and reported as scaled.
//! A CPU on which nothing was counted has no row, never a row of zeros.

mod cpus;
mod diagnosis;
mod event;
mod group;
mod opener;
mod plan;
mod reader;

pub(super) use cpus::{Generation, OnlineCpus, last_cpu};
pub(crate) use diagnosis::{more_than_perfmon, too_many_files};
pub(super) use opener::{Opener, OpenerGone, Start};
pub use reader::{EventState, PerfReader};
