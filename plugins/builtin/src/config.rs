//! Parses and checks the configuration as a whole: every mistake is found at load, none at a scrape.

use serde_json::Value;

use crate::label::{self, LabelsOf};
use crate::machine::Machine;
use crate::metric::{self, Metric};
use crate::node::{Keys, Mistakes, Node};
use crate::table::{self, Tables};

/// The labels of a span that are not attributes, with their sizes in bytes.
const SPAN_LABELS: [(&str, u32); 5] = [
    ("trace_id", 16),
    ("span_id", 8),
    ("parent_span_id", 8),
    ("span_monotonic_timestamp_ns", 8),
    ("span_duration_ns", 8),
];

/// A configuration that has been checked.
#[derive(Default)]
pub(crate) struct Config {
    pub(crate) metrics: Vec<Metric>,
    pub(crate) tables: Tables,
    /// Begins the names of the families about the tables themselves.
    pub(crate) prefix: String,
}

/// Parses the JSON that the host passes to `describe`.
///
/// # Errors
/// All mistakes, in one line.
pub(crate) fn read(config: &str) -> Result<Config, String> {
    let mut value: Value = serde_json::from_str(config).map_err(|error| format!("config: {error}"))?;
    let machine =
        Machine::read(&value).ok_or("config: found no `host`, expected the key that this version's host adds")?;
    if let Value::Object(keys) = &mut value {
        keys.remove("host");
    }
    let mistakes = Mistakes::default();
    let root = Node::root(&value, &mistakes);
    let keys = match machine.is_ebpf_exporter {
        true => root.keys_and_others(&["metrics", "tracing", "kaddrs", "cgroup_id_map"]),
        false => root.keys(&["metrics", "tables", "prefix"]),
    };
    let metrics = keys.find("metrics").map(|node| metric::read(&node, &machine)).unwrap_or_default();
    let mut config = Config { metrics, prefix: machine.package.replace('-', "_"), ..Config::default() };
    if machine.is_ebpf_exporter {
        check_other_keys(&keys, &machine);
    } else {
        config.read_tables(&keys, &machine);
    }
    if config.metrics.is_empty() && config.tables.families.is_empty() && mistakes.to_line().is_none() {
        no_metrics(&keys);
    }
    mistakes.to_line().map_or(Ok(config), Err)
}

impl Config {
    fn read_tables(&mut self, keys: &Keys<'_>, machine: &Machine) {
        let nodes = keys.list("tables");
        self.tables = table::read(&nodes, machine);
        if let Some(node) = keys.find("prefix")
            && let Some(prefix) = node.text()
        {
            if !label::is_name(&prefix) {
                node.mistake(format!("`{prefix}`"), "letters, digits and `_`, not beginning with a digit or `__`");
            }
            self.prefix = prefix;
        }
        let is_metric = |name: &str| self.metrics.iter().any(|metric| metric.name == name);
        if let Some(family) = self.tables.families.iter().find(|family| is_metric(&family.name)) {
            let found = format!("the family `{}` in `metrics` and in `tables`", family.name);
            keys.node().mistake(found, "each name once");
        }
    }
}

fn no_metrics(keys: &Keys<'_>) {
    let expected = "at least one counter or histogram";
    let spans = keys.find("tracing").and_then(|tracing| tracing.keys(&["spans"]).find("spans"));
    match spans.map(|node| (node.list().len(), node)) {
        Some((count @ 1.., node)) => {
            node.mistake(format!("{count} spans, which ebhost does not make, and no metrics"), expected);
        }
        _ => keys.node().mistake("no metrics", expected),
    }
}

/// Checks the keys of ebpf_exporter's files that concern the host, not this component.
fn check_other_keys(keys: &Keys<'_>, machine: &Machine) {
    for symbol in keys.list("kaddrs") {
        symbol.text();
    }
    if let Some(map) = keys.find("cgroup_id_map") {
        let keys = map.keys(&["name", "type", "regexps"]);
        keys.text("name");
        if let Some(kind) = keys.find("type")
            && !kind.text().is_some_and(|text| matches!(text.as_str(), "hash" | "cgrp_storage"))
        {
            kind.mistake("that type", "hash or cgrp_storage");
        }
        for regexp in keys.list("regexps") {
            if let Some(Err(error)) = regexp.text().map(|text| regex_lite::Regex::new(&text)) {
                regexp.mistake("that", format!("a regular expression: {error}"));
            }
        }
    }
    if let Some(tracing) = keys.find("tracing") {
        tracing.keys(&["spans"]).list("spans").iter().for_each(|span| check_span(span, machine));
    }
}

/// ebhost does not produce spans; a file that configures them is checked all the same.
fn check_span(span: &Node<'_>, machine: &Machine) {
    let keys = span.keys(&["ringbuf", "name", "service", "labels"]);
    keys.text("ringbuf");
    keys.text("name");
    if let Some(service) = keys.find("service") {
        service.text();
    }
    let nodes = keys.list("labels");
    let labels = label::read(&nodes, LabelsOf::Span, machine);
    for (label, node) in labels.iter().zip(&nodes).filter(|_| labels.len() == nodes.len()) {
        let size = SPAN_LABELS.iter().find(|(name, _)| *name == label.name).map(|(_, size)| *size);
        if let Some(size) = size.filter(|size| *size != label.size) {
            node.mistake(format!("`{}` of {} bytes", label.name, label.size), format!("{size} bytes"));
        }
    }
}
