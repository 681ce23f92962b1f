//! Budgets of BPF programs: measures in short windows what each package's programs cost, and finds packages that cost more than they may.
//!
//! The sandbox bounds a component; a program in the kernel is bounded by nobody. The kernel can time every run, but that costs each run
//! about as much as a short program, so it is switched on for [`limits::BUDGET_WINDOW`] only, by a process that can do nothing else
//! ([`StatisticsProcess`]). This module measures and judges; it detaches nothing.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use tracing::warn;

use super::package::Running;
use ebhost_kernel::{Program, RunStatistics, StatisticsProcess, StatisticsWindow};
use ebhost_limits as limits;
use ebhost_package::CpuShare;

/// The measurements of all packages.
pub(super) struct KernelBudgets {
    process: Option<Arc<StatisticsProcess>>,
    cpus: usize,
    next: Instant,
    window: Option<Window>,
    costs: BTreeMap<PathBuf, PackageCost>,
    /// Why nothing is measured; none: it is.
    unmeasured: Option<String>,
}

/// A window that is open.
struct Window {
    started: Instant,
    before: BTreeMap<PathBuf, Vec<Option<RunStatistics>>>,
    /// None: the statistics are on for others, too, and stay on.
    _held: Option<StatisticsWindow>,
}

/// The cost of a package's programs in the last window.
#[derive(Debug, Clone, Default)]
pub(super) struct PackageCost {
    /// Share of one CPU's time.
    pub(super) ratio: f64,
    pub(super) limit: f64,
    /// By program, in the order of the package's programs.
    pub(super) programs: Vec<Option<ProgramCost>>,
    windows_above: u32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ProgramCost {
    pub(super) ratio: f64,
    /// Mean time of a run; none: it did not run.
    pub(super) run_time: Option<Duration>,
}

/// A package that was above its budget for too long.
#[derive(Debug, Clone)]
pub(crate) struct OverBudget {
    pub(crate) file: PathBuf,
    pub(crate) name: String,
    pub(crate) reason: String,
}

impl KernelBudgets {
    /// Measures with the help of this process; none: only while others have switched the statistics on.
    pub(super) fn new(process: Option<Arc<StatisticsProcess>>) -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let next = Instant::now() + limits::BUDGET_PAUSE_ABOVE;
        Self { process, cpus, next, window: None, costs: BTreeMap::new(), unmeasured: None }
    }

    /// When [`step`](Self::step) is to be called next.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// Packages were added or exchanged: a window is opened soon.
    pub(super) fn measure_soon(&mut self) {
        self.next = self.next.min(Instant::now() + limits::BUDGET_PAUSE_ABOVE);
    }

    pub(super) fn cost(&self, file: &Path) -> Option<&PackageCost> {
        self.costs.get(file)
    }

    /// Why costs are not measured; none: they are.
    pub(super) fn unmeasured(&self) -> Option<&str> {
        self.unmeasured.as_deref()
    }

    /// Whether no window is open, so that nothing else that runs now is measured.
    pub(super) fn is_between_windows(&self) -> bool {
        self.window.is_none()
    }

    /// Opens a window, or closes the one that is open and judges the packages.
    pub(super) fn step(&mut self, packages: &[Running], statistics_are_on: bool) -> Vec<OverBudget> {
        let now = Instant::now();
        let Some(window) = self.window.take() else {
            self.open(packages, statistics_are_on);
            return Vec::new();
        };
        let over = self.judge(packages, &window, now.saturating_duration_since(window.started));
        drop(window); // before the pause, in which nothing is to be measured
        if statistics_are_on {
            self.open(packages, true);
        } else {
            self.next = now + self.pause();
        }
        over
    }

    /// While a package is above its budget, the next window comes sooner.
    fn pause(&self) -> Duration {
        let any_above = self.costs.values().any(|cost| cost.windows_above > 0);
        if any_above { limits::BUDGET_PAUSE_ABOVE } else { limits::BUDGET_PAUSE }
    }

    fn open(&mut self, packages: &[Running], statistics_are_on: bool) {
        if packages.iter().all(|package| package.programs().next().is_none()) {
            // A window for nothing would wake this thread a hundred times a second.
            (self.next, self.unmeasured) = (Instant::now() + limits::BUDGET_PAUSE, None);
            self.costs.clear();
            return;
        }
        let held = match &self.process {
            _ if statistics_are_on => Ok(None),
            Some(process) => process.open_window().map(Some).map_err(|error| error.to_string()),
            None => Err("the process that switches statistics on could not be started".to_owned()),
        };
        let length = if statistics_are_on { self.pause() } else { limits::BUDGET_WINDOW };
        match held {
            Ok(held) => {
                self.unmeasured = None;
                let before = packages.iter().map(|package| (package.file.clone(), statistics(package))).collect();
                let started = Instant::now();
                self.next = started + length;
                self.window = Some(Window { started, before, _held: held });
            }
            Err(why) => {
                self.next = Instant::now() + limits::BUDGET_PAUSE;
                self.costs.clear();
                if self.unmeasured.is_none() {
                    warn!(
                        "what BPF programs cost is not measured, and `kernel_cpu` in `limits` has no effect: their run times cannot be switched on \
                         ({why}); start ebhost with CAP_SYS_ADMIN, which only a process of its own keeps, or set kernel.bpf_stats_enabled=1"
                    );
                }
                self.unmeasured = Some(why);
            }
        }
    }

    fn judge(&mut self, packages: &[Running], window: &Window, length: Duration) -> Vec<OverBudget> {
        let mut over = Vec::new();
        let mut costs = BTreeMap::new();
        for package in packages {
            let Some(before) = window.before.get(&package.file) else { continue };
            let programs: Vec<_> = before
                .iter()
                .zip(statistics(package))
                .map(|(before, after)| cost(before.as_ref()?, &after?, length))
                .collect();
            let default = limits::DEFAULT_KERNEL_CPU_OF_MACHINE * self.cpus as f64;
            let limit = package.kernel_cpu_limit().map_or(default, CpuShare::ratio);
            let ratio = programs.iter().flatten().map(|cost| cost.ratio).sum();
            let above_before = self.costs.get(&package.file).map_or(0, |cost| cost.windows_above);
            let windows_above = if ratio > limit { above_before + 1 } else { 0 };
            let cost = PackageCost { ratio, limit, programs, windows_above };
            if windows_above >= limits::BUDGET_WINDOWS_ABOVE {
                over.push(OverBudget {
                    file: package.file.clone(),
                    name: package.name.clone(),
                    reason: reason(package, &cost),
                });
            }
            costs.insert(package.file.clone(), cost);
        }
        self.costs = costs;
        over
    }
}

fn statistics(package: &Running) -> Vec<Option<RunStatistics>> {
    package.programs().map(Program::statistics).collect()
}

/// The cost between two readings of one program; none: they are not of one program.
fn cost(before: &RunStatistics, after: &RunStatistics, length: Duration) -> Option<ProgramCost> {
    if before.id != after.id || length.is_zero() {
        return None;
    }
    let time = Duration::from_nanos(after.run_time_ns.checked_sub(before.run_time_ns)?);
    let runs = u32::try_from(after.runs.checked_sub(before.runs)?).unwrap_or(u32::MAX);
    Some(ProgramCost { ratio: time.as_secs_f64() / length.as_secs_f64(), run_time: time.checked_div(runs) })
}

fn reason(package: &Running, cost: &PackageCost) -> String {
    let named = package.programs().zip(&cost.programs).filter_map(|(program, cost)| Some((program, (*cost)?)));
    let costliest = named.max_by(|(_, one), (_, other)| one.ratio.total_cmp(&other.ratio));
    let costliest = costliest.map_or_else(String::new, |(program, cost)| {
        let run = cost.run_time.map_or_else(String::new, |time| format!(", {} ns a run", time.as_nanos()));
        format!(", {:.2} % of it program `{}`{run}", cost.ratio * 100.0, program.name)
    });
    format!(
        "{}: its BPF programs took {:.2} % of a CPU in each of {} windows{costliest}; expected at most {:.2} %: its programs are detached. \
         `kernel_cpu` in `limits` sets how much they may take",
        package.file.display(),
        cost.ratio * 100.0,
        limits::BUDGET_WINDOWS_ABOVE,
        cost.limit * 100.0
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A host whose packages only read what other programs count was woken ninety times a second.
    #[test]
    fn without_programs_there_is_nothing_to_measure_for_a_while() {
        let mut budgets = KernelBudgets::new(None);
        for statistics_are_on in [false, true] {
            let now = Instant::now();
            assert!(budgets.step(&[], statistics_are_on).is_empty());
            assert!(budgets.next() >= now + limits::BUDGET_PAUSE && budgets.is_between_windows());
            budgets.measure_soon();
            assert!(budgets.next() < now + limits::BUDGET_PAUSE);
        }
    }

    #[test]
    fn the_cost_is_the_share_of_one_cpu_and_the_mean_of_a_run() {
        let reading = |run_time_ns, runs| RunStatistics { id: 7, run_time_ns, runs, ..RunStatistics::default() };
        let length = Duration::from_millis(10);
        let found = cost(&reading(1_000, 10), &reading(501_000, 1_010), length).unwrap();
        assert_eq!(found, ProgramCost { ratio: 0.05, run_time: Some(Duration::from_nanos(500)) });
        assert_eq!(cost(&reading(5, 5), &reading(5, 5), length).unwrap().run_time, None);
        let other = RunStatistics { id: 8, ..RunStatistics::default() };
        assert_eq!(cost(&reading(5, 5), &other, length), None, "another program has its number");
    }
}
