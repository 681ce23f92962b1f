//! The text formats: which client gets which, and that they have the same content.

use std::io::Read;

use ebhost_tests::{Disk, Ebhost, Exposition, Fio, Format, Response, Sample, committed, needs};
use flate2::read::GzDecoder;

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The bounds as dashboards and recording rules for the best-known exporter have them.
const BOUNDS: [&str; 29] = [
    "1e-06",
    "2e-06",
    "4e-06",
    "8e-06",
    "1.6e-05",
    "3.2e-05",
    "6.4e-05",
    "0.000128",
    "0.000256",
    "0.000512",
    "0.001024",
    "0.002048",
    "0.004096",
    "0.008192",
    "0.016384",
    "0.032768",
    "0.065536",
    "0.131072",
    "0.262144",
    "0.524288",
    "1.048576",
    "2.097152",
    "4.194304",
    "8.388608",
    "16.777216",
    "33.554432",
    "67.108864",
    "134.217728",
    "+Inf",
];

#[test]
fn a_client_gets_the_format_it_prefers() {
    needs!(Root);
    let host = Ebhost::start(&committed());
    let debian = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                  text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    for (accept, expected) in [
        (None, TEXT),
        (Some("*/*"), TEXT),
        (Some("text/html,application/xhtml+xml,*/*;q=0.8"), TEXT),
        (Some("text/plain, application/openmetrics-text;q=0.5"), TEXT),
        (Some("nonsense"), TEXT),
        (Some(debian), OPENMETRICS),
        (Some("application/openmetrics-text"), OPENMETRICS),
    ] {
        let headers: Vec<_> = accept.map(|accept| ("Accept", accept)).into_iter().collect();
        let answer = host.get("/metrics", &headers);
        assert_eq!((answer.status, answer.header("content-type")), (200, expected), "for {accept:?}");
        parse(&answer);
    }
    host.stop();
}

#[test]
fn both_formats_say_the_same_of_a_disk_at_rest() {
    needs!(Root, Tool("fio"));
    let disk = Disk::in_memory();
    let host = Ebhost::start(&committed());
    Fio::run(&disk.device(), &["--rw=randrw", "--bs=4k", "--number_ios=400"]);
    let formats = || (host.get("/metrics", &[]), host.get("/metrics", &[("Accept", "application/openmetrics-text")]));
    let ((text, openmetrics), _) = disk.at_rest(formats);
    assert!(openmetrics.text().ends_with("\n# EOF\n") && !text.text().contains("# EOF"));
    let (text, openmetrics) = (parse(&text), parse(&openmetrics));

    let of_disk = |exposition: &Exposition| -> Vec<Sample> {
        exposition
            .samples()
            .filter(|sample| sample.labels.get("device").is_some_and(|d| d == disk.name()))
            .cloned()
            .collect()
    };
    let samples = of_disk(&text);
    assert_eq!(samples, of_disk(&openmetrics));
    // A bucket for each bound, _sum and _count, for reads and for writes.
    assert_eq!(samples.len(), 2 * (BOUNDS.len() + 2), "{samples:?}");

    let family = &openmetrics.families["ebhost_bio_latency_seconds"];
    assert_eq!((family.kind.as_str(), family.unit.as_str()), ("histogram", "seconds"));
    assert_eq!(openmetrics.families["ebhost_bio_latency_lost"].kind, "counter");
    assert_eq!(text.families["ebhost_bio_latency_lost_total"].kind, "counter");
    host.stop();
}

#[test]
fn bounds_are_written_as_dashboards_know_them() {
    needs!(Root, Tool("fio"));
    let disk = Disk::in_memory();
    let host = Ebhost::start(&committed());
    Fio::run(&disk.device(), &["--rw=randread", "--bs=4k", "--number_ios=10"]);
    for accept in ["text/plain", "application/openmetrics-text"] {
        let answer = host.get("/metrics", &[("Accept", accept)]);
        let begin = format!("ebhost_bio_latency_seconds_bucket{{device=\"{}\",operation=\"read\",le=\"", disk.name());
        let bounds: Vec<_> =
            answer.text().lines().filter_map(|line| line.strip_prefix(&begin)?.split('"').next()).collect();
        assert_eq!(bounds, BOUNDS, "{accept}");
    }
    host.stop();
}

#[test]
fn gzip_has_the_same_content() {
    needs!(Root);
    let host = Ebhost::start(&committed());
    let plain = host.get("/metrics", &[]);
    assert_eq!(plain.header("content-encoding"), "");
    let zipped = host.get("/metrics", &[("Accept-Encoding", "gzip")]);
    assert_eq!((zipped.header("content-encoding"), zipped.header("content-type")), ("gzip", TEXT));
    assert!(zipped.body.len() * 2 < plain.body.len(), "{} of {} bytes", zipped.body.len(), plain.body.len());
    let mut text = String::new();
    GzDecoder::new(&zipped.body[..]).read_to_string(&mut text).expect("a gzip stream of text");
    let unzipped = Exposition::parse(&text, Format::Text).expect("text 0.0.4");
    assert!(unzipped.families.keys().eq(parse(&plain).families.keys()), "{text}");
    host.stop();
}

fn parse(answer: &Response) -> Exposition {
    let format = if answer.header("content-type") == OPENMETRICS { Format::OpenMetrics } else { Format::Text };
    Exposition::parse(answer.text(), format).unwrap_or_else(|why| panic!("{why}; served:\n{}", answer.text()))
}
