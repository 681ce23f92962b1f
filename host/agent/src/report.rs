//! The report on the agent and on each package, for the host's own metrics and the status page.

use std::{path::Path, time::Instant};

use super::{Agent, package::folder_name, reload::RefusalCause};
use ebhost_plugin_host::{DECODE_BOUNDS, HealthState};
use ebhost_telemetry::{
    FailureReport, KernelCpuReport, PackageReport, Process, Report, Volatile, dropped_log_lines, feed, http, otlp,
    unix_seconds,
};

impl Agent {
    pub(super) fn report(&self) -> Report {
        let runs_are_measured = self.run_statistics.are_on();
        let running = self.running.iter().map(|running| {
            let mut report = PackageReport { runs_are_measured, ..running.report() };
            let refusal = self.refusal(&running.file);
            if let Some(cost) = self.budgets.cost(&running.file) {
                report.kernel_cpu = Some(KernelCpuReport { ratio: Volatile(cost.ratio), limit: cost.limit });
                for (program, cost) in report.programs.iter_mut().zip(&cost.programs) {
                    program.cpu_ratio = Volatile(cost.map(|cost| cost.ratio));
                    program.run_duration_seconds = Volatile(cost.and_then(|cost| Some(cost.run_time?.as_secs_f64())));
                }
            }
            report.last_failure = latest(report.last_failure.take(), refusal);
            report
        });
        let left_out = self.left_out().map(|(file, refused)| PackageReport {
            // A detached package keeps the name that it ran under; the name of a refused one may be another package's.
            name: match (refused.cause, &refused.name) {
                (RefusalCause::OverBudget, Some(name)) => name.clone(),
                _ => folder_name(file),
            },
            file: file.display().to_string(),
            is_drop_in: !file.ends_with("plugin.yaml"),
            state: Some(refused.cause.state()),
            fault: refused.reason.clone(),
            last_failure: self.refusal(file),
            ..PackageReport::default()
        });
        let left_out_states = [RefusalCause::Version, RefusalCause::OverBudget].map(RefusalCause::state);
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
            lookup_name_bytes: self.lookups.bytes() as u64,
            cgroups: self.lookups.cgroups().into_iter().flatten().collect(),
            dropped_log_lines: dropped_log_lines(),
            reloads: self.reloads,
            reload_failures: self.reload_failures,
            is_ready: !self.running.is_empty(),
            bpf_stats_enabled: runs_are_measured,
            kernel_cpu_measured: self.budgets.unmeasured().is_none(),
            kernel_cpu_unmeasured: self.budgets.unmeasured().map(str::to_owned),
            thread_panics: ebhost_confine::threads().into_iter().map(|thread| (thread.name, thread.panics)).collect(),
            decode_bounds: &DECODE_BOUNDS,
            states: HealthState::ALL.map(HealthState::name).into_iter().chain(left_out_states).collect(),
            http: http().report(),
            feed: Volatile(feed().report()),
            otlp: otlp().report(),
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
        Some(FailureReport {
            reason: refused.cause.state(),
            message: refused.reason.clone(),
            seconds: unix_seconds(refused.since),
        })
    }
}

/// The later of two failures.
fn latest(one: Option<FailureReport>, other: Option<FailureReport>) -> Option<FailureReport> {
    one.into_iter().chain(other).max_by(|one, other| one.seconds.total_cmp(&other.seconds))
}
