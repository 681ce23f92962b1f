//! Metrics of plugins: the state of each, its cost, and how near it is to its limits.

use std::fmt;

use super::{
    PackageReport, Report,
    families::{Durations, Families, UnitName, counter, gauge, plugin_label},
};
use crate::Stage;

/// The state of each plugin, and the cost of its calls.
pub(super) fn lives(families: &mut Families<'_, '_>, report: &Report, packages: &[&PackageReport]) -> fmt::Result {
    let states = packages.iter().flat_map(|package| {
        let labels = |state| plugin_label(package).and("state", state);
        report.states.iter().map(move |state| (labels(*state), package.state == Some(*state)))
    });
    let help = "1 for the state of the plugin. While it backs off or is quarantined, new identities wait.";
    families.numbers(gauge("plugin_state", help), states)?;
    let infos = packages
        .iter()
        .filter(|package| !package.digest.is_empty())
        .map(|package| (plugin_label(package).and("version", &package.version).and("digest", &package.digest), true));
    families.numbers(gauge("plugin_info", "The running version and the sha256 of its component."), infos)?;
    let current = packages.iter().map(|package| (plugin_label(package), package.is_current));
    let help = "1 if the package runs as its files are now, 0 if their version was refused.";
    families.numbers(gauge("plugin_current", help), current)?;
    let seconds = packages.iter().filter_map(|package| Some((plugin_label(package), package.last_success_seconds?)));
    let success = gauge("plugin_last_success_timestamp", "When the plugin last answered soundly.");
    families.numbers(success.seconds(), seconds)?;
    let failures = packages.iter().filter_map(|package| {
        let failure = package.last_failure.as_ref()?;
        Some((plugin_label(package), failure.seconds))
    });
    let failure = gauge("plugin_last_failure_timestamp", "When a call last failed, or a version was last refused.");
    families.numbers(failure.seconds(), failures)?;
    let seconds = packages.iter().map(|package| (plugin_label(package), package.compile_seconds));
    let compile = gauge("plugin_compile", "Time of compiling the component, or of finding it in the cache.");
    families.numbers(compile.seconds(), seconds)?;
    let durations = packages.iter().map(|package| {
        // A package that was left out has no durations; its series have the same buckets all the same.
        let (bounds, counts) = (report.decode_bounds, package.decode_durations.as_slice());
        (plugin_label(package), Durations { sum: package.guest_seconds, bounds, counts })
    });
    families.histograms(gauge("plugin_decode_duration", "Time of the calls of decode.").seconds(), durations)
}

/// The spans of the packages that make some.
pub(super) fn spans(families: &mut Families<'_, '_>, packages: &[&PackageReport]) -> fmt::Result {
    let tracing = || packages.iter().filter_map(|package| Some((plugin_label(package), package.spans.as_ref()?)));
    let help = "Spans that the plugin made of events.";
    families.numbers(counter("spans", help), tracing().map(|(labels, spans)| (labels, spans.made)))?;
    let lost = tracing().flat_map(|(labels, spans)| {
        spans.lost.iter().map(move |(reason, count)| (labels.and("reason", reason), *count))
    });
    let help = "Events that gave no span: `unknown` to the plugin, of a call that `failed`, too `short`; and spans beyond the `limit`.";
    families.numbers(counter("spans_lost", help), lost)
}

/// The stages of a scrape that are done for one plugin after the other.
const STAGES: [Stage; 3] = [Stage::Read, Stage::Label, Stage::Count];

/// The cost of each plugin.
pub(super) fn cpu(families: &mut Families<'_, '_>, packages: &[&PackageReport]) -> fmt::Result {
    let running = packages.iter().filter(|package| package.fault.is_empty());
    let spent = running.flat_map(|package| {
        STAGES.map(|stage| (plugin_label(package).and("stage", stage.name()), package.cpu.of(stage).as_secs_f64()))
    });
    families.numbers(counter("plugin_cpu", "CPU time of scrapes for the plugin, by stage.").seconds(), spent)
}

/// The series and entries of each plugin, and how near it is to its limits.
pub(super) fn plugins(families: &mut Families<'_, '_>, packages: &[&PackageReport]) -> fmt::Result {
    let each =
        |value: fn(&PackageReport) -> u64| packages.iter().map(move |package| (plugin_label(package), value(package)));
    let up = "1 for a plugin that answers, 0 for one that backs off, is quarantined or was refused.";
    families.numbers(gauge("plugin_up", up), each(|p| p.is_up.into()))?;
    families.numbers(gauge("plugin_series", "Series that exist now."), each(|p| p.series))?;
    let help = "Series beyond which new label sets are folded into `other`.";
    families.numbers(gauge("plugin_series_limit", help), each(|p| p.series_limit))?;
    families.numbers(counter("plugin_series_folded", "Label sets folded into `other`."), each(|p| p.folded))?;
    let help = "Label sets folded into `other` because the plugin's part of an answer is full.";
    families.numbers(counter("plugin_exposition_folded", help), each(|p| p.folded_for_exposition))?;
    families.numbers(gauge("plugin_entries", "Map entries that are counted."), each(|p| p.entries))?;
    families
        .numbers(gauge("plugin_unlabelled", "Identities that wait for the plugin's answer."), each(|p| p.unlabelled))?;
    let dropped = packages.iter().flat_map(|package| {
        let labels = |reason| plugin_label(package).and("reason", reason);
        package.dropped.iter().map(move |(reason, count)| (labels(*reason), *count))
    });
    let help = "Identities without series: `unknown` to the plugin, an `unsound` row, `set_aside` because asking fails; of events also \
         `evicted` beyond the limit and `expired`.";
    families.numbers(counter("plugin_entries_dropped", help), dropped)?;
    families.numbers(counter("plugin_labels_cut", "Label values cut at the limit."), each(|p| p.trimmed))?;
    let help = "Label values in which U+FFFD stands for bytes that are not UTF-8.";
    families.numbers(counter("plugin_labels_replaced", help), each(|p| p.replaced))?;
    families.numbers(counter("plugin_decoded_entries", "Identities handed to the plugin."), each(|p| p.asked))?;
    families.numbers(counter("plugin_restarts", "Instances made after the first one failed."), each(|p| p.restarts))?;
    let failures = packages.iter().flat_map(|package| {
        let labels = |reason| plugin_label(package).and("reason", reason);
        package.failures.iter().map(move |(reason, count)| (labels(*reason), *count))
    });
    families.numbers(counter("plugin_failures", "Calls that failed."), failures)?;
    let lost = packages.iter().flat_map(|package| {
        package.lost.iter().map(|(reason, count)| (plugin_label(package).and("reason", reason), *count))
    });
    let help = "What the plugin did not count: events that found no room, and what its families ending in `_lost_total` count.";
    families.numbers(counter("lost", help), lost)?;
    families.numbers(counter("plugin_log_dropped", "Log lines beyond the limit."), each(|p| p.dropped_lines))?;
    let help = "Scrapes that went without the plugin's families because its maps could not be read in time.";
    families.numbers(counter("plugin_late_scrapes", help), each(|p| p.late_scrapes))?;
    let memory = gauge("plugin_memory", "The most linear memory that an instance had.").bytes();
    families.numbers(memory, each(|p| p.memory_bytes))?;
    let limit = gauge("plugin_memory_limit", "Linear memory that an instance may have.").bytes();
    families.numbers(limit, each(|p| p.memory_limit_bytes))?;
    let used = packages.iter().flat_map(|package| {
        let labels = |limit| plugin_label(package).and("limit", limit);
        package.limits_used.iter().map(move |(limit, part)| (labels(*limit), *part))
    });
    let help = "The largest part of each limit that the component has used, from 0 to 1.";
    families.numbers(gauge("plugin_limit_used", help).in_unit(UnitName::Ratio), used)?;
    let recent = packages.iter().flat_map(|package| {
        let labels = |limit| plugin_label(package).and("limit", limit);
        package.limits_used_recently.iter().map(move |(limit, part)| (labels(*limit), *part))
    });
    let help = "The largest part of each limit that the component has used in the last five minutes, from 0 to 1.";
    families.numbers(gauge("plugin_limit_used_recent", help).in_unit(UnitName::Ratio), recent)
}
