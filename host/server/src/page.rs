//! The HTML pages: landing page and status. No scripts; all text is escaped.

use std::{
    collections::BTreeMap,
    fmt::{self, Display, Write as _},
    time::SystemTime,
};

use ebhost_telemetry::{MapRoom, PackageReport, Report, Stage, unix_seconds};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:64rem;padding:0 1rem}\
    table{border-collapse:collapse;margin:.5rem 0 1.5rem}td,th{border:1px solid #9995;padding:.2rem .6rem;text-align:left}\
    td.n{text-align:right;font-variant-numeric:tabular-nums}.bad{color:#c22}pre{white-space:pre-wrap}";

/// Header that makes a browser load the page again, so that it is live without a script.
const RELOAD: &str = "<meta http-equiv=\"refresh\" content=\"5\">";

/// Displays text with its HTML metacharacters escaped.
struct Escaped<T>(T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.to_string().chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                _ => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

fn page(title: &str, body: &str) -> String {
    page_reloaded(title, "", body)
}

/// A page with more in its head.
fn page_reloaded(title: &str, head: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">{head}<title>{0}</title><style>{STYLE}</style></head>\
         <body><h1>{0}</h1>{body}</body></html>\n",
        Escaped(title)
    )
}

pub(super) fn landing(version: &str, telemetry_path: &str) -> String {
    let body = format!(
        "<p>Version {}</p><ul><li><a href=\"{}\">Metrics</a></li><li><a href=\"/status\">Status</a> \
         (<a href=\"/status.json\">JSON</a>)</li><li><a href=\"/-/healthy\">Healthy</a></li>\
         <li><a href=\"/-/ready\">Ready</a></li></ul>",
        Escaped(version),
        Escaped(telemetry_path)
    );
    page("ebhost", &body)
}

/// The status page: a summary, and each package with its state, programs, maps, plugin and limits. It is loaded again by itself.
pub(super) fn status(report: &Report) -> String {
    let mut body = String::new();
    // Writing to a String does not fail.
    let _ = summary(&mut body, report);
    for package in &report.packages {
        let _ = section(&mut body, package);
    }
    page_reloaded("ebhost: status", RELOAD, &body)
}

/// One line on the host, and one on its packages.
fn summary(out: &mut String, report: &Report) -> fmt::Result {
    write!(out, "<p>Version {}. ", Escaped(report.build.version))?;
    if *report.scrapes == 0 {
        out.write_str("Nobody has scraped yet, so no map was read and no series exists.")?;
    } else {
        let (scrapes, bytes) = (*report.scrapes, *report.exposition_bytes);
        let millis = *report.collect_seconds * 1e3;
        write!(out, "{scrapes} scrapes; the last one took {millis:.1} ms and returned {bytes} bytes.")?;
    }
    let statistics = if report.bpf_stats_enabled { "on" } else { "off: run times of programs stand still" };
    write!(out, " The kernel's run statistics are {statistics}. <a href=\"/status.json\">JSON</a></p>")?;
    let count = |is_in: fn(&PackageReport) -> bool| report.packages.iter().filter(|package| is_in(package)).count();
    let (up, refused) = (count(|package| package.is_up), count(|package| !package.fault.is_empty()));
    let down = report.packages.len() - up - refused;
    let class = if down + refused > 0 { " class=\"bad\"" } else { "" };
    write!(out, "<p{class}>{} packages: {up} up, {down} down, {refused} refused</p>", report.packages.len())
}

fn section(out: &mut String, package: &PackageReport) -> fmt::Result {
    write!(out, "<h2>{}</h2>", Escaped(&package.name))?;
    if !package.fault.is_empty() {
        write!(out, "<p class=\"bad\">Left out:</p><pre>{}</pre>", Escaped(&package.fault))?;
        return failure_time(out, package);
    }
    let version = if package.version.is_empty() { "without a version" } else { &package.version };
    let (state, class) = (package.state.unwrap_or_default(), if package.is_up { "" } else { " class=\"bad\"" });
    write!(out, "<p{class}>Plugin {version}: {state}</p>", version = Escaped(version), state = Escaped(state))?;
    if !package.is_current {
        out.write_str("<p class=\"bad\">Its files have changed, but the new version was refused; the previous one still runs.</p>")?;
    }
    if let Some(failure) = &package.last_failure {
        write!(out, "<p>Last failure, {}:</p><pre>{}</pre>", Escaped(failure.reason), Escaped(&failure.message))?;
        failure_time(out, package)?;
    }
    programs(out, package)?;
    maps(out, package)?;
    perf(out, package)?;
    table(out, "Event buffers", &["name", "events", "lost"], &package.events, |e| {
        vec![e.source.clone(), e.read.to_string(), e.lost.to_string()]
    })?;
    plugin(out, package)
}

/// How long ago the package failed last, as far as is known.
fn failure_time(out: &mut String, package: &PackageReport) -> fmt::Result {
    let Some(failure) = &package.last_failure else { return Ok(()) };
    let now = unix_seconds(SystemTime::now());
    write!(out, "<p>{:.0} seconds ago</p>", (now - failure.seconds).max(0.0))
}

fn programs(out: &mut String, package: &PackageReport) -> fmt::Result {
    let columns = ["name", "attached", "id", "tag", "runs", "run time, s", "recursion misses"];
    table(out, "Programs", &columns, &package.programs, |p| {
        vec![
            p.name.clone(),
            if p.fault.is_empty() { "yes".to_owned() } else { format!("no: {}", p.fault) },
            p.id.to_string(),
            p.tag.clone(),
            p.runs.to_string(),
            format!("{:.6}", p.run_seconds),
            p.recursion_misses.to_string(),
        ]
    })
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

/// The numbers of a plugin, its losses, and how near it came to its limits.
fn plugin(out: &mut String, package: &PackageReport) -> fmt::Result {
    let failures: u64 = package.failures.iter().map(|(_, count)| count).sum();
    let dropped: u64 = package.dropped.iter().map(|(_, count)| count).sum();
    let rows = [
        ("series", package.series, Some(package.series_limit)),
        ("label sets folded into `other`", package.folded, None),
        ("entries", package.entries, None),
        ("identities waiting for the plugin", package.unlabelled, None),
        ("entries without a series", dropped, None),
        ("decode calls", package.decode_durations.iter().sum(), None),
        ("failed calls", failures, None),
        ("memory of the instance, bytes", package.memory_bytes, Some(package.memory_limit_bytes)),
        ("scrapes it was too late for", package.late_scrapes, None),
    ];
    table(out, "Plugin", &["", "now", "limit"], &rows, |(what, now, limit)| {
        vec![(*what).to_owned(), now.to_string(), limit.map_or_else(String::new, |limit| limit.to_string())]
    })?;
    let stages = [Stage::Read, Stage::Label, Stage::Count];
    table(out, "CPU time of scrapes", &["stage", "s"], &stages, |stage| {
        vec![stage.name().to_owned(), format!("{:.6}", package.cpu.of(*stage).as_secs_f64())]
    })?;
    table(out, "Not counted", &["reason", ""], &package.lost, |(reason, count)| {
        vec![reason.clone(), count.to_string()]
    })?;
    table(out, "Limits", &["limit", "most used, %"], &package.limits_used, |(limit, part)| {
        vec![(*limit).to_owned(), format!("{:.1}", part * 100.0)]
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

fn table<T>(
    out: &mut String,
    title: &str,
    columns: &[&str],
    rows: &[T],
    cells: impl Fn(&T) -> Vec<String>,
) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    write!(out, "<h3>{}</h3><table><tr>", Escaped(title))?;
    columns.iter().try_for_each(|column| write!(out, "<th>{}</th>", Escaped(column)))?;
    out.write_str("</tr>")?;
    for row in rows {
        out.write_str("<tr>")?;
        for cell in cells(row) {
            let class = if cell.parse::<f64>().is_ok() { " class=\"n\"" } else { "" };
            write!(out, "<td{class}>{}</td>", Escaped(cell))?;
        }
        out.write_str("</tr>")?;
    }
    out.write_str("</table>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ebhost_telemetry::{EventsReport, FailureReport, PerfReport};

    #[test]
    fn perf_events_that_do_the_same_share_a_row_and_say_why() {
        let event = |cpu, state, reason: Option<&str>| PerfReport {
            source: "llc".into(),
            event: "hardware/cycles".into(),
            cpu,
            state,
            reason: reason.map(str::to_owned),
        };
        let perf = vec![event(0, "live", None), event(1, "absent", Some("no <PMU>")), event(2, "live", None)];
        let events = vec![EventsReport { source: "ring".into(), read: 7, lost: 2 }];
        let package = PackageReport { state: Some("active"), perf, events, ..PackageReport::default() };
        let html = status(&Report { packages: vec![package], ..Report::default() });
        for row in [
            "<td>hardware/cycles</td><td>live</td><td>0 2</td><td></td>",
            "<td>hardware/cycles</td><td>absent</td><td class=\"n\">1</td><td>no &lt;PMU&gt;</td>",
            "<td>ring</td><td class=\"n\">7</td><td class=\"n\">2</td>",
        ] {
            assert!(html.contains(row), "{html}");
        }
    }

    #[test]
    fn a_package_that_is_left_out_says_why_and_cannot_write_markup() {
        let package =
            PackageReport { name: "<b>".into(), fault: "a & \"b\" <script>".into(), ..PackageReport::default() };
        let html = status(&Report { packages: vec![package], ..Report::default() });
        assert!(html.contains("<h2>&lt;b&gt;</h2>"), "{html}");
        assert!(html.contains("<pre>a &amp; &quot;b&quot; &lt;script&gt;</pre>"), "{html}");
        assert!(!html.contains("<script>"), "{html}");
    }

    #[test]
    fn a_quarantined_plugin_is_red_with_its_cause_and_its_limits() {
        let failure = FailureReport { reason: "trap", message: "trapped: unreachable".into(), seconds: 1.0 };
        let package = PackageReport {
            name: "bad".into(),
            state: Some("quarantined"),
            last_failure: Some(failure),
            limits_used: vec![("memory", 0.5)],
            lost: vec![("buffer_full".into(), 3)],
            ..PackageReport::default()
        };
        let html = status(&Report { packages: vec![package], ..Report::default() });
        for part in [
            "<p class=\"bad\">1 packages: 0 up, 1 down, 0 refused</p>",
            "Nobody has scraped yet",
            "<p class=\"bad\">Plugin without a version: quarantined</p>",
            "<p>Last failure, trap:</p><pre>trapped: unreachable</pre>",
            "seconds ago",
            "<td>memory</td><td class=\"n\">50.0</td>",
            "<td>buffer_full</td><td class=\"n\">3</td>",
        ] {
            assert!(html.contains(part), "expected {part:?} in {html}");
        }
    }
}
