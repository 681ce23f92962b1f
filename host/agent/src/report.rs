//! The report on the agent and on each package, for the host's own metrics and the status page.

use super::{
    Agent,
    package::{Running, folder_name},
};
use ebhost_plugin_host::{DECODE_BOUNDS, HealthState};
use ebhost_telemetry::{PackageReport, Process, Report, Volatile, dropped_log_lines};

impl Agent {
    pub(super) fn report(&self) -> Report {
        let left_out = self.left_out().map(|(file, refused)| PackageReport {
            name: folder_name(file),
            file: file.display().to_string(),
            is_drop_in: !file.ends_with("plugin.yaml"),
            fault: refused.reason.clone(),
            ..PackageReport::default()
        });
        Report {
            build: self.build,
            packages: self.running.iter().map(Running::report).chain(left_out).collect(),
            scrapes: Volatile(self.scrapes),
            collections: Volatile(self.collections),
            stages: Volatile(self.clock.spent()),
            collect_seconds: Volatile(self.collect_time.as_secs_f64()),
            scrape_seconds: Volatile(self.scrape_time.as_secs_f64()),
            exposition_bytes: Volatile(self.exposition_bytes),
            lookup_names: self.lookups.len() as u64,
            dropped_log_lines: dropped_log_lines(),
            reloads: self.reloads,
            reload_failures: self.reload_failures,
            thread_panics: ebhost_confine::threads().into_iter().map(|thread| (thread.name, thread.panics)).collect(),
            decode_bounds: &DECODE_BOUNDS,
            states: HealthState::ALL.map(HealthState::name).to_vec(),
            process: Volatile(Process::now()),
        }
    }
}
