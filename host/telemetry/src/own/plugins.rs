//! Metrics of plugins: the state of each, its cost, and how near it is to its limits.

use std::{fmt, iter};

use prometheus_client::registry::Unit;

use super::{
    PackageReport, Report,
    families::{Durations, Families, plugin_label},
};

/// The state of each plugin, and the cost of its calls.
pub(super) fn lives(families: &mut Families<'_, '_>, report: &Report, packages: &[&PackageReport]) -> fmt::Result {
    let states = packages.iter().flat_map(|package| {
        let at = |state: &&'static str| u64::from(package.state == Some(*state));
        let labels = |state: &'static str| vec![("plugin", package.name.as_str()), ("state", state)];
        report.states.iter().map(move |state| (labels(state), at(state)))
    });
    let help = "1 for the state of the plugin. While it backs off or is quarantined, new identities wait.";
    families.gauge("plugin_state", help, None, states)?;
    let infos = packages.iter().filter(|package| !package.digest.is_empty()).map(|package| {
        let labels = [("plugin", &package.name), ("version", &package.version), ("digest", &package.digest)];
        (labels.map(|(name, value)| (name, value.as_str())).to_vec(), 1u64)
    });
    families.gauge("plugin_info", "The running version and the sha256 of its component.", None, infos)?;
    let current = packages.iter().map(|package| (plugin_label(package), u64::from(package.is_current)));
    let help = "1 if the package runs as its files are now, 0 if their version was refused.";
    families.gauge("plugin_current", help, None, current)?;
    let seconds = packages.iter().filter_map(|package| Some((plugin_label(package), package.last_success_seconds?)));
    let help = "When the plugin last answered soundly.";
    families.gauge("plugin_last_success_timestamp", help, Some(&Unit::Seconds), seconds)?;
    let seconds = packages.iter().map(|package| (plugin_label(package), package.compile_seconds));
    let help = "Time of compiling the component, or of finding it in the cache.";
    families.gauge("plugin_compile", help, Some(&Unit::Seconds), seconds)?;
    let durations = packages.iter().map(|package| {
        // A package that was left out has no durations; its series have the same buckets all the same.
        let bounds = report.decode_bounds.iter().copied().chain([f64::INFINITY]);
        let counts = package.decode_durations.iter().copied().chain(iter::repeat(0));
        let buckets = bounds.zip(counts).collect();
        (plugin_label(package), Durations { sum: package.guest_seconds, buckets })
    });
    families.histogram("plugin_decode_duration", "Time of the calls of decode.", Some(&Unit::Seconds), durations)
}

/// The series and entries of each plugin, and how near it is to its limits.
pub(super) fn plugins(families: &mut Families<'_, '_>, packages: &[&PackageReport]) -> fmt::Result {
    let each =
        |value: fn(&PackageReport) -> u64| packages.iter().map(move |package| (plugin_label(package), value(package)));
    families.gauge(
        "plugin_up",
        "1 for a plugin that answers, 0 for one that backs off, is quarantined or was left out.",
        None,
        each(|p| p.is_up.into()),
    )?;
    families.gauge("plugin_series", "Series that exist now.", None, each(|p| p.series))?;
    let help = "Series beyond which new label sets are folded into `other`.";
    families.gauge("plugin_series_limit", help, None, each(|p| p.series_limit))?;
    families.counter("plugin_series_folded", "Label sets folded into `other`.", None, each(|p| p.folded))?;
    families.gauge("plugin_entries", "Map entries that are counted.", None, each(|p| p.entries))?;
    let help = "Identities that wait for the plugin's answer.";
    families.gauge("plugin_unlabelled", help, None, each(|p| p.unlabelled))?;
    let dropped = packages.iter().flat_map(|package| {
        let labels = |reason| vec![("plugin", package.name.as_str()), ("reason", reason)];
        package.dropped.iter().map(move |(reason, count)| (labels(*reason), *count))
    });
    let help = "Identities without series: `unknown` to the plugin, an `unsound` row, `set_aside` because asking fails; of events also \
         `evicted` beyond the limit and `expired`.";
    families.counter("plugin_entries_dropped", help, None, dropped)?;
    families.counter("plugin_labels_cut", "Label values cut at the limit.", None, each(|p| p.trimmed))?;
    let help = "Label values in which U+FFFD stands for bytes that are not UTF-8.";
    families.counter("plugin_labels_replaced", help, None, each(|p| p.replaced))?;
    families.counter("plugin_decoded_entries", "Identities handed to the plugin.", None, each(|p| p.asked))?;
    families.counter("plugin_restarts", "Instances made after the first one failed.", None, each(|p| p.restarts))?;
    let failures = packages.iter().flat_map(|package| {
        let labels = |reason| vec![("plugin", package.name.as_str()), ("reason", reason)];
        package.failures.iter().map(move |(reason, count)| (labels(*reason), *count))
    });
    families.counter("plugin_failures", "Calls that failed.", None, failures)?;
    families.counter("plugin_log_dropped", "Log lines beyond the limit.", None, each(|p| p.dropped_lines))?;
    let help = "Scrapes that went without the plugin's families because its maps could not be read in time.";
    families.counter("plugin_late_scrapes", help, None, each(|p| p.late_scrapes))?;
    let help = "The most linear memory that an instance had.";
    families.gauge("plugin_memory", help, Some(&Unit::Bytes), each(|p| p.memory_bytes))?;
    let help = "Linear memory that an instance may have.";
    families.gauge("plugin_memory_limit", help, Some(&Unit::Bytes), each(|p| p.memory_limit_bytes))?;
    let used = packages.iter().flat_map(|package| {
        let labels = |limit| vec![("plugin", package.name.as_str()), ("limit", limit)];
        package.limits_used.iter().map(move |(limit, part)| (labels(*limit), *part))
    });
    let help = "The largest part of each limit that the component has used, from 0 to 1.";
    families.gauge("plugin_limit_used", help, Some(&Unit::Other("ratio".to_owned())), used)
}
