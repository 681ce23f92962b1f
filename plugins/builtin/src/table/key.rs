//! The key of a table: its parts in their order, those with a label and those without.

use crate::label::{Label, LabelsOf, read_one};
use crate::lookup::Lookup;
use crate::machine::Machine;
use crate::node::{Keys, Node};

/// The largest part of a key, in bytes.
const MAX_PART: u32 = 4096;
const MAX_PARTS: usize = 64;

/// A checked key.
pub(super) struct Key {
    /// Size of all parts.
    pub(super) size: u32,
    /// The labels, each with its offset.
    pub(super) labels: Vec<(u32, Label)>,
}

/// One part of a key.
struct Part {
    /// With padding.
    size: u32,
    /// Those of a cgroup's containers are made of the same bytes; others have one label at most.
    labels: Vec<Label>,
}

/// Reads the parts of a key; none if there are mistakes, which are collected.
pub(super) fn read(keys: &Keys<'_>, machine: &Machine) -> Option<Key> {
    let nodes = keys.need("key")?.list();
    if let Some(beyond) = nodes.get(MAX_PARTS) {
        beyond.mistake("one part more", format!("at most {MAX_PARTS}"));
    }
    let parts: Vec<_> = nodes.iter().map(|node| part(node, machine)).collect();
    let mut key = Key { size: 0, labels: Vec::new() };
    for (part, node) in parts.into_iter().zip(&nodes) {
        let Part { size, labels } = part?;
        for label in labels {
            if key.labels.iter().any(|(_, other)| other.name == label.name) {
                node.mistake(format!("the label `{}` a second time", label.name), "each name once");
            }
            key.labels.push((key.size, label));
        }
        key.size += size;
    }
    Some(key)
}

fn part(node: &Node<'_>, machine: &Machine) -> Option<Part> {
    let keys = node.keys(&["cgroup", "name", "size", "padding", "decoders", "keep"]);
    if let Some(by) = keys.find("cgroup") {
        return cgroup(&keys, &by);
    }
    if keys.find("name").is_none() {
        return unlabelled(&keys);
    }
    let is_kept = keys.find("keep").map_or(Some(true), |node| node.boolean());
    let label = read_one(&keys, LabelsOf::Metric, machine)?;
    let size = label.size + label.padding;
    Some(Part { size, labels: if is_kept.unwrap_or(true) { vec![label] } else { Vec::new() } })
}

/// The id of a cgroup, labelled as an option says.
fn cgroup(keys: &Keys<'_>, by: &Node<'_>) -> Option<Part> {
    if let Some(other) = ["name", "size", "padding", "decoders", "keep"].into_iter().find_map(|key| keys.find(key)) {
        other.mistake("a key beside `cgroup`", "`cgroup` alone: its label and its size follow from it");
    }
    let labels = match by.text()?.as_str() {
        "off" => Vec::new(),
        "cgroup" => vec![Label::of_lookup("cgroup", Lookup::LiveCgroup)],
        "unit" => vec![Label::of_lookup("unit", Lookup::SystemdUnit)],
        "container" => vec![
            Label::of_lookup("namespace", Lookup::PodNamespace),
            Label::of_lookup("pod", Lookup::Pod),
            Label::of_lookup("container", Lookup::Container),
        ],
        other => {
            by.mistake(format!("`{other}`"), "off, cgroup, unit or container");
            return None;
        }
    };
    Some(Part { size: 8, labels })
}

/// Bytes that no label is made of.
fn unlabelled(keys: &Keys<'_>) -> Option<Part> {
    if let Some(other) = ["decoders", "keep"].into_iter().find_map(|key| keys.find(key)) {
        other.mistake("a part without a name", "a `name` for the label, or nothing but `size`");
    }
    let size = keys.need("size").and_then(|node| node.integer(1..=MAX_PART))?;
    let padding = keys.find("padding").map_or(Some(0), |node| node.integer(0..=MAX_PART))?;
    Some(Part { size: size + padding, labels: Vec::new() })
}
