//! What the agent says of itself and of each package, for its own metrics and the page that people read.

use super::{
    Agent,
    package::{Running, folder_name},
};
use crate::build_info;
use ebhost_plugin_host::{DECODE_BOUNDS, State};
use ebhost_telemetry::{Moving, PackageReport, Process, Report, dropped_log_lines};

impl Agent {
    pub(super) fn report(&self) -> Report {
        let left_out = self.left_out.iter().map(|(file, fault)| PackageReport {
            name: folder_name(file),
            is_drop_in: !file.ends_with("plugin.yaml"),
            fault: fault.clone(),
            ..PackageReport::default()
        });
        Report {
            build: build_info::BUILD,
            packages: self.running.iter().map(Running::report).chain(left_out).collect(),
            scrapes: Moving(self.scrapes),
            collections: Moving(self.collections),
            stages: Moving(self.clock.spent()),
            collect_seconds: Moving(self.collect_time.as_secs_f64()),
            scrape_seconds: Moving(self.scrape_time.as_secs_f64()),
            exposition_bytes: Moving(self.exposition_bytes),
            lookup_names: self.lookups.len() as u64,
            dropped_log_lines: dropped_log_lines(),
            reloads: self.reloads,
            reload_failures: self.reload_failures,
            decode_bounds: &DECODE_BOUNDS,
            states: State::ALL.map(State::name).to_vec(),
            process: Moving(Process::now()),
        }
    }
}
