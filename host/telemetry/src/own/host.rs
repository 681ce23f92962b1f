//! Metrics of the host as a whole, and of its process.

use std::fmt;

use prometheus_client::registry::Unit;

use super::{Report, families::Families};
use crate::{Process, Stage};

/// Families without a volatile field.
pub(super) fn stable(families: &mut Families<'_, '_>, report: &Report) -> fmt::Result {
    let build = vec![
        ("version", report.build.version),
        ("revision", report.build.revision),
        ("rustc", report.build.rustc),
        ("arch", std::env::consts::ARCH),
    ];
    families.gauge("build_info", "The running version.", None, [(build, 1u64)])?;
    families.gauge("ready", "1 once every package is attached or left out.", None, [(vec![], 1u64)])?;
    families.gauge("lookup_names", "Names kept for lookups.", None, [(vec![], report.lookup_names)])?;
    let help = "Log lines lost because nobody read standard error.";
    families.counter("log_dropped", help, None, [(vec![], report.dropped_log_lines)])?;
    let help = "Packages added, exchanged and removed since the start.";
    families.counter("reloads", help, None, [(vec![], report.reloads)])?;
    let help = "New versions of packages that were refused.";
    families.counter("reload_failures", help, None, [(vec![], report.reload_failures)])?;
    let panics = report.thread_panics.iter().map(|(thread, panics)| (vec![("thread", thread.as_str())], *panics));
    families.counter("thread_panics", "Panics of threads; the log has their messages.", None, panics)?;
    let left_out = report.packages.iter().filter(|package| !package.fault.is_empty());
    let left_out = left_out.map(|package| (vec![("file", package.file.as_str())], 1u64));
    let help = "1 for each file whose package was left out; the log and the status page give the reason.";
    families.gauge("package_left_out", help, None, left_out)
}

/// Families that change with every scrape.
pub(super) fn volatile(families: &mut Families<'_, '_>, report: &Report) -> fmt::Result {
    families.counter("scrapes", "Scrapes answered.", None, [(vec![], *report.scrapes)])?;
    let help = "Readings of the kernel; scrapes that wait when one begins share it.";
    families.counter("collections", help, None, [(vec![], *report.collections)])?;
    let help = "Time of the last reading, labelling and counting.";
    families.gauge("collect", help, Some(&Unit::Seconds), [(vec![], *report.collect_seconds)])?;
    let help = "Time of the last scrape, from its turn to its answer.";
    families.gauge("scrape_duration", help, Some(&Unit::Seconds), [(vec![], *report.scrape_seconds)])?;
    let stages = Stage::ALL.iter().zip(*report.stages);
    let stages = stages.map(|(stage, spent)| (vec![("stage", stage.name())], spent.as_secs_f64()));
    families.counter("scrape_cpu", "CPU time of scrapes by stage.", Some(&Unit::Seconds), stages)?;
    let help = "Size of the last scrape's answer, before compression.";
    families.gauge("exposition", help, Some(&Unit::Bytes), [(vec![], *report.exposition_bytes)])
}

/// Under the names that every client library gives them, so without our prefix.
pub(super) fn process(families: &mut Families<'_, '_>, process: &Process) -> fmt::Result {
    let one = |value: u64| [(vec![], value)];
    let (seconds, bytes) = (Some(&Unit::Seconds), Some(&Unit::Bytes));
    families.counter("process_cpu", "User and system CPU time.", seconds, [(vec![], process.cpu_seconds)])?;
    families.gauge("process_resident_memory", "Memory in RAM.", bytes, one(process.resident_bytes))?;
    families.gauge("process_virtual_memory", "Address space in use.", bytes, one(process.virtual_bytes))?;
    families.gauge("process_open_fds", "Open file descriptors.", None, one(process.open_fds))?;
    families.gauge("process_max_fds", "File descriptors that may be open.", None, one(process.max_fds))?;
    families.gauge("process_threads", "Threads.", None, one(process.threads))?;
    let help = "Start of the process, in seconds since 1970.";
    families.gauge("process_start_time", help, seconds, [(vec![], process.start_seconds)])
}
