//! The host's own families in every format: none twice, no series twice, none missing.

use std::collections::BTreeSet;

use ebhost_metrics::{Created, Format, encoder};
use ebhost_telemetry::{
    EventsReport, MapReport, OwnMetrics, PackageReport, PerfReport, Process, ProgramReport, Report, Volatile,
};

use crate::protobuf::{Line, decode, headings, kind_of, lines_of, lines_of_text};

fn report() -> Report {
    let program = |name: &str, reason, id| ProgramReport { name: name.into(), reason, id, ..ProgramReport::default() };
    let package = |name: &str, is_drop_in| PackageReport {
        name: name.into(),
        is_drop_in,
        digest: "ab".into(),
        guest_seconds: 0.25,
        decode_durations: vec![2, 3, 4],
        last_success_seconds: Some(1.7e9),
        failures: vec![("trap", 2)],
        dropped: vec![("unknown", 2), ("unsound", 1)],
        limits_used: vec![("memory", 0.5), ("series", 0.0)],
        programs: vec![program("issue", "", 77), program("done", "attach", 0)],
        maps: vec![MapReport { name: "banks".into(), all_reads_seconds: Volatile(1e-5), ..MapReport::default() }],
        perf: vec![PerfReport {
            source: "llc".into(),
            event: "a \"b\"\n\\".into(),
            cpu: 3,
            state: "live",
            reason: None,
        }],
        events: vec![EventsReport { source: "ring".into(), read: 9, lost: 2 }],
        cgroup_map: Some((3, 1)),
        ..PackageReport::default()
    };
    let left_out = |name: &str, file: &str| PackageReport {
        name: name.into(),
        file: file.into(),
        fault: "refused".into(),
        ..PackageReport::default()
    };
    Report {
        packages: vec![
            package("biolatency", false),
            package("dropped-in", true),
            left_out("biolatency", "/d/biolatency.yaml"),
            left_out("free", "/p/free/plugin.yaml"),
        ],
        decode_bounds: &[1e-5, 0.001],
        states: vec!["running", "quarantined"],
        process: Volatile(Process { max_fds: u64::MAX, cpu_seconds: 0.5, ..Process::default() }),
        ..Report::default()
    }
}

fn encoded(own: &mut OwnMetrics, format: Format) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = encoder(format, Created::Printed, &mut out);
    own.encode(format, &mut *encoder).unwrap();
    encoder.finish().unwrap();
    out
}

/// The bound of a bucket as a number: OpenMetrics writes 1.0 where text has 1.
fn comparable(lines: Vec<Line>) -> BTreeSet<String> {
    let bound = |(name, value): &(String, String)| match value.parse::<f64>() {
        Ok(bound) if name == "le" => (name.clone(), bound.to_string()),
        _ => (name.clone(), value.clone()),
    };
    let count = lines.len();
    let line = |(name, labels, value): Line| {
        let labels: Vec<_> = labels.iter().map(bound).collect();
        (format!("{name} {labels:?}"), format!("{name} {labels:?} {value}"))
    };
    let (series, lines): (BTreeSet<_>, BTreeSet<_>) = lines.into_iter().map(line).unzip();
    assert_eq!(series.len(), count, "no series twice");
    lines
}

fn assert_distinct(names: &[(String, String)]) {
    let distinct: BTreeSet<_> = names.iter().map(|(name, _)| name).collect();
    assert_eq!(distinct.len(), names.len(), "no family twice: {names:?}");
}

#[test]
fn every_own_family_is_once_in_every_format_with_all_its_series() {
    let mut own = OwnMetrics::new();
    own.update(report());
    // The second time, families that have not changed are passed on as they were encoded.
    for _ in 0..2 {
        let text = String::from_utf8(encoded(&mut own, Format::Text004)).unwrap();
        let openmetrics = String::from_utf8(encoded(&mut own, Format::OpenMetrics100)).unwrap();
        let protobuf = decode(&encoded(&mut own, Format::Protobuf));

        let families = headings(&text);
        assert_distinct(&families);
        assert_distinct(&headings(&openmetrics));
        let typed: Vec<_> = protobuf.iter().map(|family| (family.name.clone(), kind_of(family).to_owned())).collect();
        assert_eq!(typed, families);
        let without_total =
            |(name, kind): &(String, String)| (name.strip_suffix("_total").unwrap_or(name).to_owned(), kind.clone());
        assert_eq!(headings(&openmetrics), families.iter().map(without_total).collect::<Vec<_>>());
        let known: BTreeSet<_> =
            own.families().filter(|series| !series.is_empty()).map(|series| series.family().name.clone()).collect();
        assert_eq!(families.iter().map(|(name, _)| name.clone()).collect::<BTreeSet<_>>(), known);

        let lines = comparable(lines_of_text(&text));
        assert_eq!(lines, comparable(lines_of_text(&openmetrics)));
        assert_eq!(lines, comparable(lines_of(&protobuf)));
    }
}

#[test]
fn the_hosts_histogram_is_a_histogram_in_protobuf() {
    let mut own = OwnMetrics::new();
    own.update(report());
    let families = decode(&encoded(&mut own, Format::Protobuf));
    let family = families.iter().find(|family| family.name == "ebhost_plugin_decode_duration_seconds").unwrap();
    assert_eq!(kind_of(family), "histogram");
    assert_eq!(family.metric.len(), 3, "a series for each package whose name is its own");
    let histogram = family.metric[0].histogram.as_ref().unwrap();
    assert_eq!((histogram.sample_count, histogram.sample_sum), (9, 0.25));
}
