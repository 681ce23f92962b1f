//! One package on the status page: its state, its last failure, and its programs, maps, plugin and limits with their rates.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use super::html::{Escaped, moment, percent, rate, table};
use ebhost_telemetry::{MapRoom, PackageRates, PackageReport};

/// A package, and its rates if it has any yet. `now` is in seconds since 1970.
pub(super) fn section(
    out: &mut String,
    package: &PackageReport,
    rates: Option<&PackageRates>,
    now: f64,
) -> fmt::Result {
    write!(out, "<h2>{}</h2>", Escaped(&package.name))?;
    if !package.fault.is_empty() {
        write!(out, "<p class=\"bad\">Left out:</p><pre>{}</pre>", Escaped(&package.fault))?;
        return failure_time(out, package, now);
    }
    let version = if package.version.is_empty() { "without a version" } else { &package.version };
    let (state, class) = (state(package), if package.is_up { "" } else { " class=\"bad\"" });
    write!(out, "<p{class}>Plugin {version}: {state}</p>", version = Escaped(version), state = Escaped(state))?;
    if !package.is_current {
        out.write_str("<p class=\"bad\">Its files have changed, but the new version was refused; the previous one still runs.</p>")?;
    }
    if let Some(failure) = &package.last_failure {
        write!(out, "<p>Last failure, {}:</p><pre>{}</pre>", Escaped(failure.reason), Escaped(&failure.message))?;
        failure_time(out, package, now)?;
    }
    programs(out, package, rates)?;
    maps(out, package)?;
    perf(out, package)?;
    table(out, "Event buffers", &["name", "events", "a second", "lost"], &package.events, |e| {
        let rates = rates.and_then(|rates| rates.events.iter().find(|(source, _)| *source == e.source));
        vec![e.source.clone(), e.read.to_string(), rate(rates.map(|(_, rate)| *rate)), e.lost.to_string()]
    })?;
    plugin(out, package, rates)?;
    limits(out, package)
}

/// The state of the plugin, in words where its name alone does not say what it means.
fn state(package: &PackageReport) -> &str {
    match package.state.unwrap_or_default() {
        "admitted" => "admitted: not asked about anything yet",
        "backing_off" => "backing off: it failed, and is asked again soon",
        "quarantined" => {
            "quarantined: it failed five times in a row, and is asked again in an hour or when its files change"
        }
        state => state,
    }
}

/// When the package failed last, as far as is known.
fn failure_time(out: &mut String, package: &PackageReport, now: f64) -> fmt::Result {
    let Some(failure) = &package.last_failure else { return Ok(()) };
    write!(out, "<p>{}</p>", Escaped(moment(failure.seconds, now)))
}

fn programs(out: &mut String, package: &PackageReport, rates: Option<&PackageRates>) -> fmt::Result {
    let columns = [
        "name",
        "attached",
        "id",
        "tag",
        "runs",
        "a second",
        "run time, s",
        "% of a CPU",
        "ns a run",
        "recursion misses",
    ];
    table(out, "Programs", &columns, &package.programs, |p| {
        let rates = rates.and_then(|rates| rates.programs.iter().find(|rates| rates.name == p.name));
        // A 0 that was not counted is none.
        let is_known = package.runs_are_measured || p.runs > 0;
        let known = |number: String| if is_known { number } else { "unknown".to_owned() };
        vec![
            p.name.clone(),
            if p.fault.is_empty() { "yes".to_owned() } else { format!("no: {}", p.fault) },
            p.id.to_string(),
            p.tag.clone(),
            known(p.runs.to_string()),
            rate(rates.map(|rates| rates.runs)),
            known(format!("{:.6}", p.run_seconds)),
            percent(p.cpu_ratio.or(rates.map(|rates| rates.cpu))),
            p.run_duration_seconds.map_or_else(String::new, |seconds| format!("{:.0}", seconds * 1e9)),
            p.recursion_misses.to_string(),
        ]
    })?;
    if package.programs.is_empty() || package.runs_are_measured {
        return Ok(());
    }
    out.write_str(
        "<p>Runs are not counted, because the kernel's run statistics are off: <code>--bpf.stats</code> switches them on, at 0.1 µs a run. The \
         share of a CPU is measured in short windows.</p>",
    )
}

fn maps(out: &mut String, package: &PackageReport) -> fmt::Result {
    let columns = ["name", "rows", "of", "kind", "last read, ms", "failed reads"];
    table(out, "Maps", &columns, &package.maps, |m| {
        let kind = match m.room {
            MapRoom::Bounded => "refuses new keys when full",
            MapRoom::Evicting => "gives up old keys",
            MapRoom::Fixed => "array",
        };
        vec![
            m.name.clone(),
            m.entries.to_string(),
            m.max_entries.to_string(),
            kind.to_owned(),
            format!("{:.3}", *m.read_seconds * 1e3),
            m.read_errors.to_string(),
        ]
    })
}

/// The numbers of a plugin, its cost and its losses.
fn plugin(out: &mut String, package: &PackageReport, rates: Option<&PackageRates>) -> fmt::Result {
    let failures: u64 = package.failures.iter().map(|(_, count)| count).sum();
    let dropped: u64 = package.dropped.iter().map(|(_, count)| count).sum();
    let lost: u64 = package.lost.iter().map(|(_, count)| count).sum();
    let rows = [
        ("series", package.series, None),
        ("label sets folded into `other`", package.folded, None),
        ("entries", package.entries, None),
        ("identities waiting for the plugin", package.unlabelled, None),
        ("identities handed to the plugin", package.asked, rates.map(|rates| rates.asked)),
        ("entries without a series", dropped, None),
        ("decode calls", package.decode_durations.iter().sum(), None),
        ("failed calls", failures, rates.map(|rates| rates.failed_calls)),
        ("not counted", lost, rates.map(|rates| rates.lost)),
        ("scrapes it was too late for", package.late_scrapes, None),
    ];
    table(out, "Plugin", &["", "now", "a second"], &rows, |(what, now, per_second)| {
        vec![(*what).to_owned(), now.to_string(), rate(*per_second)]
    })?;
    let stages = super::PACKAGE_STAGES;
    table(out, "CPU time of scrapes", &["stage", "s", "% of a CPU"], &stages, |stage| {
        let rate = rates.and_then(|rates| rates.cpu.iter().find(|(name, _)| *name == stage.name()));
        let spent = package.cpu.of(*stage).as_secs_f64();
        vec![stage.name().to_owned(), format!("{spent:.6}"), percent(rate.map(|(_, cpu)| *cpu))]
    })?;
    table(out, "Not counted", &["reason", ""], &package.lost, |(reason, count)| vec![reason.clone(), count.to_string()])
}

/// Each limit: what it is, and how much of it was used since the component was loaded and in the last minutes.
fn limits(out: &mut String, package: &PackageReport) -> fmt::Result {
    let columns = ["limit", "allowed", "most used, %", "in the last 5 minutes, %"];
    table(out, "Limits", &columns, &package.limits_used, |(limit, part)| {
        let allowed = match *limit {
            "series" => package.series_limit.to_string(),
            "memory" => format!("{} bytes", package.memory_limit_bytes),
            "decode" => format!("{} ms", package.decode_limit_seconds * 1e3),
            _ => String::new(),
        };
        let recently = package.limits_used_recently.iter().find(|(name, _)| name == limit);
        let share = |part: f64| format!("{:.1}", part * 100.0);
        let recently = recently.map_or_else(String::new, |(_, part)| share(*part));
        vec![(*limit).to_owned(), allowed, share(*part), recently]
    })
}

/// One row for each event and state, with the CPUs that it has this state on.
fn perf(out: &mut String, package: &PackageReport) -> fmt::Result {
    let mut rows: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for event in &package.perf {
        let why = event.reason.as_deref().unwrap_or_default();
        rows.entry((&event.source, &event.event, event.state, why)).or_default().push(event.cpu.to_string());
    }
    let rows: Vec<_> = rows.into_iter().collect();
    table(
        out,
        "Perf events",
        &["source", "event", "state", "CPUs", "why"],
        &rows,
        |((source, event, state, why), cpus)| {
            vec![(*source).clone(), (*event).clone(), (*state).to_owned(), cpus.join(" "), (*why).to_owned()]
        },
    )
}
