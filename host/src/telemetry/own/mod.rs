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
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, text::encode},
    registry::Registry,
};

use families::Families;
pub use report::{EventsReport, MapReport, PackageReport, PerfReport, ProgramReport, Report};

/// The registry of the host's own metrics.
#[derive(Debug)]
pub struct OwnMetrics {
    registry: Registry,
    report: Arc<Mutex<Report>>,
    /// Of the last text, which the next will be as long as.
    length: usize,
}

impl OwnMetrics {
    pub fn new() -> Self {
        let report = Arc::new(Mutex::new(Report::default()));
        let mut registry = Registry::default();
        registry.sub_registry_with_prefix("ebhost").register_collector(Box::new(Reported(report.clone())));
        registry
            .sub_registry_with_prefix("ebpf_exporter")
            .register_collector(Box::new(ReportedDropIns(report.clone())));
        registry.register_collector(Box::new(ReportedProcess(report.clone())));
        Self { registry, report, length: 0 }
    }

    /// The report as OpenMetrics text, with its end mark.
    pub fn openmetrics(&mut self, report: Report) -> String {
        *self.report.lock().unwrap_or_else(PoisonError::into_inner) = report;
        let mut text = String::with_capacity(self.length + self.length / 8);
        // A String takes what is written to it.
        let _ = encode(&mut text, &self.registry);
        self.length = text.len();
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

impl Collector for Reported {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let report = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let families = &mut Families(&mut encoder);
        host::host(families, &report)?;
        plugins::plugins(families, &report.packages)?;
        plugins::lives(families, &report)?;
        kernel::programs(families, &report.packages)?;
        kernel::maps(families, &report.packages)?;
        kernel::perf(families, &report.packages)?;
        kernel::names(families, &report.packages)?;
        kernel::events(families, &report.packages)
    }
}

#[derive(Debug)]
struct ReportedDropIns(Arc<Mutex<Report>>);

impl Collector for ReportedDropIns {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let report = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop_ins::drop_ins(&mut Families(&mut encoder), &report)
    }
}

#[derive(Debug)]
struct ReportedProcess(Arc<Mutex<Report>>);

impl Collector for ReportedProcess {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let report = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        host::process(&mut Families(&mut encoder), &report.process)
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
            collections: 2,
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
        let report = Report { version: "0.1.0", packages: vec![package, left_out], ..Report::default() };
        let text = OwnMetrics::new().openmetrics(report);
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
