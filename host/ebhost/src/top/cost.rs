//! The cost of BPF programs: from two readings while the kernel times every run, else from the host's last window.

use std::time::Duration;

use super::{
    reading::Reading,
    status::{Package, Program, Status},
};

/// The cost of a program, or of several. None: not known.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Cost {
    /// Runs a second.
    pub(super) runs: Option<f64>,
    /// Share of one CPU's time.
    pub(super) cpu: Option<f64>,
}

impl Cost {
    /// Mean time of a run, in nanoseconds; none: it did not run.
    pub(super) fn nanoseconds(self) -> Option<f64> {
        let runs = self.runs.filter(|runs| *runs > 0.0)?;
        Some(self.cpu? / runs * 1e9)
    }

    /// Both together; a cost that is not known counts as none beside one that is.
    fn plus(self, other: Self) -> Self {
        let add = |one: Option<f64>, other: Option<f64>| match (one, other) {
            (Some(one), Some(other)) => Some(one + other),
            (one, other) => one.or(other),
        };
        Self { runs: add(self.runs, other.runs), cpu: add(self.cpu, other.cpu) }
    }
}

/// The cost of each program of a package, in order.
pub(super) fn of_programs(package: &Package, now: &Reading, before: Option<&Reading>) -> Vec<Cost> {
    let earlier = before.filter(|before| is_same_process(&before.status, &now.status)).and_then(|before| {
        let package = before.status.packages.iter().find(|earlier| earlier.file == package.file)?;
        Some((package, now.at.saturating_duration_since(before.at)))
    });
    let cost = |program: &Program| {
        let grown = earlier.and_then(|(package, time)| {
            let earlier = package.programs.iter().find(|earlier| earlier.id == program.id)?;
            grown(program, earlier, time)
        });
        let is_counted = now.status.bpf_stats_enabled && before.is_some_and(|before| before.status.bpf_stats_enabled);
        match grown {
            Some(cost) if is_counted => cost,
            _ => in_window(program),
        }
    };
    package.programs.iter().map(cost).collect()
}

/// The cost of a package's programs together.
pub(super) fn of_package(package: &Package, now: &Reading, before: Option<&Reading>) -> Cost {
    of_programs(package, now, before).into_iter().fold(Cost::default(), Cost::plus)
}

/// The cost of all programs of a host.
pub(super) fn of_host(now: &Reading, before: Option<&Reading>) -> Cost {
    let packages = now.status.packages.iter().map(|package| of_package(package, now, before));
    packages.fold(Cost::default(), Cost::plus)
}

/// CPU time of the host's own process, as a share of one CPU.
pub(super) fn of_process(now: &Reading, before: Option<&Reading>) -> Option<f64> {
    let before = before.filter(|before| is_same_process(&before.status, &now.status))?;
    let time = now.at.saturating_duration_since(before.at).as_secs_f64();
    let spent = now.status.process.cpu_seconds - before.status.process.cpu_seconds;
    (time > 0.0 && spent >= 0.0).then(|| spent / time)
}

fn is_same_process(one: &Status, other: &Status) -> bool {
    one.process.start_seconds.to_bits() == other.process.start_seconds.to_bits()
}

/// The growth of a program's counters in a time. None: it is another program.
fn grown(now: &Program, before: &Program, time: Duration) -> Option<Cost> {
    let seconds = time.as_secs_f64();
    let runs = now.runs.checked_sub(before.runs)?;
    let spent = now.run_seconds - before.run_seconds;
    (seconds > 0.0 && spent >= 0.0).then(|| Cost { runs: Some(runs as f64 / seconds), cpu: Some(spent / seconds) })
}

/// The cost in the host's last window.
fn in_window(program: &Program) -> Cost {
    let runs = match (program.cpu_ratio, program.run_duration_seconds) {
        (Some(ratio), Some(duration)) if duration > 0.0 => Some(ratio / duration),
        (Some(_), None) => Some(0.0),
        _ => None,
    };
    Cost { runs, cpu: program.cpu_ratio }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::top::status::Process;

    fn reading(at: Instant, programs: Vec<Program>, is_on: bool, start_seconds: f64) -> Reading {
        let package = Package { file: "p".into(), programs, ..Package::default() };
        let process = Process { start_seconds, ..Process::default() };
        let status = Status { packages: vec![package], bpf_stats_enabled: is_on, process, ..Status::default() };
        Reading { at, status, histograms: None }
    }

    fn program(runs: u64, run_seconds: f64) -> Program {
        let (cpu_ratio, run_duration_seconds) = (Some(0.01), Some(1e-6));
        Program { id: 7, runs, run_seconds, cpu_ratio, run_duration_seconds, ..Program::default() }
    }

    #[test]
    fn programs_cost_what_their_counters_grew_by_while_all_runs_are_timed() {
        let (start, later) = (Instant::now(), Instant::now() + Duration::from_secs(2));
        let before = reading(start, vec![program(1_000, 0.5)], true, 1.0);
        let now = reading(later, vec![program(3_000, 0.501)], true, 1.0);
        let cost = of_host(&now, Some(&before));
        let seconds = later.duration_since(start).as_secs_f64();
        assert!((cost.runs.unwrap() - 2_000.0 / seconds).abs() < 1e-6, "{cost:?}");
        assert!((cost.nanoseconds().unwrap() - 500.0).abs() < 1e-6, "{cost:?}");
    }

    #[test]
    fn without_statistics_the_last_window_counts() {
        let now = reading(Instant::now(), vec![program(9, 9.0)], false, 1.0);
        let cost = of_host(&now, None);
        assert!((cost.runs.unwrap() - 10_000.0).abs() < 1e-6 && (cost.nanoseconds().unwrap() - 1000.0).abs() < 1e-6);
        let idle = Program { run_duration_seconds: None, ..program(0, 0.0) };
        let cost = of_host(&reading(Instant::now(), vec![idle], false, 1.0), None);
        assert_eq!((cost.runs, cost.nanoseconds()), (Some(0.0), None));
        let unknown = Program { cpu_ratio: None, run_duration_seconds: None, ..program(0, 0.0) };
        assert_eq!(of_host(&reading(Instant::now(), vec![unknown], false, 1.0), None), Cost::default());
    }

    #[test]
    fn a_host_that_was_started_again_is_not_compared_with_the_one_before() {
        let (start, later) = (Instant::now(), Instant::now() + Duration::from_secs(2));
        let before = reading(start, vec![program(0, 0.0)], true, 1.0);
        let now = reading(later, vec![program(4_000, 0.004)], true, 2.0);
        assert!((of_host(&now, Some(&before)).runs.unwrap() - 10_000.0).abs() < 1e-6, "the window's");
        assert_eq!(of_process(&now, Some(&before)), None);
    }
}
