//! Metrics of what a package has in the kernel: programs, maps, perf events, buffers of events.

use std::fmt;

use prometheus_client::registry::Unit;

use super::{
    MapReport, PackageReport,
    families::{Families, Labels, plugin_label},
};

pub(super) fn programs(families: &mut Families<'_, '_>, packages: &[&PackageReport]) -> fmt::Result {
    let all = || {
        packages.iter().flat_map(|package| {
            package
                .programs
                .iter()
                .map(|program| (vec![("plugin", package.name.as_str()), ("program", program.name.as_str())], program))
        })
    };
    // A program that was left out before the kernel loaded it has no number.
    let loaded = || all().filter(|(_, program)| program.id != 0);
    let ids: Vec<_> = loaded().map(|(_, program)| program.id.to_string()).collect();
    let info = loaded().zip(&ids).map(|((mut labels, program), id)| {
        labels.extend([("id", id.as_str()), ("tag", program.tag.as_str())]);
        (labels, 1u64)
    });
    let help = "The kernel's number of a program, and the digest of its instructions.";
    families.gauge("program_info", help, None, info)?;
    let attached = all().map(|(mut labels, program)| {
        if !program.reason.is_empty() {
            labels.push(("reason", program.reason));
        }
        (labels, u64::from(program.reason.is_empty()))
    });
    let help = "1 for an attached program, 0 for one that is left out, and why.";
    families.gauge("program_attached", help, None, attached)?;
    let help = "Time that the program ran, while kernel.bpf_stats_enabled is on.";
    let seconds = loaded().map(|(labels, program)| (labels, program.run_seconds));
    families.counter("program_run", help, Some(&Unit::Seconds), seconds)?;
    let help = "Runs of the program, while kernel.bpf_stats_enabled is on.";
    families.counter("program_runs", help, None, loaded().map(|(labels, program)| (labels, program.runs)))?;
    let help = "Runs that the kernel left out because the program was running on that CPU already.";
    let misses = loaded().map(|(labels, program)| (labels, program.recursion_misses));
    families.counter("program_recursion_misses", help, None, misses)
}

/// Kernel symbols and cgroups that the host gives to programs.
pub(super) fn names(families: &mut Families<'_, '_>, packages: &[&PackageReport]) -> fmt::Result {
    let all = || packages.iter().map(|package| (vec![("plugin", package.name.as_str())], package));
    let help = "Kernel symbols of `kaddrs` that the kernel does not show.";
    let missing = all().map(|(labels, package)| (labels, package.missing_symbols));
    families.gauge("kernel_symbols_missing", help, None, missing)?;
    let maps = || all().filter_map(|(labels, package)| Some((labels, package.cgroup_map?)));
    let help = "Cgroups in the cgroup id map.";
    families.gauge("cgroup_id_map_cgroups", help, None, maps().map(|(labels, (cgroups, _))| (labels, cgroups)))?;
    let help = "Cgroups that the cgroup id map did not take.";
    families.counter("cgroup_id_map_failures", help, None, maps().map(|(labels, (_, failures))| (labels, failures)))
}

/// The maps of all packages, each with its labels.
fn each_map<'a>(packages: &'a [&PackageReport]) -> impl Iterator<Item = (Labels<'a>, &'a MapReport)> {
    packages.iter().flat_map(|package| {
        let labels = |map| vec![("plugin", package.name.as_str()), ("map", map)];
        package.maps.iter().map(move |map| (labels(map.name.as_str()), map))
    })
}

pub(super) fn maps(families: &mut Families<'_, '_>, packages: &[&PackageReport]) -> fmt::Result {
    let all = || each_map(packages);
    let entries = all().map(|(labels, map)| (labels, map.entries));
    families.gauge("map_entries", "Entries at the last read.", None, entries)?;
    let most = all().map(|(labels, map)| (labels, map.max_entries));
    families.gauge("map_max_entries", "Entries that the map can hold.", None, most)?;
    let errors = all().map(|(labels, map)| (labels, map.read_errors));
    families.counter("map_read_errors", "Reads that did not reach the map's end.", None, errors)
}

pub(super) fn reads(families: &mut Families<'_, '_>, packages: &[&PackageReport]) -> fmt::Result {
    let seconds = each_map(packages).map(|(labels, map)| (labels, *map.read_seconds));
    families.gauge("map_read", "Time of the last read.", Some(&Unit::Seconds), seconds)
}

pub(super) fn perf(families: &mut Families<'_, '_>, packages: &[&PackageReport]) -> fmt::Result {
    let cpus: Vec<Vec<String>> =
        packages.iter().map(|package| package.perf.iter().map(|event| event.cpu.to_string()).collect()).collect();
    let states = packages.iter().zip(&cpus).flat_map(|(package, cpus)| {
        package.perf.iter().zip(cpus).map(|(event, cpu)| {
            let labels = vec![
                ("plugin", package.name.as_str()),
                ("source", event.source.as_str()),
                ("event", event.event.as_str()),
                ("cpu", cpu.as_str()),
                ("state", event.state),
            ];
            (labels, 1u64)
        })
    });
    let help = "1 for the state of a perf event: live, scaled (takes turns, in part estimated), stalled (never gets a \
                counter), absent (cannot be opened).";
    families.gauge("perf_event_state", help, None, states)
}

pub(super) fn events(families: &mut Families<'_, '_>, packages: &[&PackageReport]) -> fmt::Result {
    let all = || {
        packages.iter().flat_map(|package| {
            let labels = |source| vec![("plugin", package.name.as_str()), ("source", source)];
            package.events.iter().map(move |events| (labels(events.source.as_str()), events))
        })
    };
    let read = all().map(|(labels, events)| (labels, events.read));
    families.counter("events_read", "Events read from a ring buffer or perf event array.", None, read)?;
    let help = "Events dropped because a buffer or the memory for waiting events was full; of a ring buffer what its programs count in the \
                global BUFFER_lost.";
    families.counter("events_lost", help, None, all().map(|(labels, events)| (labels, events.lost)))?;
    let help = "Events read and not counted, because there were more different ones than are remembered.";
    let beyond = packages.iter().filter(|package| !package.events.is_empty());
    let beyond = beyond.map(|package| (plugin_label(package), package.events_beyond_limit));
    families.counter("events_beyond_limit", help, None, beyond)
}
