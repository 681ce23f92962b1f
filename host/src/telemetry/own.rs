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
    encoding::{DescriptorEncoder, EncodeMetric, text::encode},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::{Registry, Unit},
};

use super::Stage;

/// All that the host says of itself at one scrape.
#[derive(Debug, Clone, Default)]
pub struct Report {
    pub version: &'static str,
    pub packages: Vec<PackageReport>,
    pub scrapes: u64,
    /// CPU time since the start, in the order of `Stage::ALL`.
    pub stages: [Duration; Stage::ALL.len()],
    /// Of reading, labelling and counting in the last scrape.
    pub collect_seconds: f64,
    /// Bytes of the plugins' families in the last scrape.
    pub exposition_bytes: u64,
    pub lookup_names: u64,
}

/// One package's part.
#[derive(Debug, Clone, Default)]
pub struct PackageReport {
    pub name: String,
    pub is_up: bool,
    pub series: u64,
    pub series_limit: u64,
    pub folded: u64,
    pub entries: u64,
    pub unlabelled: u64,
    pub refused: u64,
    pub trimmed: u64,
    pub asked: u64,
    pub calls: u64,
    pub guest_seconds: f64,
    pub instances: u64,
    pub failures: Vec<(&'static str, u64)>,
    pub set_aside: u64,
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

/// One attached program.
#[derive(Debug, Clone, Default)]
pub struct ProgramReport {
    pub name: String,
    pub run_seconds: f64,
    pub runs: u64,
    pub recursion_misses: u64,
}

/// One map that is read.
#[derive(Debug, Clone, Default)]
pub struct MapReport {
    pub name: String,
    pub entries: u64,
    pub max_entries: u64,
    pub read_seconds: f64,
    pub read_errors: u64,
}

/// One perf event on one CPU.
#[derive(Debug, Clone, Default)]
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
#[derive(Debug, Clone, Default)]
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
        let mut registry = Registry::with_prefix("ebhost");
        registry.register_collector(Box::new(Reported(report.clone())));
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
        programs(families, &report.packages)?;
        maps(families, &report.packages)?;
        perf(families, &report.packages)?;
        events(families, &report.packages)
    }
}

fn host(families: &mut Families<'_, '_>, report: &Report) -> fmt::Result {
    families.gauge("build_info", "The running version.", None, [(vec![("version", report.version)], 1u64)])?;
    families.counter("scrapes", "Scrapes answered.", None, [(vec![], report.scrapes)])?;
    let help = "Time of the last reading, labelling and counting.";
    families.gauge("collect", help, Some(&Unit::Seconds), [(vec![], report.collect_seconds)])?;
    let stages = Stage::ALL.iter().zip(report.stages);
    let stages = stages.map(|(stage, spent)| (vec![("stage", stage.name())], spent.as_secs_f64()));
    families.counter("scrape_cpu", "CPU time of scrapes by stage.", Some(&Unit::Seconds), stages)?;
    let help = "Size of the plugins' families in the last scrape, before compression.";
    families.gauge("exposition", help, Some(&Unit::Bytes), [(vec![], report.exposition_bytes)])?;
    families.gauge("lookup_names", "Names kept for lookups.", None, [(vec![], report.lookup_names)])
}

fn plugins(families: &mut Families<'_, '_>, packages: &[PackageReport]) -> fmt::Result {
    let each = |value: fn(&PackageReport) -> u64| packages.iter().map(move |package| (of(package), value(package)));
    families.gauge(
        "plugin_up",
        "1 for a package that is loaded, 0 for one left out.",
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
    let help = "Identities that the plugin did not understand.";
    families.counter("plugin_decode_errors", help, None, each(|p| p.refused))?;
    families.counter("plugin_labels_cut", "Label values cut at the limit.", None, each(|p| p.trimmed))?;
    families.counter("plugin_decode_calls", "Calls of the plugin's decode.", None, each(|p| p.calls))?;
    families.counter("plugin_decode_entries", "Identities handed to the plugin.", None, each(|p| p.asked))?;
    let seconds = packages.iter().map(|package| (of(package), package.guest_seconds));
    families.counter("plugin_decode", "Time spent in the plugin's decode.", Some(&Unit::Seconds), seconds)?;
    families.counter("plugin_instances", "Instances made of the component.", None, each(|p| p.instances))?;
    let failures = packages.iter().flat_map(|package| {
        let labels = |reason| vec![("plugin", package.name.as_str()), ("reason", reason)];
        package.failures.iter().map(move |(reason, count)| (labels(*reason), *count))
    });
    families.counter("plugin_failures", "Calls that failed.", None, failures)?;
    let help = "Identities set aside because asking about them fails.";
    families.counter("plugin_set_aside", help, None, each(|p| p.set_aside))?;
    families.counter("plugin_log_dropped", "Log lines beyond the limit.", None, each(|p| p.dropped_lines))?;
    let help = "Scrapes that went without the plugin's families because its maps could not be read in time.";
    families.counter("plugin_late_scrapes", help, None, each(|p| p.late_scrapes))?;
    let help = "Linear memory of the instance.";
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
    families.gauge("program_attached", "1 for an attached program.", None, all().map(|(labels, _)| (labels, 1u64)))?;
    let help = "Time that the program ran, while kernel.bpf_stats_enabled is on.";
    let seconds = all().map(|(labels, program)| (labels, program.run_seconds));
    families.counter("program_run", help, Some(&Unit::Seconds), seconds)?;
    let help = "Runs of the program, while kernel.bpf_stats_enabled is on.";
    families.counter("program_runs", help, None, all().map(|(labels, program)| (labels, program.runs)))?;
    let help = "Runs that the kernel left out because the program was running on that CPU already.";
    let misses = all().map(|(labels, program)| (labels, program.recursion_misses));
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
            ..Report::default()
        });
        for line in [
            "ebhost_build_info{version=\"0.1.0\"} 1\n",
            "ebhost_scrapes_total 3\n",
            "# TYPE ebhost_plugin_decode_seconds counter\n",
            "ebhost_plugin_decode_seconds_total{plugin=\"biolatency\"} 0.25\n",
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
