//! The rules of each format that a scraper refuses an answer over, and the forms of numbers that dashboards match.

use crate::protobuf::{MetricFamily, Timestamp, decode};
use ebhost_metrics::{
    CellKind, Created, Exemplar, Family, FamilySeries, Fold, Format, Integers, Kind, Layout, OwnedFamily, Presentation,
    encode_fragment, encoder,
};

fn family(name: &str, kind: Kind, layout: Layout) -> OwnedFamily {
    let (name, help) = (name.to_owned(), "H.".to_owned());
    let family = Family { name, help, unit: String::new(), labels: vec![], kind, times: 1.0, per: 1.0 };
    OwnedFamily::new(family, layout)
}

fn histogram(bounds: &[f64], sum: Option<CellKind>) -> OwnedFamily {
    family("h", Kind::Histogram(bounds.to_vec()), Layout::Classic { bounds: bounds.len(), sum })
}

fn encoded(format: Format, series: FamilySeries<'_>) -> Vec<u8> {
    encode_fragment(format, Created::Printed, Presentation::exact(""), [series].into_iter())
}

/// The samples of a text format, without metadata.
fn samples(format: Format, family: &OwnedFamily) -> Vec<String> {
    let text = String::from_utf8(encoded(format, family.series())).unwrap();
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

fn messages(family: &OwnedFamily) -> MetricFamily {
    decode(&encoded(Format::Protobuf, family.series())).remove(0)
}

#[test]
fn a_start_time_stands_next_to_its_own_series() {
    let mut counter = family("c_total", Kind::Counter, Layout::Single(CellKind::U64));
    counter.push([("l", "a")], &[1], Some(1_763_819_000.25));
    counter.push([("l", "b")], &[2], None);
    counter.push([("l", "c")], &[3], Some(5.0));
    let expected = [
        "c_total{l=\"a\"} 1",
        "c_created{l=\"a\"} 1.76381900025e+09",
        "c_total{l=\"b\"} 2",
        "c_total{l=\"c\"} 3",
        "c_created{l=\"c\"} 5.0",
    ];
    assert_eq!(samples(Format::OpenMetrics100, &counter), expected);
    assert_eq!(samples(Format::Text004, &counter), [expected[0], expected[2], expected[3]]);
    let created: Vec<_> =
        messages(&counter).metric.into_iter().map(|metric| metric.counter.unwrap().created_timestamp).collect();
    assert_eq!(
        created,
        [
            Some(Timestamp { seconds: 1_763_819_000, nanos: 250_000_000 }),
            None,
            Some(Timestamp { seconds: 5, nanos: 0 })
        ]
    );

    let mut histogram = histogram(&[1.0], Some(CellKind::U64));
    histogram.push([("l", "a")], &[1, 2, 9], Some(7.0));
    histogram.push([("l", "b")], &[0, 0, 0], Some(8.0));
    let lines = samples(Format::OpenMetrics100, &histogram);
    assert_eq!(lines[4..6], ["h_created{l=\"a\"} 7.0", "h_bucket{l=\"b\",le=\"1.0\"} 0"]);
    let created = messages(&histogram).metric[0].histogram.as_ref().unwrap().created_timestamp.clone();
    assert_eq!(created, Some(Timestamp { seconds: 7, nanos: 0 }));
}

/// The first increments of a new series were lost to `rate()` unless an option was given, which nobody knew of.
#[test]
fn start_times_are_in_protobuf_unasked() {
    let mut counter = family("c_total", Kind::Counter, Layout::Single(CellKind::U64));
    counter.push([], &[1], Some(5.5));
    let encoded =
        encode_fragment(Format::Protobuf, Created::LeftOut, Presentation::exact(""), [counter.series()].into_iter());
    let created = decode(&encoded)[0].metric[0].counter.as_ref().unwrap().created_timestamp.clone();
    assert_eq!(created, Some(Timestamp { seconds: 5, nanos: 500_000_000 }));
}

#[test]
fn a_histogram_without_sum_does_not_have_openmetrics_refused_over_its_count() {
    let mut histogram = histogram(&[1.0, 2.0], None);
    histogram.push([], &[1, 2, 3], None);
    let buckets = ["h_bucket{le=\"1.0\"} 1", "h_bucket{le=\"2.0\"} 3", "h_bucket{le=\"+Inf\"} 6"];
    assert_eq!(samples(Format::OpenMetrics100, &histogram), buckets);
    assert_eq!(samples(Format::Text004, &histogram)[3..], ["h_count 6"]);
    assert!(messages(&histogram).metric[0].histogram.as_ref().unwrap().sample_sum.is_nan(), "not 0");
}

#[test]
fn a_histogram_with_a_negative_bound_shows_no_sum_in_any_format() {
    let mut histogram = histogram(&[-1.0, 0.0], Some(CellKind::I64));
    histogram.push([], &[1, 2, 3, -9i64 as u64], None);
    let openmetrics = ["h_bucket{le=\"-1.0\"} 1", "h_bucket{le=\"0.0\"} 3", "h_bucket{le=\"+Inf\"} 6"];
    assert_eq!(samples(Format::OpenMetrics100, &histogram), openmetrics);
    let text = ["h_bucket{le=\"-1\"} 1", "h_bucket{le=\"0\"} 3", "h_bucket{le=\"+Inf\"} 6", "h_count 6"];
    assert_eq!(samples(Format::Text004, &histogram), text);
    assert!(messages(&histogram).metric[0].histogram.as_ref().unwrap().sample_sum.is_nan());
}

#[test]
fn an_exemplar_stands_beside_its_bucket_in_each_format_that_has_them() {
    let mut histogram = histogram(&[1.0, 2.0], Some(CellKind::U64));
    histogram.push([("l", "a")], &[1, 2, 3, 9], None);
    histogram.push([("l", "b")], &[0, 1, 0, 2], None);
    let exemplar = |span_id| Exemplar { trace_id: [0xab; 16], span_id, raw: 2, unix_ms: 1_763_819_000_250 };
    histogram.set_exemplar(0, 1, exemplar(Some([0xcd; 8])));
    histogram.set_exemplar(0, 2, exemplar(None));
    let (trace, span) = ("ab".repeat(16), "cd".repeat(8));
    let lines = samples(Format::OpenMetrics100, &histogram);
    let with_span = format!(" # {{trace_id=\"{trace}\",span_id=\"{span}\"}} 2.0 1763819000.250");
    let without = format!(" # {{trace_id=\"{trace}\"}} 2.0 1763819000.250");
    assert_eq!(lines[0], "h_bucket{l=\"a\",le=\"1.0\"} 1");
    assert_eq!(lines[1], format!("h_bucket{{l=\"a\",le=\"2.0\"}} 3{with_span}"));
    assert_eq!(lines[2], format!("h_bucket{{l=\"a\",le=\"+Inf\"}} 6{without}"));
    assert!(lines[3..].iter().all(|line| !line.contains('#')), "{lines:?}");
    let line = &samples(Format::OpenMetrics200, &histogram)[0];
    assert_eq!(*line, format!("h{{l=\"a\"}} {{count:6,sum:9,bucket:[1.0:1,2.0:3,+Inf:6]}}{with_span}{without}"));
    assert!(samples(Format::Text004, &histogram).iter().all(|line| !line.contains('#')));
    let family = messages(&histogram);
    let exemplars: Vec<_> = family.metric[0].histogram.as_ref().unwrap().exemplars();
    assert_eq!(exemplars.len(), 2);
    let (bound, labels, value, time) = &exemplars[0];
    assert_eq!((*bound, *value, *time), (2.0, 2.0, (1_763_819_000, 250_000_000)));
    assert_eq!(labels, &[("trace_id".to_owned(), trace), ("span_id".to_owned(), span)]);
    assert_eq!(exemplars[1].0, f64::INFINITY);
    assert!(family.metric[1].histogram.as_ref().unwrap().exemplars().is_empty());
}

#[test]
fn sums_and_numbers_of_every_cell_kind_print() {
    for (kind, cell, text, openmetrics) in [
        (CellKind::U64, 3, "3", "3"),
        (CellKind::I64, -3i64 as u64, "-3", "-3"),
        (CellKind::F64, 1e-5f64.to_bits(), "1e-05", "1e-05"),
        (CellKind::F64, 2f64.to_bits(), "2", "2.0"),
    ] {
        let mut gauge = family("g", Kind::Gauge(Fold::Sum), Layout::Single(kind));
        gauge.push([], &[cell], None);
        assert_eq!(samples(Format::Text004, &gauge), [format!("g {text}")]);
        assert_eq!(samples(Format::OpenMetrics100, &gauge), [format!("g {openmetrics}")]);
        let mut histogram = histogram(&[1e-5], Some(kind));
        histogram.push([], &[0, 0, cell], None);
        let lines = samples(Format::Text004, &histogram);
        assert_eq!([&lines[0], &lines[2]], ["h_bucket{le=\"1e-05\"} 0", &format!("h_sum {text}")]);
        let number: f64 = text.parse().unwrap();
        assert_eq!(messages(&histogram).metric[0].histogram.as_ref().unwrap().sample_sum, number);
    }
}

#[test]
fn an_answer_leaves_in_chunks_and_a_fragment_is_passed_on() {
    let mut counter = family("c_total", Kind::Counter, Layout::Single(CellKind::U64));
    (0..40_000).for_each(|number| counter.push([("label", number.to_string().as_str())], &[number], None));
    #[derive(Default)]
    struct Chunks(Vec<usize>, Vec<u8>);
    impl ebhost_metrics::ChunkSink for Chunks {
        fn send(&mut self, chunk: Vec<u8>) -> std::io::Result<()> {
            self.0.push(chunk.len());
            self.1.extend_from_slice(&chunk);
            Ok(())
        }
    }
    for format in [Format::Text004, Format::OpenMetrics100, Format::OpenMetrics200, Format::Protobuf] {
        let presentation = Presentation { namespace: "n", integers: Integers::Exact };
        let fragment = encode_fragment(format, Created::LeftOut, presentation, [counter.series()].into_iter());
        let mut chunks = Chunks::default();
        let mut encoder = encoder(format, Created::LeftOut, &mut chunks);
        encoder.family(presentation, counter.series()).unwrap();
        encoder.fragment(&fragment).unwrap();
        encoder.finish().unwrap();
        assert!(chunks.0.len() > 3 && chunks.0[..2].iter().all(|len| *len < 300_000), "{format:?}: {:?}", chunks.0);
        let is_openmetrics = matches!(format, Format::OpenMetrics100 | Format::OpenMetrics200);
        let end: &[u8] = if is_openmetrics { b"# EOF\n" } else { b"" };
        assert!(chunks.1 == [&fragment, &fragment, end].concat(), "{format:?}");
    }
}
