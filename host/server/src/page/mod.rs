//! The status page, for browsers without scripts and for those who only want to read. All text is escaped. The live page has the same with
//! pictures.

mod html;
mod package;

use std::{
    fmt::{self, Write as _},
    time::SystemTime,
};

use self::html::{Escaped, moment, page, percent, rate, table};
use ebhost_telemetry::{PackageReport, Report, Stage, unix_seconds};

/// Header that makes a browser load the page again, so that it is live without a script.
const RELOAD: &str = "<meta http-equiv=\"refresh\" content=\"5\">";

/// The stages that are done for one package after the other.
const PACKAGE_STAGES: [Stage; 3] = [Stage::Read, Stage::Label, Stage::Count];

/// Text with its HTML metacharacters escaped.
pub(super) fn html_text(text: &str) -> String {
    Escaped(text).to_string()
}

/// A setting in force: its flag, its value, and whether the operator gave it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Setting {
    /// The flag, as in `--web.listen-address`.
    pub flag: String,
    /// Its values, separated by commas; empty for a switch that is off.
    pub value: String,
    /// Whether it is the default.
    pub is_default: bool,
}

/// The status page: a summary, each package with its state, programs, maps, plugin and limits, the settings and the end of the log. It is
/// loaded again by itself.
pub(super) fn status(report: &Report, settings: &[Setting], log: &[String]) -> String {
    let (now, mut body) = (unix_seconds(SystemTime::now()), String::new());
    // Writing to a String does not fail.
    let _ = summary(&mut body, report, now);
    for package in &report.packages {
        let rates = report.rates.as_ref().and_then(|rates| rates.packages.iter().find(|of| of.file == package.file));
        let _ = package::section(&mut body, package, rates, now);
    }
    let _ = host(&mut body, report, settings, log);
    page("ebhost: status", RELOAD, &body)
}

/// One line on the host, and one on its packages.
fn summary(out: &mut String, report: &Report, now: f64) -> fmt::Result {
    write!(out, "<p>Version {}. ", Escaped(report.build.version))?;
    match *report.collected_at_seconds {
        None => out.write_str(
            "Nobody has scraped yet, so no map was read: there are no series, and numbers of maps and plugins are 0.",
        )?,
        Some(at) => {
            let (scrapes, bytes) = (*report.scrapes, *report.exposition_bytes);
            let millis = *report.collect_seconds * 1e3;
            write!(
                out,
                "The maps were read at {}; numbers of maps and plugins are as of then. {scrapes} scrapes; the last one took {millis:.1} ms \
                 and returned {bytes} bytes.",
                Escaped(moment(at, now))
            )?;
        }
    }
    let statistics = if report.bpf_stats_enabled { "on" } else { "off: run times of programs stand still" };
    write!(out, " The kernel's run statistics are {statistics}.")?;
    match report.rates.as_ref() {
        Some(rates) => {
            let (over, scrapes) = (rates.over_seconds, rate(Some(rates.scrapes)));
            write!(out, " Rates are over the last {over:.0} s: {scrapes} scrapes a second.")?;
        }
        None => out.write_str(" Rates are shown in a moment.")?,
    }
    out.write_str(" <a href=\"/status.json\">JSON</a></p>")?;
    let count = |is_in: fn(&PackageReport) -> bool| report.packages.iter().filter(|package| is_in(package)).count();
    let (up, refused) = (count(|package| package.is_up), count(|package| !package.fault.is_empty()));
    let down = report.packages.len() - up - refused;
    let class = if down + refused > 0 { " class=\"bad\"" } else { "" };
    write!(out, "<p{class}>{} packages: {up} up, {down} down, {refused} refused</p>", report.packages.len())
}

/// The host itself: its cost, its settings and what it said last.
fn host(out: &mut String, report: &Report, settings: &[Setting], log: &[String]) -> fmt::Result {
    out.write_str("<h2>The host</h2>")?;
    let rates = report.rates.as_ref();
    table(out, "CPU time of scrapes", &["stage", "s", "% of a CPU"], &Stage::ALL, |stage| {
        let rate = rates.and_then(|rates| rates.cpu.iter().find(|(name, _)| *name == stage.name()));
        let spent = report.stages.of(*stage).as_secs_f64();
        vec![stage.name().to_owned(), format!("{spent:.6}"), percent(rate.map(|(_, cpu)| *cpu))]
    })?;
    table(out, "Settings", &["flag", "value", ""], settings, |setting| {
        let from = if setting.is_default { "default" } else { "given" };
        vec![setting.flag.clone(), setting.value.clone(), from.to_owned()]
    })?;
    if log.is_empty() {
        return Ok(());
    }
    write!(out, "<h3>Log, the last {} messages</h3><pre>{}</pre>", log.len(), Escaped(log.join("\n")))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use ebhost_telemetry::{
        EventsReport, FailureReport, PackageRates, PerfReport, ProgramRates, ProgramReport, Rates, StageTimes, Volatile,
    };

    fn shown(report: &Report) -> String {
        status(report, &[], &[])
    }

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
        let html = shown(&Report { packages: vec![package], ..Report::default() });
        for row in [
            "<td>hardware/cycles</td><td>live</td><td>0 2</td><td></td>",
            "<td>hardware/cycles</td><td>absent</td><td class=\"n\">1</td><td>no &lt;PMU&gt;</td>",
            "<td>ring</td><td class=\"n\">7</td><td></td><td class=\"n\">2</td>",
        ] {
            assert!(html.contains(row), "{html}");
        }
    }

    #[test]
    fn a_package_that_is_left_out_says_why_and_cannot_write_markup() {
        let package =
            PackageReport { name: "<b>".into(), fault: "a & \"b\" <script>".into(), ..PackageReport::default() };
        let html = shown(&Report { packages: vec![package], ..Report::default() });
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
            limits_used_recently: vec![("memory", 0.25)],
            memory_limit_bytes: 4096,
            lost: vec![("buffer_full".into(), 3)],
            ..PackageReport::default()
        };
        let html = shown(&Report { packages: vec![package], ..Report::default() });
        for part in [
            "<p class=\"bad\">1 packages: 0 up, 1 down, 0 refused</p>",
            "Nobody has scraped yet",
            "<p class=\"bad\">Plugin without a version: quarantined: it failed five times in a row",
            "<p>Last failure, trap:</p><pre>trapped: unreachable</pre>",
            "<p>1970-01-01 00:00:01 UTC, ",
            "<td>memory</td><td>4096 bytes</td><td class=\"n\">50.0</td><td class=\"n\">25.0</td>",
            "<td>buffer_full</td><td class=\"n\">3</td>",
        ] {
            assert!(html.contains(part), "expected {part:?} in {html}");
        }
    }

    /// Numbers of before the last change looked like those of now, and nothing said how fast they grow.
    #[test]
    fn the_page_says_of_when_its_numbers_are_and_how_fast_they_grow() {
        let mut cpu = StageTimes::default();
        cpu.add(Stage::Label, Duration::from_millis(1500));
        let rates = Rates {
            over_seconds: 240.0,
            scrapes: 0.2,
            cpu: vec![("print", 0.002)],
            packages: vec![PackageRates {
                file: "f".into(),
                asked: 150.0,
                cpu: vec![("label", 0.0123)],
                programs: vec![ProgramRates { name: "issue".into(), runs: 2500.0, cpu: 0.001 }],
                ..PackageRates::default()
            }],
        };
        let package = PackageReport {
            name: "p".into(),
            file: "f".into(),
            cpu: Volatile(cpu),
            programs: vec![ProgramReport { name: "issue".into(), runs: 7, ..ProgramReport::default() }],
            ..PackageReport::default()
        };
        let report = Report {
            packages: vec![package],
            scrapes: Volatile(3),
            collected_at_seconds: Volatile(Some(1_709_210_096.0)),
            rates: Volatile(Some(rates)),
            ..Report::default()
        };
        let html = shown(&report);
        for part in [
            "The maps were read at 2024-02-29 12:34:56 UTC, ",
            "Rates are over the last 240 s: 0.20 scrapes a second.",
            "<td class=\"n\">7</td><td class=\"n\">2500</td><td class=\"n\">0.000000</td><td class=\"n\">0.100</td>",
            "<td>label</td><td class=\"n\">1.500000</td><td class=\"n\">1.230</td>",
            "<td>print</td><td class=\"n\">0.000000</td><td class=\"n\">0.200</td>",
            "<td>identities handed to the plugin</td><td class=\"n\">0</td><td class=\"n\">150</td>",
        ] {
            assert!(html.contains(part), "expected {part:?} in {html}");
        }
    }

    /// "runs 0" of a program that ran all the time: the kernel did not count.
    #[test]
    fn runs_that_nobody_counts_are_unknown_and_not_0() {
        let programs = vec![ProgramReport { name: "issue".into(), ..ProgramReport::default() }];
        let mut package = PackageReport { state: Some("running"), programs, ..PackageReport::default() };
        let html = |package: &PackageReport| shown(&Report { packages: vec![package.clone()], ..Report::default() });
        assert!(html(&package).contains("<td>unknown</td>"), "{}", html(&package));
        assert!(html(&package).contains("statistics are off: <code>--bpf.stats</code>"));
        package.runs_are_measured = true;
        assert!(!html(&package).contains("unknown"), "{}", html(&package));
    }

    #[test]
    fn settings_and_the_end_of_the_log_are_shown_and_escaped() {
        let setting =
            |flag: &str, value: &str, is_default| Setting { flag: flag.into(), value: value.into(), is_default };
        let settings = [setting("--plugins", "/etc/<ebhost>", false), setting("--reload", "watch", true)];
        let html = status(&Report::default(), &settings, &["INFO one".into(), "ERROR a <b>\n  | ^".into()]);
        for part in [
            "<td>--plugins</td><td>/etc/&lt;ebhost&gt;</td><td>given</td>",
            "<td>--reload</td><td>watch</td><td>default</td>",
            "<h3>Log, the last 2 messages</h3><pre>INFO one\nERROR a &lt;b&gt;\n  | ^</pre>",
        ] {
            assert!(html.contains(part), "expected {part:?} in {html}");
        }
    }
}
