//! Each rule of the contract broken once: the error names the place, what was found and what was expected.

use super::*;
use crate::contract::declared::{self, Kind as K, Label, Value as V};
use ebhost_metrics::Kind;
use ebhost_series::schema::{Encoding, LabelSource};

fn number(offset: u32, size: u32) -> declared::Number {
    declared::Number { offset, size, encoding: Encoding::Unsigned }
}

/// A sound manifest: a histogram of slots and a counter, from one table of 4-byte keys and 256-byte values.
fn sound() -> Manifest {
    let family = |name: &str, labels: &[&str], kind| declared::Family {
        name: name.to_owned(),
        help: "H.".to_owned(),
        unit: String::new(),
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        kind,
        times: 1.0,
        per: 1e9,
    };
    let slots = declared::Slots { offset: 16, size: 8, sum: Some(number(8, 8)) };
    Manifest {
        families: vec![
            family("io_seconds", &["device"], K::Histogram(vec![1e-6, 2e-6])),
            family("faults_total", &["cpu"], K::Counter),
        ],
        views: vec![
            declared::View {
                source: "banks".to_owned(),
                key_size: 4,
                value_size: 256,
                identity: vec![declared::Field { part: declared::Part::Value, offset: 0, length: 4 }],
                lookups: vec![declared::Lookup { table: "block-device".to_owned(), field: 0 }],
                columns: 1,
                series: vec![declared::Series { family: 0, labels: vec![Label::Column(0)], value: V::Slots(slots) }],
            },
            declared::View {
                source: "faults".to_owned(),
                key_size: 4,
                value_size: 8,
                identity: vec![],
                lookups: vec![],
                columns: 0,
                series: vec![declared::Series { family: 1, labels: vec![Label::Cpu], value: V::Number(number(0, 8)) }],
            },
        ],
        spans: declared::Spans::default(),
    }
}

fn check_with(grants: &[LookupTable], manifest: Manifest) -> Result<Schema, String> {
    let sources = BTreeMap::from([
        ("banks".to_owned(), SourceShape::Table { key_size: 4, value_size: 256 }),
        ("faults".to_owned(), SourceShape::PerCpuTable { key_size: 4, value_size: 8 }),
        ("events".to_owned(), SourceShape::Events { know_cpu: true }),
    ]);
    check(manifest, &ManifestContext { sources: &sources, grants, compat: Compat::Native })
        .map_err(|error| error.to_string())
}

fn refusal(break_it: impl FnOnce(&mut Manifest)) -> String {
    let mut manifest = sound();
    break_it(&mut manifest);
    check_with(&[LookupTable::named("block-device").unwrap()], manifest).expect_err("the manifest is broken")
}

#[test]
fn a_sound_manifest_becomes_the_same_schema() {
    let schema = check_with(&[LookupTable::named("block-device").unwrap()], sound()).unwrap();
    assert_eq!(schema.families[0].kind, Kind::Histogram(vec![1e-6, 2e-6]));
    assert_eq!(schema.views[0].identity_size(), 4);
    assert_eq!(schema.views[1].feeds[0].labels, [LabelSource::Cpu]);
}

#[test]
fn a_lookup_without_its_grant_says_how_to_grant_it() {
    let error = check_with(&[], sound()).unwrap_err();
    assert_eq!(
        error,
        "manifest, view 0 (`banks`), lookup in `block-device`: found the grants [], expected a granted table; \
         add `grants: [block-device]` to plugin.yaml to grant it"
    );
}

#[test]
fn every_broken_rule_is_named() {
    type Break = fn(&mut Manifest);
    let broken: &[(Break, &str)] = &[
        (|m| m.families.clear(), "families: found none"),
        (|m| m.views.clear(), "views: found none"),
        (|m| m.families[0].name = "io seconds".into(), "family `io seconds`: found that name"),
        (|m| m.families[0].name = "__io".into(), "family `__io`: found that name"),
        (|m| m.families[1].name = "faults".into(), "expected a counter's name to end in `_total`"),
        (|m| m.families[0].name = "io_total".into(), "expected a counter's name to end in `_total`, and no other's"),
        (|m| m.families[0].unit = "bytes".into(), "expected a name that ends with its unit: `…_bytes`"),
        (|m| m.families[0].labels[0] = "le".into(), "found the label name `le`"),
        (|m| m.families[0].labels[0] = "a-b".into(), "found the label name `a-b`"),
        (|m| m.families[0].labels = vec!["a".into(), "a".into()], "found the label `a` twice"),
        (|m| m.families[0].per = 0.0, "found per = 0"),
        (|m| m.families[0].times = f64::NAN, "found times = NaN"),
        (|m| m.families[0].kind = K::Histogram(vec![2.0, 1.0]), "found the bound 1 after 2, expected ascending bounds"),
        (|m| m.families[0].kind = K::Histogram(vec![1.0, 1.0]), "found the bound 1 after 1, expected ascending bounds"),
        (|m| m.families[0].kind = K::Histogram(vec![1.0, f64::INFINITY]), "expected finite bounds"),
        (|m| m.families[0].kind = K::Histogram(vec![]), "found no bounds"),
        (
            |m| {
                m.families[1].name = "io_seconds_count_total".into();
                m.families[0].name = "io_seconds".into();
            },
            "which family `io_seconds` prints already",
        ),
        (
            |m| m.views[0].source = "bank".into(),
            "found the source `bank`, expected a map of the BPF object or a source under `perf` in plugin.yaml: banks, events, faults",
        ),
        (|m| m.views[0].key_size = 8, "found key-size 8, expected 4, as the map has it"),
        (|m| m.views[0].value_size = 8, "found value-size 8, expected 256, as the map has it"),
        (|m| m.views[0].identity[0].offset = 254, "identity field 0: found bytes 254 to 258"),
        (|m| m.views[0].identity[0].offset = u32::MAX, "identity field 0: found bytes 4294967295 to"),
        (
            |m| m.views[1].identity.push(declared::Field { part: declared::Part::Value, offset: 0, length: 4 }),
            "a per-CPU map has a value for each CPU",
        ),
        (
            |m| m.views[0].lookups[0].table = "disks".into(),
            "found a table that does not exist, expected one of block-device",
        ),
        (|m| m.views[0].lookups[0].field = 1, "found identity field 1, expected one below 1"),
        (|m| m.views[0].identity[0].length = 8, "found a field of 8 bytes, expected a length that the table takes"),
        (|m| m.views[0].series.clear(), "found no series"),
        (|m| m.views[0].series[0].family = 7, "found family 7, expected one below 2"),
        (|m| m.views[0].series[0].labels.clear(), "found 0 labels, expected 1, as the family has"),
        (|m| m.views[0].series[0].labels[0] = Label::Column(1), "found column 1, expected one below the view's 1"),
        (|m| m.views[0].series[0].labels[0] = Label::Cpu, "found the label `cpu`, expected a per-CPU map"),
        (|m| m.views[0].series[0].value = V::Number(number(0, 8)), "found the value `number`, expected `slots`"),
        (|m| m.views[0].series[0].value = V::Observation(number(0, 8)), "found the value `observation`"),
        (|m| m.views[1].series[0].value = V::One, "found the value `one`, expected `number`"),
        (
            |m| m.views[1].series[0].value = V::Number(number(1, 8)),
            "found 1 × 8 bytes from byte 1, expected bytes within the value's 8",
        ),
        (|m| m.views[1].series[0].value = V::Number(number(0, 3)), "found a number of 3 bytes"),
        (
            |m| {
                m.views[1].series[0].value =
                    V::Number(declared::Number { offset: 0, size: 8, encoding: Encoding::Signed });
            },
            "found a signed number",
        ),
        (
            |m| m.views[0].series[0].value = V::Slots(declared::Slots { offset: 240, size: 8, sum: None }),
            "found 3 × 8 bytes from byte 240",
        ),
        (
            |m| m.views[0].series[0].value = V::Slots(declared::Slots { offset: 0, size: 2, sum: None }),
            "found slots of 2 bytes, expected 4 or 8",
        ),
        (
            |m| {
                let slots = declared::NativeSlots { offset: 0, schema: 9, first: 0, count: 2, sum: None };
                m.views[0].series[0].value = V::NativeSlots(slots);
            },
            "found schema 9",
        ),
        (
            |m| {
                let slots = declared::NativeSlots { offset: 0, schema: 0, first: -30, count: 20, sum: None };
                m.views[0].series[0].value = V::NativeSlots(slots);
            },
            "expected bounds that are ends of its native buckets",
        ),
        (
            |m| {
                let slots = declared::NativeSlots { offset: 0, schema: 0, first: -20, count: 31, sum: None };
                m.views[0].series[0].value = V::NativeSlots(slots);
            },
            "found 33 × 8 bytes from byte 0, expected bytes within the value's 256",
        ),
        (
            |m| {
                m.families[0].kind = K::Histogram(vec![1.0]);
                let slots = declared::NativeSlots { offset: 0, schema: 0, first: 1020, count: 10, sum: None };
                m.views[0].series[0].value = V::NativeSlots(slots);
            },
            "expected ends that are numbers above 0",
        ),
        (
            |m| {
                let slots = declared::NativeSlots { offset: 0, schema: 0, first: -20, count: 10, sum: None };
                m.views[1].series[0].value = V::NativeSlots(slots);
            },
            "found the value `native-slots`, expected `number`",
        ),
        (|m| m.views.truncate(1), "family `faults_total`: found no view that feeds it"),
    ];
    for (break_it, expected) in broken {
        let error = refusal(break_it);
        assert!(error.contains(expected), "found `{error}`, expected it to say `{expected}`");
    }
}

/// A manifest with so many families, each fed by one view.
fn with_families(count: usize) -> Manifest {
    let mut manifest = sound();
    let (family, view) = (manifest.families.remove(1), manifest.views.remove(1));
    manifest.families.clear();
    manifest.views.clear();
    for index in 0..count {
        manifest.families.push(declared::Family { name: format!("f{index}_total"), ..family.clone() });
    }
    let feed = |index| declared::Series { family: index as u32, ..view.series[0].clone() };
    for first in (0..count).step_by(2) {
        let series = (first..count.min(first + 2)).map(feed).collect();
        manifest.views.push(declared::View { series, ..view.clone() });
    }
    manifest
}

/// As many as the limit of each list are taken, and one more is refused.
#[test]
fn the_lengths_of_all_lists_have_a_limit() {
    type Make = fn(usize) -> Manifest;
    let views: Make = |count| {
        let mut manifest = with_families(1);
        manifest.views = vec![manifest.views[0].clone(); count];
        manifest
    };
    let series: Make = |count| {
        let mut manifest = with_families(1);
        manifest.views[0].series = vec![manifest.views[0].series[0].clone(); count];
        manifest
    };
    let labels: Make = |count| {
        let mut manifest = with_families(1);
        manifest.families[0].labels = (0..count).map(|label| format!("l{label}")).collect();
        manifest.views[0].series[0].labels = vec![Label::Cpu; count];
        manifest
    };
    let columns: Make = |count| {
        let mut manifest = with_families(1);
        manifest.views[0].columns = count as u32;
        manifest
    };
    let fields: Make = |count| {
        let mut manifest = with_families(1);
        manifest.views[0].identity = vec![declared::Field { part: declared::Part::Key, offset: 0, length: 1 }; count];
        manifest
    };
    let bounds: Make = |count| {
        let mut manifest = sound();
        manifest.families[0].kind = K::Histogram((0..count).map(|bound| bound as f64).collect());
        manifest.views[0].value_size = 256;
        manifest
    };
    let text: Make = |bytes| {
        let mut manifest = with_families(1);
        manifest.families[0].help = "x".repeat(bytes);
        manifest
    };
    let lists: [(Make, usize, &str); 7] = [
        (with_families, limits::MANIFEST_FAMILIES, "families: found 257"),
        (views, limits::MANIFEST_VIEWS, "views: found 257"),
        (series, limits::MANIFEST_FAMILIES, "found 257 series"),
        (labels, limits::MANIFEST_LABELS, "found 33 labels"),
        (columns, limits::MANIFEST_LABELS, "found 33 columns"),
        (fields, limits::MANIFEST_LABELS, "found 33 identity fields"),
        (text, limits::MANIFEST_TEXT_BYTES, "expected at most 1024"),
    ];
    for (make, most, says) in lists {
        let accepted = check_with(&[], make(most));
        assert!(accepted.is_ok(), "{most}: {accepted:?}");
        let refused = check_with(&[], make(most + 1)).expect_err("one too many");
        assert!(refused.contains(says) && refused.contains("expected at most"), "{refused}");
    }
    let refused = check_with(&[LookupTable::named("block-device").unwrap()], bounds(limits::MANIFEST_BOUNDS + 1));
    assert!(refused.unwrap_err().contains("found 513 bounds, expected at most 512"));
}

/// 256 views of one ring buffer with lengths of their own were 256 copies of its events.
#[test]
fn a_buffer_has_views_of_a_few_lengths() {
    let with = |lengths: std::ops::Range<u32>| {
        let mut manifest = sound();
        let view = |value_size| declared::View {
            source: "events".to_owned(),
            key_size: 0,
            value_size,
            identity: vec![],
            lookups: vec![],
            columns: 0,
            series: vec![declared::Series { family: 1, labels: vec![Label::Cpu], value: V::Number(number(0, 8)) }],
        };
        manifest.views.extend(lengths.map(view));
        check_with(&[LookupTable::named("block-device").unwrap()], manifest)
    };
    assert!(with(8..16).is_ok());
    let error = with(8..17).unwrap_err();
    assert!(error.contains("`events`") && error.contains("found 9 different lengths"), "{error}");
}

/// Bounds may be the lower end of the first native bucket and the upper end of the last one.
#[test]
fn both_ends_of_the_native_buckets_may_be_bounds() {
    let with = |bounds: &[f64]| {
        let mut manifest = sound();
        manifest.families[0].kind = K::Histogram(bounds.to_vec());
        let slots = declared::NativeSlots { offset: 0, schema: 0, first: 2, count: 3, sum: None };
        manifest.views[0].series[0].value = V::NativeSlots(slots);
        check_with(&[LookupTable::named("block-device").unwrap()], manifest)
    };
    // The buckets end at 4, 8 and 16, and the first one begins at 2.
    assert!(with(&[2.0, 4.0, 8.0, 16.0]).is_ok());
    for beyond in [[1.0], [3.0], [32.0]] {
        assert!(
            with(&beyond).unwrap_err().contains("expected bounds that are ends of its native buckets"),
            "{beyond:?}"
        );
    }
}

/// One bucket number of an answer serves all series of the entry.
#[test]
fn all_series_of_a_view_of_buckets_are_buckets_of_as_many_bounds() {
    let bucket = V::Bucket(declared::Bucket { count: number(8, 8), sum: None });
    let with = |bounds: &[f64], value: V| {
        let mut manifest = sound();
        let family = declared::Family {
            name: "io_bytes".to_owned(),
            kind: K::Histogram(bounds.to_vec()),
            ..manifest.families[0].clone()
        };
        manifest.families.push(family);
        let series = &mut manifest.views[0].series;
        series[0].value = bucket;
        series.push(declared::Series { family: 2, value, ..series[0].clone() });
        check_with(&[LookupTable::named("block-device").unwrap()], manifest)
    };
    assert!(with(&[1.0, 2.0], bucket).is_ok(), "io_seconds has two bounds, too");
    let error = with(&[1.0, 2.0, 3.0], bucket).unwrap_err();
    assert!(error.contains("found families of differently many bounds, expected equally many"), "{error}");
    let slots = V::Slots(declared::Slots { offset: 16, size: 8, sum: None });
    let error = with(&[1.0, 2.0], slots).unwrap_err();
    assert!(error.contains("found `bucket` beside other values"), "{error}");
}
