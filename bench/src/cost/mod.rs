//! The cost of the packages' programs: ns a run by the kernel's statistics under a load that drives them, with what an empty program on the
//! same hook takes in the same run taken off; and what the same job takes with ordinary BPF hashes.
//!
//! Programs on one hook run in the order in which they were attached, and the first one meets cold caches. The empty program is always the
//! first; the package and the comparison take turns in being the second, and the table has the mean of both.
//!
//! The run times of each program are read in short windows, and the median of the windows counts, so that a window in which the hypervisor
//! took the CPU away, or a neighbour filled the caches, does not.

pub(crate) mod load;
mod packages;

use std::{
    collections::BTreeMap,
    fs, thread,
    time::{Duration, Instant},
};

use ebhost_tests::{Ebhost, Folder, Start, committed, copy_package, workspace};

use crate::report::text;
use packages::{CASES, Case};

const STATISTICS: &str = "/proc/sys/kernel/bpf_stats_enabled";
const RUN: Duration = Duration::from_secs(5);
const WINDOW: Duration = Duration::from_millis(200);
/// The package of the empty programs: its name comes before all others, and packages are attached in the order of their names.
const EMPTY: &str = "aempty";
/// The names of the comparison: before all packages but the empty one, and after all.
const HASHES: [&str; 2] = ["ahashes", "zhashes"];

/// Runs and run time of a program, as the kernel counts them.
#[derive(Debug, Clone, Copy, Default)]
struct Runs {
    seconds: f64,
    count: f64,
}

/// Programs by package and name.
type Programs = BTreeMap<(String, String), Runs>;

/// Results of the windows of one run, or of both, for each program.
type Windows = BTreeMap<(String, String), Vec<Runs>>;

/// Prints a table of the packages' programs. `only`: the name of one package; none: all.
pub(crate) fn packages(only: Option<&str>) {
    text(
        "\nns a run by the kernel's statistics, medians of windows, net of an empty program on the same hook in the same run. \
         *By hash*: the same job with BPF hashes.\n",
    );
    text("| package | program | net | by hash, net | ratio | empty | runs | load |\n|---|---|--:|--:|--:|--:|--:|---|");
    for case in CASES.iter().filter(|case| only.is_none_or(|only| only == case.package)) {
        measure(case);
    }
}

/// Runs one package beside its comparison, so that caches are shared with nothing else.
fn measure(case: &Case) {
    let rounds = HASHES.map(|hashes| spent(case, hashes));
    for program in case.programs {
        let each = |name: &dyn Fn(&str) -> (String, String)| {
            let nets = HASHES.iter().zip(&rounds).map(|(hashes, round)| {
                let empty = median(round, &(EMPTY.to_owned(), format!("empty_{program}")))?;
                Some((median(round, &name(hashes))? - empty, empty))
            });
            let nets: Option<Vec<_>> = nets.collect();
            nets.map(|nets| nets.iter().fold((0.0, 0.0), |sum, net| (sum.0 + net.0 / 2.0, sum.1 + net.1 / 2.0)))
        };
        let own = each(&|_| (case.package.to_owned(), (*program).to_owned()));
        let by_hash = each(&|hashes| (hashes.to_owned(), format!("{}_{program}", case.compared)));
        let runs: f64 = rounds
            .iter()
            .flat_map(|round| round.get(&(EMPTY.to_owned(), format!("empty_{program}"))))
            .flatten()
            .map(|runs| runs.count)
            .sum();
        let number = |number: Option<f64>| number.map_or_else(String::new, |number| format!("{number:.0}"));
        let ratio = own.zip(by_hash).map_or_else(String::new, |(own, by_hash)| format!("{:.2}", own.0 / by_hash.0));
        text(&format!(
            "| {} | {program} | {} | {} | {ratio} | {} | {runs} | {} |",
            case.package,
            own.map_or_else(|| "no program".to_owned(), |own| format!("**{:.0}**", own.0)),
            number(by_hash.map(|net| net.0)),
            number(own.or(by_hash).map(|net| net.1)),
            case.under,
        ));
    }
}

/// The median of the ns a run in each window, weighted by runs. None: it did not run.
fn median(windows: &Windows, program: &(String, String)) -> Option<f64> {
    let mut windows: Vec<_> = windows.get(program)?.iter().filter(|runs| runs.count > 0.0).collect();
    windows.sort_by(|one, other| (one.seconds / one.count).total_cmp(&(other.seconds / other.count)));
    let half = windows.iter().map(|runs| runs.count).sum::<f64>() / 2.0;
    let mut sum = 0.0;
    let middle = windows.into_iter().find(|runs| {
        sum += runs.count;
        sum >= half
    });
    middle.map(|runs| runs.seconds * 1e9 / runs.count)
}

/// Copies the comparison under a name, with these programs of it.
fn add_comparison(folder: &Folder, name: &str, programs: &[String]) {
    let package = folder.path().join(name);
    copy_package(&workspace().join("bench/packages/costs"), &package);
    folder.amend(name, "name: costs\n", &format!("name: {name}\n"));
    folder.amend(name, "compared_events_total", &format!("{name}_events_total"));
    let (sampled, others): (Vec<_>, Vec<_>) = programs.iter().partition(|program| program.ends_with("_sample"));
    let others: Vec<_> = others.into_iter().map(String::as_str).collect();
    let list = format!("  object: costs.bpf.o\n  programs: [{}]\n", others.join(", "));
    folder.amend(name, "  object: costs.bpf.o\n", &list);
    if let Some(program) = sampled.first() {
        let perf =
            format!("perf:\n  clock: {{ events: [software/cpu-clock], frequency: 99, program: {program} }}\n\nbpf:\n");
        folder.amend(name, "bpf:\n", &perf);
    }
    if programs.iter().any(|program| program.starts_with("llcstat_")) {
        let perf = "perf:\n  llc: { events: [software/page-faults, software/context-switches], maps: [references, misses] }\n\nbpf:\n";
        folder.amend(name, "bpf:\n", perf);
    }
}

/// The runs of the programs of a package and of its comparison during its load.
fn spent(case: &Case, hashes: &str) -> Windows {
    let folder = Folder::new();
    folder.copy(&committed().join(case.package));
    let named = |prefix: &str| case.programs.iter().map(|program| format!("{prefix}_{program}")).collect::<Vec<_>>();
    add_comparison(&folder, EMPTY, &named("empty"));
    add_comparison(&folder, hashes, &named(case.compared));
    let settings = if case.options.is_empty() { "on".to_owned() } else { format!("{{ {} }}", case.options) };
    folder.set(&format!("plugins: {{ {}: {settings} }}\n", case.package));
    let host = Start::with(folder.path()).args(&["--strict"]).listening();
    let statistics = fs::read_to_string(STATISTICS).unwrap_or_default();
    fs::write(STATISTICS, "1").expect("the benchmark runs as root");
    let mut windows = Windows::new();
    let end = Instant::now() + RUN;
    load::together(case.loads, end, || {
        let mut before = programs(&host);
        while Instant::now() < end {
            thread::sleep(WINDOW);
            let after = programs(&host);
            for (program, now) in &after {
                let last = before.get(program).copied().unwrap_or_default();
                let grown = Runs { seconds: now.seconds - last.seconds, count: now.count - last.count };
                windows.entry(program.clone()).or_default().push(grown);
            }
            before = after;
        }
    });
    let _ = fs::write(STATISTICS, statistics.trim());
    host.stop();
    windows
}

fn programs(host: &Ebhost) -> Programs {
    let served = host.scrape();
    let mut programs = Programs::new();
    for (family, is_time) in [("ebhost_program_run_seconds_total", true), ("ebhost_program_runs_total", false)] {
        for sample in served.families.get(family).map_or(&[][..], |family| &family.samples) {
            let label = |name: &str| sample.labels.get(name).cloned().unwrap_or_default();
            let runs = programs.entry((label("plugin"), label("program"))).or_default();
            *(if is_time { &mut runs.seconds } else { &mut runs.count }) = sample.value;
        }
    }
    programs
}
