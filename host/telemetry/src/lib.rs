//! What ebhost says about itself: log lines and its own metrics.
//!
//! It is told everything and asks nobody, so that every stage may use it.

mod lines;
mod own;
mod process;
mod stages;
mod text;

use std::io::{self, IsTerminal as _};

use tracing::level_filters::LevelFilter;

pub use lines::{dropped_log_lines, flush_log};
pub use own::{
    BuildInfo, EventsReport, MapReport, Moving, OwnMetrics, PackageReport, PerfReport, ProgramReport, Report,
};
pub use process::Process;
pub use stages::{Stage, StageClock};

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogForm {
    Text,
    Json,
}

/// Whether log lines have the time: who keeps them may add it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogTimes {
    Shown,
    LeftOut,
}

/// Sends log lines to standard error, which leaves standard output to commands that print.
pub fn start_log(form: LogForm, times: LogTimes, least: LevelFilter) {
    let log = tracing_subscriber::fmt().with_max_level(least).with_target(false);
    let lines = match lines::Lines::start(io::stderr()) {
        Ok(lines) => log.with_writer(lines),
        // A host that cannot start a thread will say so itself, if it can say anything.
        Err(_) => return log.with_writer(io::stderr).init(),
    };
    let is_terminal = io::stderr().is_terminal();
    match (form, times) {
        (LogForm::Text, LogTimes::Shown) => lines.with_ansi(is_terminal).init(),
        (LogForm::Text, LogTimes::LeftOut) => lines.with_ansi(is_terminal).without_time().init(),
        (LogForm::Json, LogTimes::Shown) => lines.json().init(),
        (LogForm::Json, LogTimes::LeftOut) => lines.json().without_time().init(),
    }
}

/// Whether a name is one of the host's own, under either prefix, or kept for one.
pub fn is_own(name: &str) -> bool {
    const KEPT: [&str; 15] = [
        "ebhost_build_info",
        "ebhost_ready",
        "ebhost_scrape",
        "ebhost_collect_",
        "ebhost_exposition_",
        "ebhost_lookup_",
        "ebhost_plugin_",
        "ebhost_program_",
        "ebhost_map_",
        "ebhost_perf_event_",
        "ebhost_events_",
        "ebpf_exporter_build_info",
        "ebpf_exporter_enabled_configs",
        "ebpf_exporter_ebpf_program_",
        "ebpf_exporter_decoder_errors",
    ];
    KEPT.iter().any(|kept| name.starts_with(kept))
}
