//! The host's own metrics, registered with and encoded by `prometheus-client`.
//!
//! The agent reports plain numbers once a scrape; here they get names. Labels say `plugin` for a package's name, as
//! everywhere in the host's metrics.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet, text::encode},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::{Registry, Unit},
};

use serde::Serialize;

use super::{Process, Stage};

/// All that the host says of itself at one scrape.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    pub version: &'static str,
    pub packages: Vec<PackageReport>,
    pub scrapes: u64,
    /// CPU time since the start, in the order of `Stage::ALL`.
    pub stages: [Duration; Stage::ALL.len()],
    /// Of reading, labelling and counting in the last scrape.
    pub collect_seconds: f64,
    /// Of all of the last scrape, printing included.
    pub scrape_seconds: f64,
    /// Bytes of the last scrape's answer, before compression.
    pub exposition_bytes: u64,
    pub lookup_names: u64,
    pub dropped_log_lines: u64,
    pub reloads: u64,
    pub reload_failures: u64,
    /// Upper bounds of the buckets of `PackageReport::decode_durations`.
    pub decode_bounds: &'static [f64],
    /// What `PackageReport::state` can be.
    pub states: Vec<&'static str>,
    pub process: Process,
}

/// One package's part.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PackageReport {
    pub name: String,
    pub is_up: bool,
    /// Where it stands in its life; none: it was never admitted.
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
    pub entries: u64,
    pub unlabelled: u64,
    pub trimmed: u64,
    pub asked: u64,
    pub guest_seconds: f64,
    /// Calls by duration, one more than there are bounds.
    pub decode_durations: Vec<u64>,
    pub compile_seconds: f64,
    pub restarts: u64,
    pub last_success_seconds: Option<f64>,
    pub failures: Vec<(&'static str, u64)>,
    /// Entries that no series shows, by reason.
    pub dropped: Vec<(&'static str, u64)>,
    pub dropped_lines: u64,
    pub late_scrapes: u64,
    pub memory_bytes: u64,
    pub memory_limit_bytes: u64,
    pub programs: Vec<ProgramReport>,
    pub maps: Vec<MapReport>,
    pub perf: Vec<PerfReport>,
    pub events: Vec<EventsReport>,
    /// Events that the series had no room for.
    pub events_beyond_limit: u64,
}

/// One program of a BPF object, attached or left out.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ProgramReport {
    pub name: String,
    /// Why it is not attached, in one word; empty: it is.
    pub reason: &'static str,
    /// The same at length.
    pub fault: String,
    /// The kernel's number of it.
    pub id: u32,
    /// The digest of its instructions, in hexadecimal digits, as bpftool shows it.
    pub tag: String,
    pub run_seconds: f64,
    pub runs: u64,
    pub recursion_misses: u64,
}

/// One map that is read.
#[derive(Debug, Clone, Default, Serialize)]
pub struct MapReport {
    pub name: String,
    pub entries: u64,
    pub max_entries: u64,
    pub read_seconds: f64,
    pub read_errors: u64,
}

/// One perf event on one CPU.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PerfReport {
    pub source: String,
    pub event: String,
    pub cpu: u32,
    /// `absent`, `stalled`, `scaled` or `live`.
    pub state: &'static str,
    /// Why it is absent or stalled.
    pub reason: Option<String>,
}

/// One buffer of events.
#[derive(Debug, Clone, Default, Serialize)]
pub struct EventsReport {
    pub source: String,
    pub read: u64,
    pub lost: u64,
}

/// The registry of the host's own metrics.
#[derive(Debug)]
pub struct OwnMetrics {
    registry: Registry,
    report: Arc<Mutex<Report>>,
}

impl OwnMetrics {
    pub fn new() -> Self {
        let report = Arc::new(Mutex::new(Report::default()));
        let mut registry = Registry::default();
        registry.sub_registry_with_prefix("ebhost").register_collector(Box::new(Reported(report.clone())));
        registry.register_collector(Box::new(ReportedProcess(report.clone())));
        Self { registry, report }
    }

    /// The report as OpenMetrics text, with its end mark.
    pub fn openmetrics(&self, report: Report) -> String {
        *self.report.lock().unwrap_or_else(PoisonError::into_inner) = report;
        let mut text = String::new();
        // A String takes what is written to it.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

impl Default for OwnMetrics {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Debug)]
struct Reported(Arc<Mutex<Report>>);

type Labels<'a> = Vec<(&'static str, &'a str)>;

impl Collector for Reported {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let report = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let families = &mut Families(&mut encoder);
        host(families, &report)?;
        plugins(families, &report.packages)?;
        lives(families, &report)?;
        programs(families, &report.packages)?;
        maps(families, &report.packages)?;
        perf(families, &report.packages)?;
        events(families, &report.packages)
    }
}

/// Under the names that every client library gives them, so without our prefix.
#[derive(Debug)]
struct ReportedProcess(Arc<Mutex<Report>>);

impl Collector for ReportedProcess {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let process = self.0.lock().unwrap_or_else(PoisonError::into_inner).process;
        let families = &mut Families(&mut encoder);
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
}

fn host(families: &mut Families<'_, '_>, report: &Report) -> fmt::Result {
    let build = vec![
        ("version", report.version),
        ("revision", super::build::REVISION),
        ("rustc", super::build::RUSTC),
        ("arch", std::env::consts::ARCH),
    ];
    families.gauge("build_info", "The running version.", None, [(build, 1u64)])?;
    families.gauge("ready", "1 once every package is attached or left out.", None, [(vec![], 1u64)])?;
    families.counter("scrapes", "Scrapes answered.", None, [(vec![], report.scrapes)])?;
    let help = "Time of the last reading, labelling and counting.";
    families.gauge("collect", help, Some(&Unit::Seconds), [(vec![], report.collect_seconds)])?;
    let help = "Time of the last scrape, from its turn to its answer.";
    families.gauge("scrape_duration", help, Some(&Unit::Seconds), [(vec![], report.scrape_seconds)])?;
    let stages = Stage::ALL.iter().zip(report.stages);
    let stages = stages.map(|(stage, spent)| (vec![("stage", stage.name())], spent.as_secs_f64()));
    families.counter("scrape_cpu", "CPU time of scrapes by stage.", Some(&Unit::Seconds), stages)?;
    let help = "Size of the last scrape's answer, before compression.";
    families.gauge("exposition", help, Some(&Unit::Bytes), [(vec![], report.exposition_bytes)])?;
    families.gauge("lookup_names", "Names kept for lookups.", None, [(vec![], report.lookup_names)])?;
    let help = "Log lines lost because nobody read standard error.";
    families.counter("log_dropped", help, None, [(vec![], report.dropped_log_lines)])?;
    let help = "Packages added, exchanged and removed since the start.";
    families.counter("reloads", help, None, [(vec![], report.reloads)])?;
    let help = "New versions of packages that were refused.";
    families.counter("reload_failures", help, None, [(vec![], report.reload_failures)])
}

/// Where each plugin stands, and what its calls cost.
fn lives(families: &mut Families<'_, '_>, report: &Report) -> fmt::Result {
    let packages = &report.packages;
    let states = packages.iter().flat_map(|package| {
        let at = |state: &&'static str| u64::from(package.state == Some(*state));
        let labels = |state: &'static str| vec![("plugin", package.name.as_str()), ("state", state)];
        report.states.iter().map(move |state| (labels(state), at(state)))
    });
    let help = "1 for where the plugin stands: what is unseen waits while it backs off or is quarantined.";
    families.gauge("plugin_state", help, None, states)?;
    let infos = packages.iter().filter(|package| !package.digest.is_empty()).map(|package| {
        let labels = [("plugin", &package.name), ("version", &package.version), ("digest", &package.digest)];
        (labels.map(|(name, value)| (name, value.as_str())).to_vec(), 1u64)
    });
    families.gauge("plugin_info", "The running version and the sha256 of its component.", None, infos)?;
    let current = packages.iter().map(|package| (of(package), u64::from(package.is_current)));
    let help = "1 if the package runs as its files are now, 0 if their version was refused.";
    families.gauge("plugin_current", help, None, current)?;
    let seconds = packages.iter().filter_map(|package| Some((of(package), package.last_success_seconds?)));
    let help = "When the plugin last answered soundly.";
    families.gauge("plugin_last_success_timestamp", help, Some(&Unit::Seconds), seconds)?;
    let seconds = packages.iter().map(|package| (of(package), package.compile_seconds));
    let help = "Time of compiling the component, or of finding it in the cache.";
    families.gauge("plugin_compile", help, Some(&Unit::Seconds), seconds)?;
    let durations = packages.iter().map(|package| {
        let mut buckets: Vec<_> = report.decode_bounds.iter().copied().zip(package.decode_durations.clone()).collect();
        buckets.push((f64::INFINITY, package.decode_durations.last().copied().unwrap_or(0)));
        (of(package), Durations { sum: package.guest_seconds, buckets })
    });
    families.family("plugin_decode_duration", "Time of the calls of decode.", Some(&Unit::Seconds), durations)
}

/// A histogram whose numbers are known.
struct Durations {
    sum: f64,
    buckets: Vec<(f64, u64)>,
}

impl EncodeMetric for Durations {
    fn encode(&self, mut encoder: MetricEncoder) -> fmt::Result {
        let count = self.buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(self.sum, count, &self.buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

fn plugins(families: &mut Families<'_, '_>, packages: &[PackageReport]) -> fmt::Result {
    let each = |value: fn(&PackageReport) -> u64| packages.iter().map(move |package| (of(package), value(package)));
    families.gauge(
        "plugin_up",
        "1 for a plugin that answers, 0 for one that backs off, is quarantined or was left out.",
        None,
        each(|p| p.is_up.into()),
    )?;
    families.gauge("plugin_series", "Series that exist now.", None, each(|p| p.series))?;
    let help = "Series beyond which new label sets are folded into `other`.";
    families.gauge("plugin_series_limit", help, None, each(|p| p.series_limit))?;
    families.counter("plugin_series_folded", "Label sets folded into `other`.", None, each(|p| p.folded))?;
    families.gauge("plugin_entries", "Map entries that are counted.", None, each(|p| p.entries))?;
    let help = "Identities that wait for the plugin's answer.";
    families.gauge("plugin_unlabelled", help, None, each(|p| p.unlabelled))?;
    let dropped = packages.iter().flat_map(|package| {
        let labels = |reason| vec![("plugin", package.name.as_str()), ("reason", reason)];
        package.dropped.iter().map(move |(reason, count)| (labels(*reason), *count))
    });
    let help =
        "Identities without series: `unknown` to the plugin, an `unsound` row, `set_aside` because asking fails.";
    families.counter("plugin_entries_dropped", help, None, dropped)?;
    families.counter("plugin_labels_cut", "Label values cut at the limit.", None, each(|p| p.trimmed))?;
    families.counter("plugin_decoded_entries", "Identities handed to the plugin.", None, each(|p| p.asked))?;
    families.counter("plugin_restarts", "Instances made after the first one failed.", None, each(|p| p.restarts))?;
    let failures = packages.iter().flat_map(|package| {
        let labels = |reason| vec![("plugin", package.name.as_str()), ("reason", reason)];
        package.failures.iter().map(move |(reason, count)| (labels(*reason), *count))
    });
    families.counter("plugin_failures", "Calls that failed.", None, failures)?;
    families.counter("plugin_log_dropped", "Log lines beyond the limit.", None, each(|p| p.dropped_lines))?;
    let help = "Scrapes that went without the plugin's families because its maps could not be read in time.";
    families.counter("plugin_late_scrapes", help, None, each(|p| p.late_scrapes))?;
    let help = "The most linear memory that an instance had.";
    families.gauge("plugin_memory", help, Some(&Unit::Bytes), each(|p| p.memory_bytes))?;
    let help = "Linear memory that an instance may have.";
    families.gauge("plugin_memory_limit", help, Some(&Unit::Bytes), each(|p| p.memory_limit_bytes))
}

fn programs(families: &mut Families<'_, '_>, packages: &[PackageReport]) -> fmt::Result {
    let all = || {
        packages.iter().flat_map(|package| {
            package
                .programs
                .iter()
                .map(|program| (vec![("plugin", package.name.as_str()), ("program", program.name.as_str())], program))
        })
    };
    // What was left out before the kernel had it has no number.
    let loaded = || all().filter(|(_, program)| program.id != 0);
    let ids: Vec<_> = loaded().map(|(_, program)| program.id.to_string()).collect();
    let info = loaded().zip(&ids).map(|((mut labels, program), id)| {
        labels.extend([("id", id.as_str()), ("tag", program.tag.as_str())]);
        (labels, 1u64)
    });
    let help = "The kernel's number of a program, and the digest of its instructions.";
    families.gauge("program_info", help, None, info)?;
    let attached = all().map(|(mut labels, program)| {
        if !program.reason.is_empty() {
            labels.push(("reason", program.reason));
        }
        (labels, u64::from(program.reason.is_empty()))
    });
    let help = "1 for an attached program, 0 for one that is left out, and why.";
    families.gauge("program_attached", help, None, attached)?;
    let help = "Time that the program ran, while kernel.bpf_stats_enabled is on.";
    let seconds = loaded().map(|(labels, program)| (labels, program.run_seconds));
    families.counter("program_run", help, Some(&Unit::Seconds), seconds)?;
    let help = "Runs of the program, while kernel.bpf_stats_enabled is on.";
    families.counter("program_runs", help, None, loaded().map(|(labels, program)| (labels, program.runs)))?;
    let help = "Runs that the kernel left out because the program was running on that CPU already.";
    let misses = loaded().map(|(labels, program)| (labels, program.recursion_misses));
    families.counter("program_recursion_misses", help, None, misses)
}

fn maps(families: &mut Families<'_, '_>, packages: &[PackageReport]) -> fmt::Result {
    let all = || {
        packages.iter().flat_map(|package| {
            let labels = |map| vec![("plugin", package.name.as_str()), ("map", map)];
            package.maps.iter().map(move |map| (labels(map.name.as_str()), map))
        })
    };
    families.gauge(
        "map_entries",
        "Entries at the last read.",
        None,
        all().map(|(labels, map)| (labels, map.entries)),
    )?;
    let most = all().map(|(labels, map)| (labels, map.max_entries));
    families.gauge("map_max_entries", "Entries that the map can hold.", None, most)?;
    let seconds = all().map(|(labels, map)| (labels, map.read_seconds));
    families.gauge("map_read", "Time of the last read.", Some(&Unit::Seconds), seconds)?;
    let errors = all().map(|(labels, map)| (labels, map.read_errors));
    families.counter("map_read_errors", "Reads that did not reach the map's end.", None, errors)
}

fn perf(families: &mut Families<'_, '_>, packages: &[PackageReport]) -> fmt::Result {
    let cpus: Vec<Vec<String>> =
        packages.iter().map(|package| package.perf.iter().map(|event| event.cpu.to_string()).collect()).collect();
    let states = packages.iter().zip(&cpus).flat_map(|(package, cpus)| {
        package.perf.iter().zip(cpus).map(|(event, cpu)| {
            let labels = vec![
                ("plugin", package.name.as_str()),
                ("source", event.source.as_str()),
                ("event", event.event.as_str()),
                ("cpu", cpu.as_str()),
                ("state", event.state),
            ];
            (labels, 1u64)
        })
    });
    let help = "1 for what a perf event does now: live, scaled (takes turns, in part estimated), stalled (never gets a \
                counter), absent (cannot be opened).";
    families.gauge("perf_event_state", help, None, states)
}

fn events(families: &mut Families<'_, '_>, packages: &[PackageReport]) -> fmt::Result {
    let all = || {
        packages.iter().flat_map(|package| {
            let labels = |source| vec![("plugin", package.name.as_str()), ("source", source)];
            package.events.iter().map(move |events| (labels(events.source.as_str()), events))
        })
    };
    let read = all().map(|(labels, events)| (labels, events.read));
    families.counter("events_read", "Events read from a ring buffer or perf event array.", None, read)?;
    let help = "Events dropped because a perf event array or the memory for waiting events was full.";
    families.counter("events_lost", help, None, all().map(|(labels, events)| (labels, events.lost)))?;
    let help = "Events read and not counted, because there were more different ones than are remembered.";
    let beyond = packages.iter().filter(|package| !package.events.is_empty());
    let beyond = beyond.map(|package| (of(package), package.events_beyond_limit));
    families.counter("events_beyond_limit", help, None, beyond)
}

fn of(package: &PackageReport) -> Labels<'_> {
    vec![("plugin", package.name.as_str())]
}

struct Families<'a, 'b>(&'a mut DescriptorEncoder<'b>);

impl Families<'_, '_> {
    fn gauge<'l, N>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        samples: impl IntoIterator<Item = (Labels<'l>, N)>,
    ) -> fmt::Result
    where
        ConstGauge<N>: EncodeMetric,
    {
        self.family(name, help, unit, samples.into_iter().map(|(labels, value)| (labels, ConstGauge::new(value))))
    }

    fn counter<'l, N>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        samples: impl IntoIterator<Item = (Labels<'l>, N)>,
    ) -> fmt::Result
    where
        ConstCounter<N>: EncodeMetric,
    {
        self.family(name, help, unit, samples.into_iter().map(|(labels, value)| (labels, ConstCounter::new(value))))
    }

    fn family<'l, M: EncodeMetric>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        samples: impl Iterator<Item = (Labels<'l>, M)>,
    ) -> fmt::Result {
        let mut samples = samples.peekable();
        let Some((_, first)) = samples.peek() else { return Ok(()) };
        let mut family = self.0.encode_descriptor(name, help, unit, first.metric_type())?;
        for (labels, metric) in samples {
            if labels.is_empty() {
                return metric.encode(family);
            }
            metric.encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_exposed_under_the_hosts_names() {
        let package = PackageReport {
            name: "biolatency".into(),
            is_up: true,
            series: 4,
            guest_seconds: 0.25,
            state: Some("running"),
            decode_durations: vec![2, 3],
            failures: vec![("trap", 2)],
            maps: vec![MapReport { name: "banks".into(), entries: 7, ..MapReport::default() }],
            perf: vec![PerfReport {
                source: "llc".into(),
                event: "hardware/cycles".into(),
                cpu: 3,
                state: "absent",
                reason: None,
            }],
            events: vec![EventsReport { source: "ring".into(), read: 9, lost: 2 }],
            ..PackageReport::default()
        };
        let text = OwnMetrics::new().openmetrics(Report {
            version: "0.1.0",
            packages: vec![package],
            scrapes: 3,
            decode_bounds: &[0.001],
            states: vec!["running", "quarantined"],
            ..Report::default()
        });
        for line in [
            "ebhost_build_info{version=\"0.1.0\",revision=\"",
            "ebhost_scrapes_total 3\n",
            "# TYPE ebhost_plugin_decode_duration_seconds histogram\n",
            "ebhost_plugin_decode_duration_seconds_sum{plugin=\"biolatency\"} 0.25\n",
            "ebhost_plugin_decode_duration_seconds_bucket{le=\"0.001\",plugin=\"biolatency\"} 2\n",
            "ebhost_plugin_decode_duration_seconds_bucket{le=\"+Inf\",plugin=\"biolatency\"} 5\n",
            "ebhost_plugin_decode_duration_seconds_count{plugin=\"biolatency\"} 5\n",
            "ebhost_plugin_state{plugin=\"biolatency\",state=\"running\"} 1\n",
            "ebhost_plugin_state{plugin=\"biolatency\",state=\"quarantined\"} 0\n",
            "ebhost_plugin_failures_total{plugin=\"biolatency\",reason=\"trap\"} 2\n",
            "ebhost_map_entries{plugin=\"biolatency\",map=\"banks\"} 7\n",
            "ebhost_perf_event_state{plugin=\"biolatency\",source=\"llc\",event=\"hardware/cycles\",cpu=\"3\",state=\"absent\"} 1\n",
            "ebhost_events_lost_total{plugin=\"biolatency\",source=\"ring\"} 2\n",
        ] {
            assert!(text.contains(line), "expected {line:?} in:\n{text}");
        }
        assert!(!text.contains("ebhost_program_"), "no program, no family");
    }
}
