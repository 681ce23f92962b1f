//! The log of ebhost, and its own metrics.
//!
//! Numbers and lines are handed in; this crate depends on no stage of the pipeline, so that every stage may use it.

#![forbid(unsafe_code)]

mod counter;
mod feed;
mod http;
mod lines;
mod otlp;
mod own;
mod process;
mod recent;
mod stages;
mod text;
mod time;

use std::io::{self, IsTerminal as _};

use tracing::level_filters::LevelFilter;

pub use counter::SharedCounter;
pub use feed::{FeedCounters, FeedReport, feed};
pub use http::{HttpCounters, HttpReport, http};
pub use lines::{dropped_log_lines, flush_log};
pub use otlp::{OtlpCounters, OtlpReport, otlp};
pub use own::{
    BuildInfo, EventsReport, FailureReport, History, KernelCpuReport, MapReport, MapRoom, OwnMetrics, PERF_STATES,
    PackageRates, PackageReport, PerfReport, ProgramRates, ProgramReport, Rates, Report, SpansReport, Volatile, is_own,
};
pub use process::Process;
pub use recent::recent_log_lines;
pub use stages::{Stage, StageClock, StageTimes};
pub use text::one_line;
pub use time::{MonotonicTime, civil, thread_cpu_time, unix_seconds, utc_stamp};

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogForm {
    Text,
    Json,
}

/// Whether log lines carry a timestamp; a journal adds one by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogTimes {
    Shown,
    LeftOut,
}

/// Sends log lines to standard error, which leaves standard output to commands that print.
pub fn start_log(form: LogForm, times: LogTimes, least: LevelFilter) {
    let log = tracing_subscriber::fmt().with_max_level(least).with_target(false);
    let lines = match lines::Lines::start(io::stderr(), lines::Destination::of_stderr()) {
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
