//! The HTML pages: landing page and status. No scripts; all text is escaped.

use std::{
    collections::BTreeMap,
    fmt::{self, Display, Write as _},
};

use ebhost_telemetry::{PackageReport, Report};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:64rem;padding:0 1rem}\
    table{border-collapse:collapse;margin:.5rem 0 1.5rem}td,th{border:1px solid #9995;padding:.2rem .6rem;text-align:left}\
    td.n{text-align:right;font-variant-numeric:tabular-nums}.bad{color:#c22}pre{white-space:pre-wrap}";

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
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{0}</title><style>{STYLE}</style></head>\
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

/// The status page: each package with its state, programs, maps, plugin and limits.
pub(super) fn status(report: &Report) -> String {
    let mut body = format!(
        "<p>Version {}; {} scrapes; the last one took {:.1} ms and returned {} bytes. <a href=\"/status.json\">JSON</a></p>",
        Escaped(report.build.version),
        *report.scrapes,
        *report.collect_seconds * 1e3,
        *report.exposition_bytes
    );
    for package in &report.packages {
        // Writing to a String does not fail.
        let _ = section(&mut body, package);
    }
    page("ebhost: status", &body)
}

fn section(out: &mut String, package: &PackageReport) -> fmt::Result {
    write!(out, "<h2>{}</h2>", Escaped(&package.name))?;
    let Some(state) = package.state else {
        let fault = if package.fault.is_empty() { "it failed to load; the log says why" } else { &package.fault };
        return write!(out, "<p class=\"bad\">Left out:</p><pre>{}</pre>", Escaped(fault));
    };
    let version = if package.version.is_empty() { "without a version" } else { &package.version };
    write!(out, "<p>Plugin {version}: {state}</p>", version = Escaped(version), state = Escaped(state))?;
    if !package.is_current {
        out.write_str("<p class=\"bad\">Its files have changed, but the new version was refused; the previous one still runs.</p>")?;
    }
    table(
        out,
        "Programs",
        &["name", "attached", "id", "tag", "runs", "run time, s", "recursion misses"],
        &package.programs,
        |p| {
            vec![
                p.name.clone(),
                if p.fault.is_empty() { "yes".to_owned() } else { format!("no: {}", p.fault) },
                p.id.to_string(),
                p.tag.clone(),
                p.runs.to_string(),
                format!("{:.6}", p.run_seconds),
                p.recursion_misses.to_string(),
            ]
        },
    )?;
    table(out, "Maps", &["name", "entries", "of", "last read, ms", "failed reads"], &package.maps, |m| {
        vec![
            m.name.clone(),
            m.entries.to_string(),
            m.max_entries.to_string(),
            format!("{:.3}", *m.read_seconds * 1e3),
            m.read_errors.to_string(),
        ]
    })?;
    perf(out, package)?;
    table(out, "Event buffers", &["name", "events", "lost"], &package.events, |e| {
        vec![e.source.clone(), e.read.to_string(), e.lost.to_string()]
    })?;
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
    use ebhost_telemetry::{EventsReport, PerfReport};

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
}
