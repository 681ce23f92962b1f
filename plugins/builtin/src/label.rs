//! The labels of a configuration: which bytes of the key, and which decoders turn them into text. Everything is checked here, so that
//! decoding a batch checks nothing.

use std::borrow::Cow;
use std::collections::HashMap;

use regex_lite::Regex;

use crate::code_names::CodeNames;
use crate::decoder::{Decoded, Decoder, Otherwise, Refused, Regexp};
use crate::lookup::{Found, Lookup};
use crate::machine::Machine;
use crate::node::{Keys, Node};

/// A label whose configuration has been checked.
pub(crate) struct Label {
    pub(crate) name: String,
    pub(crate) size: u32,
    pub(crate) padding: u32,
    chain: Chain,
    /// The names of its decoders, as configured.
    decoders: Vec<String>,
    /// Whether the host is asked for the PCI class, too, in which a subclass is.
    finds_class: bool,
}

/// The owner of labels, which decides the names that they may have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum LabelsOf {
    /// Prometheus' rules.
    Metric,
    /// Any name: they are attributes.
    Span,
}

/// The steps from bytes to text: a name that the host looks up, if any, then the decoders.
struct Chain {
    lookup: Option<Lookup>,
    steps: Vec<Decoder>,
}

/// The largest size of one label in a key, in bytes: enough for a path (`PATH_MAX`).
const MAX_SIZE: u32 = 4096;
const MAX_LABELS: usize = 32;
/// The decoders of ebpf_exporter.
const ALL: &str = "cgroup, dname, errno, hex, ifname, inet_ip, kstack, ksym, majorminor, pci_class, pci_device, pci_subclass, \
                   pci_vendor, regexp, static_map, string, syscall, uint";
/// Those that packages with a plugin.yaml have beside them.
const MORE: &str = "drop_reason, live_cgroup, systemd_unit";

fn all_decoders(machine: &Machine) -> String {
    if machine.is_ebpf_exporter { ALL.to_owned() } else { format!("{ALL}, {MORE}") }
}

/// Reads the labels of a metric or a span. Labels with mistakes are left out of the result; the mistakes are collected.
pub(crate) fn read(nodes: &[Node<'_>], owner: LabelsOf, machine: &Machine) -> Vec<Label> {
    if let Some(beyond) = nodes.get(MAX_LABELS) {
        beyond.mistake("one label more", format!("at most {MAX_LABELS}"));
    }
    let labels: Vec<_> = nodes.iter().filter_map(|node| label(node, owner, machine)).collect();
    for (index, label) in labels.iter().enumerate() {
        if labels[..index].iter().any(|other| other.name == label.name) {
            nodes[index].mistake(format!("the label `{}` a second time", label.name), "each name once");
        }
    }
    labels
}

fn label(node: &Node<'_>, owner: LabelsOf, machine: &Machine) -> Option<Label> {
    read_one(&node.keys(&["name", "size", "padding", "decoders"]), owner, machine)
}

/// Reads one label, whose keys were checked.
pub(crate) fn read_one(keys: &Keys<'_>, owner: LabelsOf, machine: &Machine) -> Option<Label> {
    let name = keys.text("name");
    if let Some(name) = name.as_ref().filter(|name| owner == LabelsOf::Metric && !is_name(name)) {
        let expected = "letters, digits and `_`, not beginning with a digit or `__`, not `le` or `quantile`";
        keys.find("name")?.mistake(format!("`{name}`"), expected);
    }
    let size = keys.need("size").and_then(|node| node.integer(1..=MAX_SIZE));
    let padding = keys.find("padding").map_or(Some(0), |node| node.integer(0..=MAX_SIZE));
    let decoders = keys.list("decoders");
    if decoders.is_empty() {
        keys.node().mistake("no decoders", format!("one or more of {}", all_decoders(machine)));
    }
    let written: Vec<_> = decoders.iter().map(name_of).collect();
    let (chain, size) = (chain(&decoders, &written, size, machine)?, size?);
    // Packages with a plugin.yaml have granted the subclasses alone. One byte has no room for a class.
    let finds_class = machine.is_ebpf_exporter && chain.lookup == Some(Lookup::PciSubclass) && size > 1;
    Some(Label { name: name?, size, padding: padding?, chain, decoders: written, finds_class })
}

pub(crate) fn is_name(name: &str) -> bool {
    let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let begins_well = !name.is_empty() && !name.starts_with("__") && !name.starts_with(|c: char| c.is_ascii_digit());
    is_plain && begins_well && !matches!(name, "le" | "quantile")
}

fn name_of(decoder: &Node<'_>) -> String {
    let keys = decoder.keys(&["name", "static_map", "regexps", "allow_unknown"]);
    keys.text("name").unwrap_or_default()
}

/// Reads the decoders of a label; none if there are mistakes, which are collected.
fn chain(decoders: &[Node<'_>], written: &[String], size: Option<u32>, machine: &Machine) -> Option<Chain> {
    let mut chain = Chain { lookup: None, steps: Vec::new() };
    let mut is_valid = true;
    for (index, node) in decoders.iter().enumerate() {
        let name = written[index].as_str();
        if let Some(lookup) = Lookup::named(name, machine) {
            let before: Vec<_> = written[..index].iter().map(String::as_str).collect();
            is_valid &= check_lookup(node, lookup, &before, size);
            chain.steps.clear(); // drops the `uint` before it: the host gets the number's bytes
            chain.lookup = Some(lookup);
            continue;
        }
        match decoder(node, name, machine) {
            Some(decoder) => {
                is_valid &= index > 0 || check_first(node, &decoder, size);
                chain.steps.push(decoder);
            }
            None => is_valid = false,
        }
    }
    is_valid.then_some(chain)
}

/// Checks that nothing but an expected `uint` comes before a lookup: the host looks names up by bytes of the key.
fn check_lookup(node: &Node<'_>, lookup: Lookup, before: &[&str], size: Option<u32>) -> bool {
    let name = lookup.name();
    let expected: &[&str] = if lookup.follows_uint() { &["uint"] } else { &[] };
    if before != expected {
        let found = match before {
            [] => format!("`{name}` at first"),
            _ => format!(
                "`{name}` after {}",
                before.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
            ),
        };
        let expected = match lookup.follows_uint() {
            true => format!("`uint` and then at once `{name}`: the host finds names for numbers of the key"),
            false => format!("`{name}` at first: the host finds names for bytes of the key"),
        };
        node.mistake(found, expected);
        return false;
    }
    let fits = size.is_none_or(|size| lookup.takes(size));
    if !fits {
        node.mistake(format!("`{name}` of {} bytes", size.unwrap_or_default()), lookup.sizes());
    }
    fits
}

/// Checks the first decoder against the label's size, for a combination that would refuse every row.
fn check_first(node: &Node<'_>, decoder: &Decoder, size: Option<u32>) -> bool {
    let (name, sizes, expected): (_, &[u32], _) = match decoder {
        Decoder::Uint => ("uint", &[1, 2, 4, 8], "a `size` of 1, 2, 4 or 8"),
        Decoder::InetIp => ("inet_ip", &[4, 16], "a `size` of 4 or 16"),
        Decoder::Errno(_) | Decoder::Syscall(_) => {
            node.mistake("a decoder of numbers as text at first", "`uint` before it");
            return false;
        }
        _ => return true,
    };
    let fits = size.is_none_or(|size| sizes.contains(&size));
    if !fits {
        node.mistake(format!("`{name}` of {} bytes", size.unwrap_or_default()), expected);
    }
    fits
}

fn decoder(node: &Node<'_>, name: &str, machine: &Machine) -> Option<Decoder> {
    let keys = node.keys(&["name", "static_map", "regexps", "allow_unknown"]);
    match name {
        "uint" => Some(Decoder::Uint),
        "string" => Some(Decoder::String),
        "hex" => Some(Decoder::Hex),
        "inet_ip" => Some(Decoder::InetIp),
        "dname" => Some(Decoder::Dname),
        "errno" => Some(Decoder::Errno(CodeNames::errno())),
        "syscall" => {
            let names = CodeNames::syscalls(&machine.architecture, machine.syscall_names);
            if names.is_none() {
                node.mistake(
                    format!("the architecture `{}`", machine.architecture),
                    "x86_64 or aarch64: only their calls are known",
                );
            }
            names.map(Decoder::Syscall)
        }
        "static_map" => static_map(&keys),
        "regexp" => regexps(&keys),
        "" => None, // reported when the name was read
        _ => {
            let node = keys.find("name").unwrap_or_else(|| node.clone());
            node.mistake(format!("the decoder `{name}`"), format!("one of {}", all_decoders(machine)));
            None
        }
    }
}

fn static_map(keys: &Keys<'_>) -> Option<Decoder> {
    let entries = keys.need("static_map")?.entries();
    let map = entries.iter().map(|(key, value)| Some((key.as_bytes().to_vec(), value.text_or_nothing()?)));
    let map: Option<HashMap<_, _>> = map.collect();
    let lax = keys.find("allow_unknown").map_or(Some(false), |node| node.boolean());
    let otherwise = if lax? { Otherwise::Unchanged } else { Otherwise::Unknown };
    Some(Decoder::StaticMap { map: map?, otherwise })
}

fn regexps(keys: &Keys<'_>) -> Option<Decoder> {
    let nodes = keys.need("regexps")?.list();
    if nodes.is_empty() {
        keys.node().mistake("no `regexps`", "one or more, or every row is left out");
    }
    let all: Vec<_> = nodes.iter().map(regexp).collect();
    let all: Option<Vec<_>> = all.into_iter().collect();
    all.filter(|all| !all.is_empty()).map(Decoder::Regexp)
}

fn regexp(node: &Node<'_>) -> Option<Regexp> {
    let pattern = node.text()?;
    let regex = Regex::new(&pattern).map_err(|error| {
        node.mistake(format!("`{pattern}`"), format!("a regular expression: {error}"));
    });
    let regex = regex.ok()?;
    let groups = regex.captures_len() - 1;
    if groups > 1 {
        node.mistake(format!("{groups} groups in `{pattern}`"), "one at most: try `(?:…)` for the others");
        return None;
    }
    Some(Regexp { regex, group: groups })
}

impl Label {
    /// A label of 8 bytes that is nothing but a looked-up name.
    pub(crate) fn of_lookup(name: &str, lookup: Lookup) -> Self {
        let chain = Chain { lookup: Some(lookup), steps: Vec::new() };
        let decoders = vec![lookup.name().to_owned()];
        Self { name: name.to_owned(), size: 8, padding: 0, chain, decoders, finds_class: false }
    }

    /// Whether it is the CPU number that ebpf_exporter appends to the key of a per-CPU map.
    pub(crate) fn is_cpu(&self) -> bool {
        self.name == "cpu" && self.size == 2 && self.padding == 0 && self.decoders == ["uint"]
    }

    /// Whether the label is just a number in decimal digits.
    pub(crate) fn is_number(&self) -> bool {
        self.chain.lookup.is_none() && matches!(self.chain.steps[..], [Decoder::Uint])
    }

    /// The parts of its bytes that are identity fields, each by offset and length: the label itself, and the PCI class in it.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (u32, u32)> {
        [(0, self.size)].into_iter().chain(self.finds_class.then_some((1, 1)))
    }

    /// The bytes of its fields.
    pub(crate) fn identity_bytes(&self) -> u32 {
        self.fields().map(|(_, length)| length).sum()
    }

    /// The tables in which the host looks its fields up, in their order.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &'static str> {
        let class = self.finds_class.then(|| Lookup::PciClass.table());
        let second = self.chain.lookup.and_then(Lookup::second_table).or(class);
        self.chain.lookup.map(Lookup::table).into_iter().chain(second)
    }

    /// The label's value, from its bytes and the names that the host found for them.
    pub(crate) fn decode<'a>(&self, bytes: &'a [u8], found: Found<'a>) -> Result<Cow<'a, str>, Refused> {
        let first = match self.chain.lookup {
            Some(lookup) => lookup.text(bytes, found)?,
            None => Cow::Borrowed(bytes),
        };
        let decoded: Decoded<'a> = self.chain.steps.iter().try_fold(first, |bytes, decoder| decoder.decode(bytes));
        // Any user can set a `comm` that is not UTF-8; the host counts the replacements.
        Ok(match decoded? {
            Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
            Cow::Owned(bytes) => Cow::Owned(match String::from_utf8(bytes) {
                Ok(text) => text,
                Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
            }),
        })
    }
}
