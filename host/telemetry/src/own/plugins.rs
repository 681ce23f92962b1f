//! Metrics of plugins: where each stands in its life, what it costs, and how near its limits it is.

use std::fmt;

use prometheus_client::registry::Unit;

use super::{
    PackageReport, Report,
    families::{Durations, Families, of},
};

/// Where each plugin stands, and what its calls cost.
pub(super) fn lives(families: &mut Families<'_, '_>, report: &Report) -> fmt::Result {
    let packages = &report.packages;
    let states = packages.iter().flat_map(|package| {
        let at = |state: &&'static str| u64::from(package.state == Some(*state));
        let labels = |state: &'static str| vec![("plugin", package.name.as_str()), ("state", state)];
        report.states.iter().map(move |state| (labels(state), at(state)))
    });
    let help = "1 for where the plugin stands: what is unseen waits while it backs off or is quarantined.";
    families.gauge("plugin_state", help, None, states)?;
    let infos = packages.iter().filter(|package| !package.digest.is_empty()).map(|package| {
        let labels = [("plugin", &package.name), ("version", &package.version), ("digest", &package.digest)];
        (labels.map(|(name, value)| (name, value.as_str())).to_vec(), 1u64)
    });
    families.gauge("plugin_info", "The running version and the sha256 of its component.", None, infos)?;
    let current = packages.iter().map(|package| (of(package), u64::from(package.is_current)));
    let help = "1 if the package runs as its files are now, 0 if their version was refused.";
    families.gauge("plugin_current", help, None, current)?;
    let seconds = packages.iter().filter_map(|package| Some((of(package), package.last_success_seconds?)));
    let help = "When the plugin last answered soundly.";
    families.gauge("plugin_last_success_timestamp", help, Some(&Unit::Seconds), seconds)?;
    let seconds = packages.iter().map(|package| (of(package), package.compile_seconds));
    let help = "Time of compiling the component, or of finding it in the cache.";
    families.gauge("plugin_compile", help, Some(&Unit::Seconds), seconds)?;
    let durations = packages.iter().map(|package| {
        let mut buckets: Vec<_> = report.decode_bounds.iter().copied().zip(package.decode_durations.clone()).collect();
        buckets.push((f64::INFINITY, package.decode_durations.last().copied().unwrap_or(0)));
        (of(package), Durations { sum: package.guest_seconds, buckets })
    });
    families.family("plugin_decode_duration", "Time of the calls of decode.", Some(&Unit::Seconds), durations)
}

pub(super) fn plugins(families: &mut Families<'_, '_>, packages: &[PackageReport]) -> fmt::Result {
    let each = |value: fn(&PackageReport) -> u64| packages.iter().map(move |package| (of(package), value(package)));
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
    let help =
        "Identities without series: `unknown` to the plugin, an `unsound` row, `set_aside` because asking fails.";
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
