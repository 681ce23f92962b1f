//! OpenMetrics 2.0: the form of each kind of series, by the specification's own words and examples.

use crate::{oracle::ours, protobuf};
use ebhost_metrics::{
    CellKind, Created, Family, Fold, Format, Kind, Layout, OwnedFamily, Presentation, encode_fragment,
};

fn family(name: &str, unit: &str, kind: Kind, layout: Layout) -> OwnedFamily {
    let (name, help, unit) = (name.to_owned(), "A \"help\" text.".to_owned(), unit.to_owned());
    OwnedFamily::new(Family { name, help, unit, labels: vec![], kind, times: 1.0, per: 1.0 }, layout)
}

fn encoded(family: &OwnedFamily) -> String {
    let presentation = Presentation::exact("");
    let text = encode_fragment(Format::OpenMetrics200, Created::LeftOut, presentation, [family.series()].into_iter());
    String::from_utf8(text).unwrap()
}

#[test]
fn a_counter_has_its_whole_name_in_the_metadata_and_its_start_time_on_its_line() {
    let mut counter = family("c_seconds_total", "seconds", Kind::Counter, Layout::Single(CellKind::F64));
    counter.push([("l", "a\"b")], &[1.5f64.to_bits()], Some(1_763_819_000.25));
    counter.push([], &[2f64.to_bits()], None);
    let expected = "# TYPE c_seconds_total counter\n# UNIT c_seconds_total seconds\n# HELP c_seconds_total A \\\"help\\\" text.\n\
                    c_seconds_total{l=\"a\\\"b\"} 1.5 st@1763819000.250\nc_seconds_total 2.0\n";
    assert_eq!(encoded(&counter), expected);
}

#[test]
fn a_gauge_has_no_start_time() {
    let mut gauge = family("g", "", Kind::Gauge(Fold::Sum), Layout::Single(CellKind::I64));
    gauge.push([], &[-3i64 as u64], Some(5.0));
    assert!(encoded(&gauge).ends_with("# HELP g A \\\"help\\\" text.\ng -3\n"), "{}", encoded(&gauge));
}

#[test]
fn a_counter_without_total_is_a_counter() {
    let mut counter = family("c", "", Kind::Counter, Layout::Single(CellKind::U64));
    counter.push([], &[3], None);
    assert!(encoded(&counter).starts_with("# TYPE c counter\n"), "{}", encoded(&counter));
}

#[test]
fn a_histogram_is_one_line_whose_buckets_are_cumulative() {
    let layout = Layout::Classic { bounds: 3, sum: Some(CellKind::U64) };
    let mut histogram = family("h", "", Kind::Histogram(vec![1e-5, 0.5, 1e6]), layout);
    histogram.push([("l", "a")], &[1, 2, 3, 4, 77], Some(7.0));
    let line = "h{l=\"a\"} {count:10,sum:77,bucket:[1e-05:1,0.5:3,1e+06:6,+Inf:10]} st@7.000\n";
    assert!(encoded(&histogram).ends_with(line), "{}", encoded(&histogram));
}

#[test]
fn a_histogram_without_a_sum_to_show_says_that_it_is_not_known() {
    let sumless = Layout::Classic { bounds: 1, sum: None };
    let negative = Layout::Classic { bounds: 1, sum: Some(CellKind::I64) };
    for (layout, bound, cells) in [(sumless, 1.0, &[1, 2][..]), (negative, -1.0, &[1, 2, -9i64 as u64])] {
        let mut histogram = family("h", "", Kind::Histogram(vec![bound]), layout);
        histogram.push([], cells, None);
        let line = format!("h {{count:3,sum:NaN,bucket:[{bound:.1}:1,+Inf:3]}}\n");
        assert!(encoded(&histogram).ends_with(&line), "{}", encoded(&histogram));
    }
}

/// The same table as in the test of protobuf: 1 s and below 1, (1, 2] s: 0 2 0 0, (2, 4] s: 0 3 0 4, above 5.
#[test]
fn native_buckets_have_absolute_counts_and_stand_before_classic_ones() {
    let text = ours(&[protobuf::native()], Format::OpenMetrics200);
    let line = "x_seconds {count:15,sum:60.0,schema:2,zero_threshold:1.0,zero_count:1,positive_spans:[2:1,3:3,4088:1],\
                positive_buckets:[2,3,0,4,5],bucket:[2.0:3,4.0:10,+Inf:15]}\n# EOF\n";
    assert!(text.ends_with(line), "{text}");
}

#[test]
fn a_native_histogram_without_observations_has_no_spans() {
    let layout = Layout::Native { schema: 3, first: -5, count: 4, ends: vec![], sum: Some(CellKind::U64) };
    let mut histogram = family("h", "", Kind::Histogram(vec![]), layout);
    histogram.push([], &[0; 7], None);
    let line = "{count:0,sum:0,schema:3,zero_threshold:0.5946035575013605,zero_count:0,bucket:[+Inf:0]}\n";
    assert!(encoded(&histogram).ends_with(line), "{}", encoded(&histogram));
}
