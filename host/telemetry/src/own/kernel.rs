//! Metrics of what a package has in the kernel: programs, maps, perf events, buffers of events.

use std::{collections::BTreeSet, fmt};

use super::{
    MapReport, MapRoom, PERF_STATES, PackageReport, PerfReport,
    families::{Families, Labels, UnitName, counter, gauge, plugin_label},
};

pub(super) fn programs(families: &mut Families<'_, '_>, packages: &[&PackageReport]) -> fmt::Result {
    let all = || {
        packages.iter().flat_map(|package| {
            let labels = |program| plugin_label(package).and("program", program);
            package.programs.iter().map(move |program| (labels(program.name.as_str()), program))
        })
    };
    // A program that was left out before the kernel loaded it has no number.
    let loaded = || all().filter(|(_, program)| program.id != 0);
    let ids: Vec<_> = loaded().map(|(_, program)| program.id.to_string()).collect();
    let info = loaded().zip(&ids).map(|((labels, program), id)| (labels.and("id", id).and("tag", &program.tag), true));
    families.numbers(
        gauge("program_info", "The kernel's number of a program, and the digest of its instructions."),
        info,
    )?;
    let attached = all().map(|(labels, program)| match program.reason {
        "" => (labels, true),
        reason => (labels.and("reason", reason), false),
    });
    let help = "1 for an attached program, 0 for one that is left out, and why.";
    families.numbers(gauge("program_attached", help), attached)?;
    let help = "Time that the program ran, while ebhost_bpf_stats_enabled is 1.";
    let seconds = loaded().map(|(labels, program)| (labels, program.run_seconds));
    families.numbers(counter("program_run", help).seconds(), seconds)?;
    let help = "Runs of the program, while ebhost_bpf_stats_enabled is 1.";
    families.numbers(counter("program_runs", help), loaded().map(|(labels, program)| (labels, program.runs)))?;
    let help = "Runs that the kernel left out because the program was running on that CPU already.";
    let misses = loaded().map(|(labels, program)| (labels, program.recursion_misses));
    families.numbers(counter("program_recursion_misses", help), misses)
}

/// The cost of programs in the last window in which it was measured.
pub(super) fn cost(families: &mut Families<'_, '_>, packages: &[&PackageReport]) -> fmt::Result {
    let all = || {
        packages.iter().flat_map(|package| {
            let labels = |program| plugin_label(package).and("program", program);
            package.programs.iter().map(move |program| (labels(program.name.as_str()), program))
        })
    };
    let ratios = all().filter_map(|(labels, program)| Some((labels, (*program.cpu_ratio)?)));
    let help = "CPU time that the program took in the last window in which it was measured, of one CPU.";
    families.numbers(gauge("program_cpu", help).in_unit(UnitName::Ratio), ratios)?;
    let times = all().filter_map(|(labels, program)| Some((labels, (*program.run_duration_seconds)?)));
    let help = "Mean time of a run in that window; absent if the program did not run.";
    families.numbers(gauge("program_run_duration", help).seconds(), times)?;
    let costs = packages.iter().filter_map(|package| Some((plugin_label(package), *package.kernel_cpu?.ratio)));
    let help = "CPU time that the plugin's programs took in that window, of one CPU.";
    families.numbers(gauge("plugin_kernel_cpu", help).in_unit(UnitName::Ratio), costs)
}

/// Limits of the programs and maps of a package.
pub(super) fn budgets(families: &mut Families<'_, '_>, packages: &[&PackageReport]) -> fmt::Result {
    let limits = packages.iter().filter_map(|package| Some((plugin_label(package), package.kernel_cpu?.limit)));
    let help = "CPU time above which the plugin's programs are detached, of one CPU.";
    families.numbers(gauge("plugin_kernel_cpu_limit", help).in_unit(UnitName::Ratio), limits)?;
    let maps = packages.iter().flat_map(|package| {
        package.map_memory.iter().map(move |(map, bytes)| (plugin_label(package).and("map", map), *bytes))
    });
    let help = "Kernel memory of each map of the plugin, read or not.";
    families.numbers(gauge("map_memory", help).bytes(), maps)?;
    let with_maps = packages.iter().filter(|package| !package.map_memory.is_empty());
    let limits = with_maps.map(|package| (plugin_label(package), package.map_memory_limit_bytes));
    let help = "Kernel memory that the plugin's maps may take when they are full.";
    families.numbers(gauge("plugin_map_memory_limit", help).bytes(), limits)
}

/// Kernel symbols and cgroups that the host gives to programs.
pub(super) fn names(families: &mut Families<'_, '_>, packages: &[&PackageReport]) -> fmt::Result {
    let all = || packages.iter().map(|package| (plugin_label(package), *package));
    let missing = all().map(|(labels, package)| (labels, package.missing_symbols));
    let help = "Kernel symbols of `kaddrs` that the kernel does not show.";
    families.numbers(gauge("kernel_symbols_missing", help), missing)?;
    let maps = || all().filter_map(|(labels, package)| Some((labels, package.cgroup_map?)));
    let cgroups = maps().map(|(labels, (cgroups, _))| (labels, cgroups));
    families.numbers(gauge("cgroup_id_map_cgroups", "Cgroups in the cgroup id map."), cgroups)?;
    let failures = maps().map(|(labels, (_, failures))| (labels, failures));
    families.numbers(counter("cgroup_id_map_failures", "Cgroups that the cgroup id map did not take."), failures)
}

/// The maps of all packages, each with its labels.
fn each_map<'a>(packages: &'a [&PackageReport]) -> impl Iterator<Item = (Labels<'a>, &'a MapReport)> {
    packages.iter().flat_map(|package| {
        package.maps.iter().map(move |map| (plugin_label(package).and("map", map.name.as_str()), map))
    })
}

pub(super) fn maps(families: &mut Families<'_, '_>, packages: &[&PackageReport]) -> fmt::Result {
    let all = || each_map(packages);
    let keyed = all().filter(|(_, map)| map.room != MapRoom::Fixed);
    let help = "Rows in use at the last read. Arrays have no series: all their rows are always there.";
    families.numbers(gauge("map_entries", help), keyed.map(|(labels, map)| (labels, map.entries)))?;
    let bounded = all().filter(|(_, map)| map.room == MapRoom::Bounded);
    let help = "Rows after which the map refuses new keys.";
    families.numbers(gauge("map_max_entries", help), bounded.map(|(labels, map)| (labels, map.max_entries)))?;
    let errors = all().map(|(labels, map)| (labels, map.read_errors));
    families.numbers(counter("map_read_errors", "Reads that did not reach the map's end."), errors)?;
    let deleted = all().filter_map(|(labels, map)| Some((labels, map.deleted?)));
    let help = "Rows that the host deleted, because the cgroup, disk or interface that they name is gone.";
    families.numbers(counter("map_entries_deleted", help), deleted)
}

pub(super) fn reads(families: &mut Families<'_, '_>, packages: &[&PackageReport]) -> fmt::Result {
    let seconds = each_map(packages).map(|(labels, map)| (labels, *map.all_reads_seconds));
    families.numbers(counter("map_read", "Time spent reading the map.").seconds(), seconds)
}

pub(super) fn perf(families: &mut Families<'_, '_>, packages: &[&PackageReport]) -> fmt::Result {
    let counts = packages.iter().flat_map(|package| {
        let events: BTreeSet<_> =
            package.perf.iter().map(|event| (event.source.as_str(), event.event.as_str())).collect();
        events.into_iter().flat_map(move |(source, event)| {
            PERF_STATES.into_iter().map(move |state| {
                let is_it = |one: &&PerfReport| (&*one.source, &*one.event, one.state) == (source, event, state);
                let labels = plugin_label(package).and("source", source).and("event", event).and("state", state);
                (labels, package.perf.iter().filter(is_it).count() as u64)
            })
        })
    });
    let help = "CPUs on which a perf event is live, scaled (takes turns, in part estimated), stalled (never gets a counter) or \
                absent (cannot be opened).";
    families.numbers(gauge("perf_events", help), counts)
}

pub(super) fn events(families: &mut Families<'_, '_>, packages: &[&PackageReport]) -> fmt::Result {
    let all = || {
        packages.iter().flat_map(|package| {
            let labels = |source| plugin_label(package).and("source", source);
            package.events.iter().map(move |events| (labels(events.source.as_str()), events))
        })
    };
    let read = all().map(|(labels, events)| (labels, events.read));
    families.numbers(counter("events_read", "Events read from a ring buffer or perf event array."), read)?;
    let help = "Events dropped because a buffer or the memory for waiting events was full; of a ring buffer what its programs count in the \
                global BUFFER_lost.";
    families.numbers(counter("events_lost", help), all().map(|(labels, events)| (labels, events.lost)))
}
