//! docs/metrics.md lists every family that the host registers, with its type and labels, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use ebhost_metrics::{Kind, labels};

use super::{OwnMetrics, tests::full_report};

/// Type and label names of a family.
type Shape = (String, BTreeSet<String>);

/// The rows of the page's tables: name, type, labels, meaning, example.
fn documented() -> Vec<[String; 5]> {
    let page = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md"));
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        // A query may have the separator in it, escaped.
        let row = row.replace(r"\|", "\0");
        let cells: Vec<_> = row.trim_matches('|').split('|').map(|cell| cell.trim().replace('\0', "|")).collect();
        cells.try_into().unwrap_or_else(|cells| panic!("expected five cells, found {cells:?}"))
    })
    .collect()
}

fn words(cell: &str) -> impl Iterator<Item = String> {
    cell.split(',').map(|word| word.trim().trim_matches('`').to_owned()).filter(|word| !word.is_empty())
}

/// The families that a report with something to say about everything gives.
fn registered() -> BTreeMap<String, Shape> {
    let mut own = OwnMetrics::new();
    own.update(full_report());
    let shape = |series: ebhost_metrics::FamilySeries<'_>| {
        let family = series.family();
        assert!(!series.is_empty(), "the report of the tests has no {}", family.name);
        assert!(family.help.ends_with('.'), "HELP of {}", family.name);
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge(_) => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        let names = series.iter().flat_map(|each| labels::parse_block(each.labels).map(|(name, _)| name));
        let names = names.map(|name| String::from_utf8(name.to_vec()).unwrap()).collect();
        (family.name.clone(), (kind.to_owned(), names))
    };
    own.families().map(shape).collect()
}

#[test]
fn the_page_of_metrics_lists_what_is_registered_and_nothing_else() {
    let rows = documented();
    let listed: BTreeMap<String, Shape> = rows
        .iter()
        .map(|[name, kind, labels, ..]| (name.trim_matches('`').to_owned(), (kind.clone(), words(labels).collect())))
        .collect();
    assert_eq!(listed.len(), rows.len(), "no metric twice");
    assert_eq!(listed, registered());
    for [name, _, _, meaning, example] in &rows {
        assert!(meaning.ends_with('.'), "{name} has a meaning");
        assert!(example.starts_with('`') && example.ends_with('`'), "{name} has an example query");
    }
}
