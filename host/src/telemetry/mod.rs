//! What ebhost says about itself: log lines and its own metrics.
//!
//! It is told everything and asks nobody, so that every stage may use it.

mod own;
mod stages;
mod text;

use std::io::{self, IsTerminal as _};

use tracing::level_filters::LevelFilter;

pub use own::{EventsReport, MapReport, OwnMetrics, PackageReport, PerfReport, ProgramReport, Report};
pub use stages::{Stage, StageClock};
pub use text::from_openmetrics as text_from_openmetrics;

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogForm {
    Text,
    Json,
}

/// Sends log lines to standard error, which leaves standard output to commands that print.
pub fn start_log(form: LogForm, least: LevelFilter) {
    let lines = tracing_subscriber::fmt().with_max_level(least).with_writer(io::stderr).with_target(false);
    match form {
        LogForm::Text => lines.with_ansi(io::stderr().is_terminal()).init(),
        LogForm::Json => lines.json().init(),
    }
}

/// Whether a name without the namespace `ebhost` is one of the host's own, or kept for one.
pub fn is_own(name: &str) -> bool {
    const KEPT: [&str; 10] = [
        "build_info",
        "scrape",
        "collect_",
        "exposition_",
        "lookup_",
        "plugin_",
        "program_",
        "map_",
        "perf_event_",
        "events_",
    ];
    KEPT.iter().any(|kept| name.starts_with(kept))
}
