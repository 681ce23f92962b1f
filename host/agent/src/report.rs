//! The report on the agent and on each package, for the host's own metrics and the status page.

use std::{path::Path, time::Instant};

use super::{Agent, package::folder_name};
use ebhost_plugin_host::{DECODE_BOUNDS, HealthState};
use ebhost_telemetry::{
    FailureReport, PackageReport, Process, Report, Volatile, dropped_log_lines, http, unix_seconds,
};

/// The state of a package that does not run at all, and the reason of that failure.
const REFUSED: &str = "refused";

impl Agent {
    pub(super) fn report(&self) -> Report {
        let runs_are_measured = self.run_statistics.are_on();
        let running = self.running.iter().map(|running| {
            let mut report = PackageReport { runs_are_measured, ..running.report() };
            let refusal = self.refusal(&running.file);
            report.last_failure = latest(report.last_failure.take(), refusal);
            report
        });
        let left_out = self.left_out().map(|(file, refused)| PackageReport {
            name: folder_name(file),
            file: file.display().to_string(),
            is_drop_in: !file.ends_with("plugin.yaml"),
            state: Some(REFUSED),
            fault: refused.reason.clone(),
            last_failure: self.refusal(file),
            ..PackageReport::default()
        });
        Report {
            build: self.build,
            packages: running.chain(left_out).collect(),
            scrapes: Volatile(self.scrapes),
            collections: Volatile(self.collections),
            stages: Volatile(self.clock.spent()),
            collected_at_seconds: Volatile(self.collected_at.map(unix_seconds)),
            collect_seconds: Volatile(self.collect_time.as_secs_f64()),
            scrape_seconds: Volatile(self.scrape_time.as_secs_f64()),
            exposition_bytes: Volatile(self.exposition_bytes),
            lookup_names: self.lookups.len() as u64,
            cgroups: self.lookups.cgroups().into_iter().flatten().collect(),
            dropped_log_lines: dropped_log_lines(),
            reloads: self.reloads,
            reload_failures: self.reload_failures,
            is_ready: !self.running.is_empty(),
            bpf_stats_enabled: runs_are_measured,
            thread_panics: ebhost_confine::threads().into_iter().map(|thread| (thread.name, thread.panics)).collect(),
            decode_bounds: &DECODE_BOUNDS,
            states: HealthState::ALL.map(HealthState::name).into_iter().chain([REFUSED]).collect(),
            http: http().report(),
            process: Volatile(Process::now()),
            rates: Volatile::default(),
        }
    }

    /// The report with what it grew by since some minutes ago.
    pub(super) fn status(&mut self) -> Report {
        let (now, mut report) = (Instant::now(), self.report());
        report.rates = Volatile(self.history.rates(now, &report));
        self.history.note(now, &report);
        report
    }

    /// The refusal of the version that a package's files have now.
    fn refusal(&self, file: &Path) -> Option<FailureReport> {
        let refused = self.refused.get(file)?;
        Some(FailureReport { reason: REFUSED, message: refused.reason.clone(), seconds: unix_seconds(refused.since) })
    }
}

/// The later of two failures.
fn latest(one: Option<FailureReport>, other: Option<FailureReport>) -> Option<FailureReport> {
    one.into_iter().chain(other).max_by(|one, other| one.seconds.total_cmp(&other.seconds))
}
