//! The host's report on itself at one scrape, in plain numbers.
//!
//! The agent fills it in; the host's own metrics and the status page are made of it.

use std::{collections::HashSet, ops::Deref};

use serde::Serialize;

use super::rates::Rates;
use crate::{FeedReport, HttpReport, OtlpReport, Process, StageTimes};

/// A value that changes with every scrape. It takes no part in comparing two reports: equal reports differ at most in such values.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[serde(transparent)]
pub struct Volatile<T>(pub T);

impl<T> PartialEq for Volatile<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<T> Deref for Volatile<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Which build this is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct BuildInfo {
    pub version: &'static str,
    /// The commit that it was built from, or `unknown`.
    pub revision: &'static str,
    /// The compiler's version.
    pub rustc: &'static str,
}

/// The host's report on itself at one scrape.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    pub build: BuildInfo,
    pub packages: Vec<PackageReport>,
    pub scrapes: Volatile<u64>,
    pub collections: Volatile<u64>,
    /// CPU time since the start.
    pub stages: Volatile<StageTimes>,
    /// Wall time of reading, labelling and counting in the last scrape.
    pub collect_seconds: Volatile<f64>,
    /// When the maps were last read, in seconds since 1970; none before the first scrape.
    pub collected_at_seconds: Volatile<Option<f64>>,
    /// Wall time of the last scrape, encoding included.
    pub scrape_seconds: Volatile<f64>,
    /// Bytes of the last scrape's answer, before compression.
    pub exposition_bytes: Volatile<u64>,
    pub lookup_names: u64,
    pub lookup_name_bytes: u64,
    /// Cgroups whose names are known, by state; empty while no package looks cgroups up.
    pub cgroups: Vec<(&'static str, u64)>,
    pub dropped_log_lines: u64,
    pub reloads: u64,
    pub reload_failures: u64,
    /// Whether anything is served: at least one package runs.
    pub is_ready: bool,
    /// Whether the kernel counts and times the runs of BPF programs.
    pub bpf_stats_enabled: bool,
    /// Whether the CPU time of programs is measured from time to time.
    pub kernel_cpu_measured: bool,
    /// Why it is not; none: it is.
    pub kernel_cpu_unmeasured: Option<String>,
    /// Panics of each thread by its name, since the start.
    pub thread_panics: Vec<(String, u64)>,
    /// Upper bounds of the buckets of `PackageReport::decode_durations`.
    pub decode_bounds: &'static [f64],
    /// All values that `PackageReport::state` can have.
    pub states: Vec<&'static str>,
    pub http: HttpReport,
    pub feed: Volatile<FeedReport>,
    /// None: nothing is pushed.
    pub otlp: Option<OtlpReport>,
    pub process: Volatile<Process>,
    /// For the status page alone: none in a report for the host's own metrics.
    pub rates: Volatile<Option<Rates>>,
}

impl Report {
    /// Indices of the packages whose name stands for them in labels: of packages that share a name the one that runs, or the first.
    ///
    /// A package that was left out is known by its folder's name, which a running package may have, too. Its series under that name would
    /// be duplicates of the other's, so the host exposes the label `plugin` for one of them only; every file that was left out has
    /// a series of its own elsewhere.
    pub(super) fn named_packages(&self) -> Vec<usize> {
        let is_running = |index: &usize| self.packages[*index].fault.is_empty();
        let (running, left_out): (Vec<_>, Vec<_>) = (0..self.packages.len()).partition(is_running);
        let mut taken = HashSet::new();
        let is_first = |index: &usize| taken.insert(self.packages[*index].name.as_str());
        running.into_iter().chain(left_out).filter(is_first).collect()
    }
}

/// The last failure of a package: of a call of its plugin, or the refusal of a version.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct FailureReport {
    /// In one word: a label `reason` of `ebhost_plugin_failures_total`, or `refused`.
    pub reason: &'static str,
    /// The reason at length.
    pub message: String,
    /// Since 1970.
    pub seconds: f64,
}

/// The report on one package, which runs or was left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PackageReport {
    pub name: String,
    /// The file that describes the package.
    pub file: String,
    /// Whether it is a drop-in configuration and not a plugin.
    pub is_drop_in: bool,
    /// Whether the kernel measures runs of programs now.
    pub runs_are_measured: bool,
    pub is_up: bool,
    /// The plugin's state, one of [`Report::states`].
    pub state: Option<&'static str>,
    pub version: String,
    /// Of the component, in hexadecimal.
    pub digest: String,
    /// Whether its files as they are now are those that run.
    pub is_current: bool,
    /// Why it is left out; empty: it is not.
    pub fault: String,
    pub series: u64,
    pub series_limit: u64,
    pub folded: u64,
    /// Those of them that would have made answers too long.
    pub folded_for_exposition: u64,
    pub entries: u64,
    pub unlabelled: u64,
    pub trimmed: u64,
    pub replaced: u64,
    pub asked: u64,
    pub guest_seconds: f64,
    /// Calls by duration, one more than there are bounds.
    pub decode_durations: Vec<u64>,
    pub compile_seconds: f64,
    pub restarts: u64,
    pub last_success_seconds: Option<f64>,
    pub last_failure: Option<FailureReport>,
    /// Calls that failed, by every reason that there is.
    pub failures: Vec<(&'static str, u64)>,
    /// Losses by reason.
    pub lost: Vec<(String, u64)>,
    /// CPU time of scrapes for this package.
    pub cpu: Volatile<StageTimes>,
    /// Identities without series, by reason.
    pub dropped: Vec<(&'static str, u64)>,
    pub dropped_lines: u64,
    pub late_scrapes: u64,
    pub memory_bytes: u64,
    pub memory_limit_bytes: u64,
    /// The largest part of each limit that was used, from 0 to 1.
    pub limits_used: Vec<(&'static str, f64)>,
    /// The same of the last minutes.
    pub limits_used_recently: Vec<(&'static str, f64)>,
    /// Time that a call may take.
    pub decode_limit_seconds: f64,
    pub programs: Vec<ProgramReport>,
    /// The cost of its programs together; none: it was not measured.
    pub kernel_cpu: Option<KernelCpuReport>,
    /// Each map of its object, and the memory that it takes, in bytes.
    pub map_memory: Vec<(String, u64)>,
    pub map_memory_limit_bytes: u64,
    pub maps: Vec<MapReport>,
    pub perf: Vec<PerfReport>,
    pub events: Vec<EventsReport>,
    /// `None`: it makes no spans.
    pub spans: Option<SpansReport>,
    /// Symbols of `kaddrs` that the kernel does not show.
    pub missing_symbols: u64,
    /// Cgroups in the cgroup id map, and insertions into it that failed.
    pub cgroup_map: Option<(u64, u64)>,
}

/// The cost of a package's programs in the last window in which it was measured, of one CPU's time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct KernelCpuReport {
    pub ratio: Volatile<f64>,
    /// Above which the package is detached.
    pub limit: f64,
}

/// One program of a BPF object, attached or left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ProgramReport {
    pub name: String,
    /// Why it is not attached, in one word; empty: it is.
    pub reason: &'static str,
    /// The reason at length.
    pub fault: String,
    /// The kernel's number of it.
    pub id: u32,
    /// The digest of its instructions, in hexadecimal digits, as bpftool shows it.
    pub tag: String,
    pub run_seconds: f64,
    pub runs: u64,
    pub recursion_misses: u64,
    /// Share of one CPU's time, in the last window.
    pub cpu_ratio: Volatile<Option<f64>>,
    /// Mean time of a run in the last window; none: it did not run.
    pub run_duration_seconds: Volatile<Option<f64>>,
}

/// One map that is read.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct MapReport {
    pub name: String,
    pub entries: u64,
    pub max_entries: u64,
    pub room: MapRoom,
    /// Wall time of the last read.
    pub read_seconds: Volatile<f64>,
    /// Wall time of all reads.
    pub all_reads_seconds: Volatile<f64>,
    pub read_errors: u64,
    /// Entries that the host deleted because what they named is gone; `None`: it deletes none of this map.
    pub deleted: Option<u64>,
}

/// The outcome of inserting a key into a map of `max_entries` entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MapRoom {
    /// It is refused: the map is full.
    #[default]
    Bounded,
    /// Another key makes way.
    Evicting,
    /// There is no inserting: an array has all its entries from the start.
    Fixed,
}

/// The states of a perf event on a CPU: it counts all the time, counts in part, is never given a counter, or cannot be opened.
pub const PERF_STATES: [&str; 4] = ["live", "scaled", "stalled", "absent"];

/// One perf event on one CPU.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PerfReport {
    pub source: String,
    pub event: String,
    pub cpu: u32,
    /// One of [`PERF_STATES`].
    pub state: &'static str,
    /// Why it is absent or stalled.
    pub reason: Option<String>,
}

/// Spans of a package.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct SpansReport {
    pub made: u64,
    /// Events and spans that were given up, by reason.
    pub lost: Vec<(&'static str, u64)>,
}

/// One buffer of events.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct EventsReport {
    pub source: String,
    pub read: u64,
    pub lost: u64,
}
