//! The report of a running package, for the host's own metrics.

use std::time::Duration;

use super::{Read, Running};
use ebhost_kernel as kernel;
use ebhost_kernel::{Loaded, MapShape, Source};
use ebhost_package::Compat;
use ebhost_plugin_host::{DecodeError, Failure, HealthState};
use ebhost_telemetry::{
    EventsReport, FailureReport, MapReport, MapRoom, PackageReport, PerfReport, ProgramReport, Volatile, unix_seconds,
};

impl Running {
    pub(crate) fn report(&self) -> PackageReport {
        let (stats, tally) = (self.table.stats(), self.plugin.tally());
        let state = self.plugin.state();
        let failed = tally.unsound + tally.set_aside;
        let mut limits_used = self.plugin.limits_used();
        let mut limits_used_recently = self.plugin.limits_used_recently();
        for used in [&mut limits_used, &mut limits_used_recently] {
            used.push(("series", stats.series as f64 / stats.series_limit as f64));
            used.push(("exposition", stats.exposition_bytes as f64 / stats.exposition_limit_bytes as f64));
            used.push(("series_memory", stats.memory_bytes as f64 / stats.memory_limit_bytes as f64));
        }
        PackageReport {
            name: self.name.clone(),
            file: self.file.display().to_string(),
            is_drop_in: self.compat == Compat::EbpfExporter,
            // The agent says it, for all packages.
            runs_are_measured: false,
            is_up: matches!(state, HealthState::Admitted | HealthState::Running),
            fault: String::new(),
            state: Some(state.name()),
            version: self.version.clone(),
            digest: self.digest.clone(),
            is_current: self.is_current,
            series: stats.series as u64,
            series_limit: stats.series_limit as u64,
            folded: stats.folded,
            folded_for_exposition: stats.folded_for_exposition,
            entries: stats.entries as u64,
            unlabelled: stats.unlabelled as u64,
            trimmed: stats.trimmed,
            replaced: stats.replaced,
            asked: tally.asked,
            guest_seconds: tally.guest_time.as_secs_f64(),
            decode_durations: tally.durations.to_vec(),
            compile_seconds: self.compile_time.as_secs_f64(),
            restarts: tally.instances.saturating_sub(1),
            last_success_seconds: tally.last_success.map(unix_seconds),
            last_failure: self.plugin.last_failure().map(failure_report),
            failures: DecodeError::REASONS
                .map(|reason| (reason, tally.failures.get(reason).copied().unwrap_or(0)))
                .to_vec(),
            lost: self.losses.totals(),
            cpu: Volatile(self.cpu),
            dropped: vec![
                ("unknown", stats.refused.saturating_sub(failed)),
                ("unsound", tally.unsound),
                ("set_aside", tally.set_aside),
                ("evicted", stats.evicted),
                ("expired", stats.expired),
            ],
            dropped_lines: tally.dropped_lines,
            late_scrapes: self.late_scrapes,
            memory_bytes: tally.memory_bytes as u64,
            memory_limit_bytes: self.limits.memory_bytes,
            limits_used,
            limits_used_recently,
            decode_limit_seconds: self.limits.decode.as_secs_f64(),
            programs: programs(&self.loaded),
            kernel_cpu: None,
            map_memory: self.map_memory.clone(),
            map_memory_limit_bytes: self.limits.kernel_memory_bytes,
            maps: self.maps(),
            perf: self.loaded.perf().flat_map(kernel::PerfReader::states).map(perf_report).collect(),
            events: self.loaded.sources.iter().filter_map(events_report).collect(),
            spans: (self.span_sources() > 0).then(|| self.span_events.report(tally.spans_beyond_limit)),
            missing_symbols: self.loaded.missing_symbols.len() as u64,
            cgroup_map: self.loaded.cgroup_map(),
        }
    }

    fn maps(&self) -> Vec<MapReport> {
        let report = |(source, read): (&Source, &Read)| match source {
            Source::Map(map) => Some(MapReport {
                name: map.name.clone(),
                entries: map.snapshot().len as u64,
                max_entries: u64::from(map.shape().max_entries),
                room: room(map.shape()),
                read_seconds: Volatile(read.time.as_secs_f64()),
                all_reads_seconds: Volatile(read.all.as_secs_f64()),
                read_errors: read.errors,
                deleted: self.deletion.entries(&map.name),
            }),
            Source::Perf(_) | Source::Events(_) => None,
        };
        self.loaded.sources.iter().zip(&self.reads).filter_map(report).collect()
    }
}

fn room(map: MapShape) -> MapRoom {
    if map.is_array() {
        MapRoom::Fixed
    } else if map.evicts() || map.max_entries == 0 {
        MapRoom::Evicting
    } else {
        MapRoom::Bounded
    }
}

fn failure_report(failure: &Failure) -> FailureReport {
    FailureReport {
        reason: failure.error.reason(),
        message: failure.error.to_string(),
        seconds: unix_seconds(failure.at),
    }
}

fn perf_report(event: kernel::EventState<'_>) -> PerfReport {
    PerfReport {
        source: event.source.to_owned(),
        event: event.event.to_owned(),
        cpu: event.cpu,
        state: event.state.name(),
        reason: event.reason.map(str::to_owned),
    }
}

fn events_report(source: &Source) -> Option<EventsReport> {
    let Source::Events(reader) = source else { return None };
    let (read, lost) = reader.tally();
    Some(EventsReport { source: reader.name.clone(), read, lost })
}

fn programs(loaded: &Loaded) -> Vec<ProgramReport> {
    loaded.programs.iter().map(|program| program_report(loaded, program)).collect()
}

fn program_report(loaded: &Loaded, program: &kernel::Program) -> ProgramReport {
    let statistics = program.statistics().unwrap_or_default();
    let (reason, fault) = loaded.left_out(program).map_or(("", String::new()), |out| (out.reason, out.fault.clone()));
    ProgramReport {
        name: program.name.clone(),
        reason,
        fault,
        id: statistics.id,
        tag: format!("{:016x}", u64::from_be_bytes(statistics.tag)),
        run_seconds: Duration::from_nanos(statistics.run_time_ns).as_secs_f64(),
        runs: statistics.runs,
        recursion_misses: statistics.recursion_misses,
        ..ProgramReport::default()
    }
}
