//! Metrics of the host as a whole, and of its process.

use std::fmt;

use super::{
    Report,
    families::{Families, Labels, counter, gauge},
};
use crate::{FeedReport, HttpReport, OtlpReport, Process, Stage};

/// Families without a volatile field.
pub(super) fn stable(families: &mut Families<'_, '_>, report: &Report) -> fmt::Result {
    let build = [
        ("version", report.build.version),
        ("revision", report.build.revision),
        ("rustc", report.build.rustc),
        ("arch", std::env::consts::ARCH),
    ];
    families.numbers(gauge("build_info", "The running version."), [(build, true)])?;
    families
        .number(gauge("ready", "1 while at least one package runs, 0 while nothing is served."), report.is_ready)?;
    let help = "1 while the kernel counts and times the runs of BPF programs.";
    families.number(gauge("bpf_stats_enabled", help), report.bpf_stats_enabled)?;
    let help = "1 while the CPU time of BPF programs is measured from time to time, and held against limits.";
    families.number(gauge("kernel_cpu_measured", help), report.kernel_cpu_measured)?;
    families.number(gauge("lookup_names", "Names kept for lookups."), report.lookup_names)?;
    let help = "Size of the names kept for lookups, and of what they were asked by.";
    families.number(gauge("lookup_name", help).bytes(), report.lookup_name_bytes)?;
    let cgroups = report.cgroups.iter().map(|(state, cgroups)| ([("state", *state)], *cgroups));
    let help = "Cgroups whose names are known: present, removed, and left_out for want of room.";
    families.numbers(gauge("cgroup_names", help), cgroups)?;
    let dropped = counter("log_dropped", "Log lines lost because nobody read standard error.");
    families.number(dropped, report.dropped_log_lines)?;
    families.number(counter("reloads", "Packages added, exchanged and removed since the start."), report.reloads)?;
    families
        .number(counter("reload_failures", "New versions of packages that were refused."), report.reload_failures)?;
    let panics = report.thread_panics.iter().map(|(thread, panics)| ([("thread", thread.as_str())], *panics));
    families.numbers(counter("thread_panics", "Panics of threads; the log has their messages."), panics)?;
    let left_out = report.packages.iter().filter(|package| !package.fault.is_empty());
    let left_out = left_out.map(|package| ([("file", package.file.as_str())], true));
    let help = "1 for each file whose package was left out; the log and the status page give the reason.";
    families.numbers(gauge("package_left_out", help), left_out)
}

/// Families that change with every scrape.
pub(super) fn volatile(families: &mut Families<'_, '_>, report: &Report) -> fmt::Result {
    families.number(counter("scrapes", "Scrapes answered."), *report.scrapes)?;
    let help = "Readings of the kernel; scrapes that wait when one begins share it.";
    families.number(counter("collections", help), *report.collections)?;
    let collect = gauge("last_collect", "Time of the last reading, labelling and counting.").seconds();
    families.number(collect, *report.collect_seconds)?;
    let scrape = gauge("last_scrape", "Time of the last scrape, from its turn to its answer.").seconds();
    families.number(scrape, *report.scrape_seconds)?;
    let stages = Stage::ALL.map(|stage| ([("stage", stage.name())], report.stages.of(stage).as_secs_f64()));
    families.numbers(counter("scrape_cpu", "CPU time of scrapes by stage.").seconds(), stages)?;
    let bytes = gauge("last_exposition", "Size of the last scrape's answer, before compression.").bytes();
    families.number(bytes, *report.exposition_bytes)
}

/// The live page and the flight recorder.
pub(super) fn feed(families: &mut Families<'_, '_>, feed: &FeedReport) -> fmt::Result {
    families.number(gauge("feed_viewers", "Viewers of the live page."), feed.viewers)?;
    let help = "Viewers of the live page that did not take their frames in time, and were dropped.";
    families.number(counter("feed_viewers_dropped", help), feed.viewers_dropped)?;
    let help = "Frames made for the live page and the flight recorder.";
    families.number(counter("feed_frames", help), feed.frames)?;
    let help = "Memory of the flight recorder's window; 0 while it is off.";
    families.number(gauge("recorder", help).bytes(), feed.recorded_bytes)?;
    let help = "Time that the flight recorder's window covers.";
    families.number(gauge("recorder", help).seconds(), feed.recorded_seconds)
}

/// The HTTP server: what its bounds did, and whether its configuration is in force.
pub(super) fn http(families: &mut Families<'_, '_>, http: &HttpReport) -> fmt::Result {
    families.number(gauge("http_connections", "Open connections."), http.connections)?;
    let help = "Connections closed to make room: never admitted, idle, slow readers, new ones.";
    let closed = http.closed.map(|(reason, count)| ([("reason", reason)], count));
    families.numbers(counter("http_connections_closed", help), closed)?;
    let help = "Passwords checked against their hashes, and checks refused because too many waited.";
    let checks = http.passwords.map(|(result, count)| ([("result", result)], count));
    families.numbers(counter("http_password_checks", help), checks)?;
    let refused = http.refused.map(|(reason, count)| ([("reason", reason)], count));
    families.numbers(counter("http_scrapes_refused", "Requests answered 503 or 429 by a limit."), refused)?;
    let help = "Scrapes whose client went away before its turn.";
    families.number(counter("http_scrapes_abandoned", help), http.abandoned)?;
    let help = "Families missing from answers because printing smaller packages took all of the time.";
    families.number(counter("http_families_left_out", help), http.families_left_out)?;
    let help = "Parts of answers in memory that clients have not taken yet.";
    families.number(gauge("http_unsent", help).bytes(), http.unsent_bytes)?;
    let help = "1 if the web configuration in its file is the one in force; 0 if it cannot be used.";
    families.number(gauge("web_config_valid", help), u64::from(http.web_config_valid))?;
    let help = "Times that a changed web configuration was taken.";
    families.number(counter("web_config_reloads", help), http.web_config_reloads)?;
    let help = "Times that a changed web configuration could not be used.";
    families.number(counter("web_config_reload_failures", help), http.web_config_failures)?;
    let help = "When the web configuration in force was read, in seconds since 1970.";
    let read = http.web_config_read_seconds.map(|seconds| (Labels::default(), seconds));
    families.numbers(gauge("web_config_read_time", help).seconds(), read)
}

/// Under the names that every client library gives them, so without our prefix.
pub(super) fn process(families: &mut Families<'_, '_>, process: &Process) -> fmt::Result {
    families.number(counter("process_cpu", "User and system CPU time.").seconds(), process.cpu_seconds)?;
    families.number(gauge("process_resident_memory", "Memory in RAM.").bytes(), process.resident_bytes)?;
    families.number(gauge("process_virtual_memory", "Address space in use.").bytes(), process.virtual_bytes)?;
    families.number(gauge("process_open_fds", "Open file descriptors."), process.open_fds)?;
    families.number(gauge("process_max_fds", "File descriptors that may be open."), process.max_fds)?;
    families.number(gauge("process_threads", "Threads."), process.threads)?;
    let start = gauge("process_start_time", "Start of the process, in seconds since 1970.").seconds();
    families.number(start, process.start_seconds)
}

/// The OTLP sink, if there is a receiver.
pub(super) fn otlp(families: &mut Families<'_, '_>, otlp: Option<&OtlpReport>) -> fmt::Result {
    let requests = otlp.iter().flat_map(|otlp| otlp.requests).map(|(result, count)| ([("result", result)], count));
    let help = "OTLP requests: taken by the receiver, failed attempts, dropped for the next push, and pushes without a collection.";
    families.numbers(counter("otlp_requests", help), requests)?;
    let alone = |number: Option<u64>| number.map(|number| (Labels::default(), number));
    let help = "Points that the OTLP receiver rejected.";
    families.numbers(counter("otlp_rejected_points", help), alone(otlp.map(|otlp| otlp.rejected_points)))?;
    let help = "Families that an OTLP push had no room for.";
    families.numbers(counter("otlp_families_left_out", help), alone(otlp.map(|otlp| otlp.families_left_out)))?;
    let spans = otlp.iter().flat_map(|otlp| otlp.spans).map(|(result, count)| ([("result", result)], count));
    let help = "Spans for the OTLP receiver: taken, rejected by it, and dropped.";
    families.numbers(counter("otlp_spans", help), spans)?;
    let last =
        gauge("otlp_last_taken_timestamp", "When the OTLP receiver took a request, in seconds since 1970.").seconds();
    families.numbers(last, alone(otlp.and_then(|otlp| otlp.last_taken_seconds)))
}
