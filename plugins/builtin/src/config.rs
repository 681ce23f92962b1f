//! Parses and checks the configuration as a whole: every mistake is found at load, none at a scrape.

use serde_json::Value;

use crate::label;
use crate::machine::Machine;
use crate::metric::{self, Metric};
use crate::node::{Keys, Mistakes, Node};
use crate::span::{self, Span};
use crate::table::{self, Tables};

/// A configuration that has been checked.
#[derive(Default)]
pub(crate) struct Config {
    pub(crate) metrics: Vec<Metric>,
    pub(crate) tables: Tables,
    pub(crate) spans: Vec<Span>,
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
        check_other_keys(&keys);
        if let Some(tracing) = keys.find("tracing") {
            config.spans = span::read(&tracing.keys(&["spans"]).list("spans"), &machine);
        }
    } else {
        config.read_tables(&keys, &machine);
    }
    let is_empty = config.metrics.is_empty() && config.tables.families.is_empty() && config.spans.is_empty();
    if is_empty && mistakes.to_line().is_none() {
        let expected = if machine.is_ebpf_exporter {
            "at least one counter, histogram or span"
        } else {
            "at least one counter or histogram"
        };
        keys.node().mistake("no metrics", expected);
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

/// Checks the keys of ebpf_exporter's files that concern the host, not this component.
fn check_other_keys(keys: &Keys<'_>) {
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
}
