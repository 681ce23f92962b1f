//! What the host's own metrics cost a scrape, in µs: `cargo bench -p ebhost-telemetry --bench own`.
//!
//! The report is that of a host with two small packages; it is made up, so that only the encoding is measured.

#![allow(clippy::print_stdout)]

use std::time::{Duration, Instant};

use ebhost_metrics::{Created, Format, encoder};
use ebhost_telemetry::{MapReport, OwnMetrics, PackageReport, ProgramReport, Report, Volatile};

fn package(name: &str) -> PackageReport {
    let program = |name: &str, id| ProgramReport {
        name: name.into(),
        id,
        tag: "0123456789abcdef".into(),
        ..ProgramReport::default()
    };
    let map = |name: &str| MapReport { name: name.into(), entries: 100, max_entries: 1000, ..MapReport::default() };
    PackageReport {
        name: name.into(),
        is_up: true,
        is_current: true,
        state: Some("running"),
        version: "0.1.0".into(),
        digest: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef".into(),
        last_success_seconds: Some(1.7e9),
        decode_durations: vec![1; 9],
        dropped: vec![("unknown", 0), ("unsound", 0), ("set_aside", 0)],
        limits_used: vec![("memory", 0.1), ("decode", 0.2), ("fuel", 0.1), ("series", 0.01)],
        programs: vec![program("issue", 7), program("complete", 8), program("insert", 9)],
        maps: vec![map("banks"), map("names"), map("spilled")],
        ..PackageReport::default()
    }
}

fn main() {
    let report = Report {
        packages: vec![package("biolatency"), package("llcstat")],
        decode_bounds: &[1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0],
        states: vec!["admitted", "running", "backing-off", "quarantined"],
        ..Report::default()
    };
    println!("{:<40}{:>8}{:>8}", "µs a scrape", "least", "median");
    for (what, changes) in [("a steady scrape", 0), ("a scrape after a change of a package", 1)] {
        let mut own = OwnMetrics::new();
        let mut took: Vec<Duration> = (0..2000u64)
            .map(|round| {
                let mut report = report.clone();
                report.scrapes = Volatile(round);
                report.packages[0].asked = round * changes;
                let began = Instant::now();
                own.update(report);
                let mut text = Vec::new();
                let mut encoder = encoder(Format::OpenMetrics100, Created::LeftOut, &mut text);
                own.encode(Format::OpenMetrics100, &mut *encoder).and_then(|()| encoder.finish()).expect("into memory");
                std::hint::black_box(text.len());
                began.elapsed()
            })
            .collect();
        took.sort_unstable();
        let micros = |time: Duration| time.as_nanos() as f64 / 1e3;
        println!("{what:<40}{:>8.1}{:>8.1}", micros(took[0]), micros(took[1000]));
    }
}
