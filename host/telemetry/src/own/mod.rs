//! The host's own metrics, registered with and encoded by `prometheus-client`.
//!
//! The agent reports plain numbers once a scrape; here they get names. Labels say `plugin` for a package's name, as
//! everywhere in the host's metrics.

mod drop_ins;
mod families;
mod host;
mod kernel;
mod plugins;
mod report;

use std::{
    cell::OnceCell,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, text::encode},
    registry::Registry,
};

use super::text;
use families::Families;
pub use report::{BuildInfo, EventsReport, MapReport, Moving, PackageReport, PerfReport, ProgramReport, Report};

/// The host's own metrics. Most families stay as they are from one scrape to the next, and so does their text.
#[derive(Debug)]
pub struct OwnMetrics {
    report: Arc<Mutex<Report>>,
    settled: Part,
    moving: Part,
}

/// Families and their text, without an end mark.
#[derive(Debug, Default)]
struct Part {
    registry: Registry,
    openmetrics: String,
    /// The same as text 0.0.4, once somebody has asked for it.
    text004: OnceCell<String>,
}

impl OwnMetrics {
    pub fn new() -> Self {
        let mut own = Self { report: Arc::default(), settled: Part::default(), moving: Part::default() };
        let of_host = own.settled.registry.sub_registry_with_prefix("ebhost");
        of_host.register_collector(Reported::boxed(&own.report, settled));
        let of_drop_ins = own.settled.registry.sub_registry_with_prefix("ebpf_exporter");
        of_drop_ins.register_collector(Reported::boxed(&own.report, drop_ins::drop_ins));
        let of_host = own.moving.registry.sub_registry_with_prefix("ebhost");
        of_host.register_collector(Reported::boxed(&own.report, moving));
        own.moving.registry.register_collector(Reported::boxed(&own.report, |families, report| {
            host::process(families, &report.process)
        }));
        own
    }

    /// Takes the report of a scrape.
    pub fn tell(&mut self, report: Report) {
        let mut last = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        let is_settled = *last == report && !self.settled.openmetrics.is_empty();
        *last = report;
        drop(last);
        if !is_settled {
            self.settled.print();
        }
        self.moving.print();
    }

    /// The last report as OpenMetrics, in parts, without an end mark.
    pub fn openmetrics(&self) -> [&str; 2] {
        [&self.settled, &self.moving].map(|part| part.openmetrics.as_str())
    }

    /// The same as text 0.0.4.
    pub fn text004(&self) -> [&str; 2] {
        [&self.settled, &self.moving].map(Part::text004)
    }
}

impl Default for OwnMetrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Part {
    fn print(&mut self) {
        self.openmetrics.clear();
        // A String takes what is written to it.
        let _ = encode(&mut self.openmetrics, &self.registry);
        self.openmetrics.truncate(self.openmetrics.trim_end_matches("# EOF\n").len());
        self.text004.take();
    }

    fn text004(&self) -> &str {
        self.text004.get_or_init(|| text::from_openmetrics(&self.openmetrics))
    }
}

/// Families that say what is in the report.
type Say = fn(&mut Families<'_, '_>, &Report) -> fmt::Result;

#[derive(Debug)]
struct Reported {
    report: Arc<Mutex<Report>>,
    say: Say,
}

impl Reported {
    fn boxed(report: &Arc<Mutex<Report>>, say: Say) -> Box<Self> {
        Box::new(Self { report: report.clone(), say })
    }
}

impl Collector for Reported {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        (self.say)(&mut Families(&mut encoder), &report)
    }
}

/// What nothing [`Moving`] is said in.
fn settled(families: &mut Families<'_, '_>, report: &Report) -> fmt::Result {
    host::settled(families, report)?;
    plugins::plugins(families, &report.packages)?;
    plugins::lives(families, report)?;
    kernel::programs(families, &report.packages)?;
    kernel::maps(families, &report.packages)?;
    kernel::perf(families, &report.packages)?;
    kernel::names(families, &report.packages)?;
    kernel::events(families, &report.packages)
}

fn moving(families: &mut Families<'_, '_>, report: &Report) -> fmt::Result {
    host::moving(families, report)?;
    kernel::reads(families, &report.packages)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Process;

    fn openmetrics(report: Report) -> String {
        let mut own = OwnMetrics::new();
        own.tell(report);
        own.openmetrics().concat()
    }

    /// What is kept of one report must not be shown for another one.
    #[test]
    fn the_text_of_a_report_does_not_depend_on_those_before() {
        let package = PackageReport {
            name: "biolatency".into(),
            maps: vec![MapReport { name: "banks".into(), ..MapReport::default() }],
            programs: vec![ProgramReport { name: "issue".into(), id: 7, ..ProgramReport::default() }],
            ..PackageReport::default()
        };
        let report = Report { packages: vec![package], ..Report::default() };
        let changes: [fn(&mut Report); 14] = [
            |_| (),
            |report| report.scrapes.0 += 1,
            |report| report.collections.0 += 1,
            |report| report.stages.0[2] += Duration::from_millis(1),
            |report| report.collect_seconds.0 += 0.5,
            |report| report.scrape_seconds.0 += 0.5,
            |report| report.exposition_bytes.0 += 1,
            |report| report.process = Moving(Process { open_fds: 9, ..Process::default() }),
            |report| report.packages[0].maps[0].read_seconds.0 += 0.5,
            |report| report.packages[0].maps[0].entries += 1,
            |report| report.packages[0].programs[0].runs += 1,
            |report| report.packages[0].series += 1,
            |report| report.packages.push(PackageReport { name: "left out".into(), ..PackageReport::default() }),
            |report| report.lookup_names += 1,
        ];
        let (mut own, mut report) = (OwnMetrics::new(), report);
        for (round, change) in changes.into_iter().enumerate() {
            let before = openmetrics(report.clone());
            change(&mut report);
            own.tell(report.clone());
            let text = own.openmetrics().concat();
            assert_eq!(text, openmetrics(report.clone()), "change {round}");
            assert_eq!(own.text004().concat(), text::from_openmetrics(&text), "change {round}");
            assert_eq!(text == before, round == 0, "change {round} shows");
        }
    }

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
        let text = openmetrics(Report {
            build: BuildInfo { version: "0.1.0", ..BuildInfo::default() },
            packages: vec![package],
            scrapes: Moving(3),
            collections: Moving(2),
            decode_bounds: &[0.001],
            states: vec!["running", "quarantined"],
            ..Report::default()
        });
        for line in [
            "ebhost_build_info{version=\"0.1.0\",revision=\"",
            "ebhost_scrapes_total 3\n",
            "ebhost_collections_total 2\n",
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
        assert!(!text.contains("ebpf_exporter_"), "no drop-in, no family");
    }

    #[test]
    fn a_drop_in_is_told_of_under_the_peers_names() {
        let program = |name: &str, reason, id| ProgramReport {
            name: name.into(),
            reason,
            id,
            tag: if id == 0 { String::new() } else { "0123456789abcdef".into() },
            run_seconds: 0.25,
            runs: 4,
            ..ProgramReport::default()
        };
        let package = PackageReport {
            name: "biolatency".into(),
            is_drop_in: true,
            dropped: vec![("unknown", 2), ("unsound", 1)],
            programs: vec![program("issue", "", 77), program("done", "attach", 0)],
            ..PackageReport::default()
        };
        let left_out = PackageReport { name: "bad".into(), is_drop_in: true, fault: "no".into(), ..Default::default() };
        let report = Report {
            build: BuildInfo { version: "0.1.0", ..BuildInfo::default() },
            packages: vec![package, left_out],
            ..Report::default()
        };
        let text = openmetrics(report);
        for line in [
            "ebpf_exporter_build_info{version=\"0.1.0\",revision=\"",
            "ebpf_exporter_enabled_configs{name=\"biolatency\"} 1\n",
            "ebpf_exporter_ebpf_program_info{config=\"biolatency\",program=\"issue\",tag=\"0123456789abcdef\",id=\"77\"} 1\n",
            "ebpf_exporter_ebpf_program_attached{id=\"77\"} 1\n",
            "ebpf_exporter_ebpf_program_attached{id=\"biolatency/done\"} 0\n",
            "ebpf_exporter_ebpf_program_run_time_seconds{id=\"77\"} 0.25\n",
            "ebpf_exporter_ebpf_program_run_count_total{id=\"77\"} 4\n",
            "ebpf_exporter_decoder_errors_total{config=\"biolatency\"} 3\n",
        ] {
            assert!(text.contains(line), "expected {line:?} in:\n{text}");
        }
        assert!(!text.contains("name=\"bad\""), "it is not loaded");
    }
}
