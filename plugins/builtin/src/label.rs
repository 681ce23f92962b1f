//! Labels of a configuration: which bytes, and which decoders take them to text. Checked whole, so that a batch checks nothing.

use std::borrow::Cow;
use std::collections::HashMap;

use regex_lite::Regex;

use crate::decoder::{Decoded, Decoder, Otherwise, Refused, Regexp};
use crate::lookup::Lookup;
use crate::names::Names;
use crate::node::{Keys, Node};

/// One label, checked.
pub(crate) struct Label {
    pub(crate) name: String,
    pub(crate) size: u32,
    pub(crate) padding: u32,
    chain: Chain,
    /// Its decoders as they were written.
    decoders: Vec<String>,
}

/// The way from bytes to text: a name that the host finds, if any, then decoders.
struct Chain {
    lookup: Option<Lookup>,
    steps: Vec<Decoder>,
}

/// Bytes of a key that one label may take; `string` labels of a path are as long as this.
const MOST_SIZE: u32 = 4096;
const MOST_LABELS: usize = 32;
const ALL: &str = "cgroup, dname, errno, hex, ifname, inet_ip, kstack, ksym, majorminor, pci_class, pci_device, pci_subclass, \
                   pci_vendor, regexp, static_map, string, syscall, uint";

/// The labels of a metric, as far as they can be read.
pub(crate) fn read(nodes: &[Node<'_>], architecture: &str) -> Vec<Label> {
    if let Some(beyond) = nodes.get(MOST_LABELS) {
        beyond.wrong("one label more", format!("at most {MOST_LABELS}"));
    }
    let labels: Vec<_> = nodes.iter().filter_map(|node| label(node, architecture)).collect();
    for (index, label) in labels.iter().enumerate() {
        if labels[..index].iter().any(|other| other.name == label.name) {
            nodes[index].wrong(format!("the label `{}` a second time", label.name), "each name once");
        }
    }
    labels
}

fn label(node: &Node<'_>, architecture: &str) -> Option<Label> {
    let keys = node.keys(&["name", "size", "padding", "decoders"]);
    let name = keys.text("name");
    if let Some(name) = name.as_ref().filter(|name| !is_name(name)) {
        let expected = "letters, digits and `_`, not beginning with a digit or `__`, not `le` or `quantile`";
        keys.find("name")?.wrong(format!("`{name}`"), expected);
    }
    let size = keys.need("size").and_then(|node| node.whole(1, MOST_SIZE));
    let padding = keys.find("padding").map_or(Some(0), |node| node.whole(0, MOST_SIZE));
    let decoders = keys.list("decoders");
    if decoders.is_empty() {
        keys.place().wrong("no decoders", format!("one or more of {ALL}"));
    }
    let written: Vec<_> = decoders.iter().map(name_of).collect();
    let chain = chain(&decoders, &written, size, architecture);
    Some(Label { name: name?, size: size?, padding: padding?, chain: chain?, decoders: written })
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

/// None: there are mistakes, which are noted.
fn chain(decoders: &[Node<'_>], written: &[String], size: Option<u32>, architecture: &str) -> Option<Chain> {
    let mut chain = Chain { lookup: None, steps: Vec::new() };
    let mut is_whole = true;
    for (index, node) in decoders.iter().enumerate() {
        let name = written[index].as_str();
        if let Some(lookup) = Lookup::named(name) {
            let before: Vec<_> = written[..index].iter().map(String::as_str).collect();
            is_whole &= check_lookup(node, lookup, &before, size);
            chain.steps.clear(); // the `uint` before it: the host reads the number itself
            chain.lookup = Some(lookup);
            continue;
        }
        match decoder(node, name, architecture) {
            Some(decoder) => {
                is_whole &= index > 0 || check_first(node, &decoder, size);
                chain.steps.push(decoder);
            }
            None => is_whole = false,
        }
    }
    is_whole.then_some(chain)
}

/// Names are looked up for bytes of the key, before anything else has changed them.
fn check_lookup(node: &Node<'_>, lookup: Lookup, before: &[&str], size: Option<u32>) -> bool {
    let name = lookup.name();
    let expected: &[&str] = if lookup.takes_text() { &["uint"] } else { &[] };
    if before != expected {
        let found = match before {
            [] => format!("`{name}` at first"),
            _ => format!(
                "`{name}` after {}",
                before.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
            ),
        };
        let expected = match lookup.takes_text() {
            true => format!("`uint` and then at once `{name}`: the host finds names for numbers of the key"),
            false => format!("`{name}` at first: the host finds names for bytes of the key"),
        };
        node.wrong(found, expected);
        return false;
    }
    let fits = size.is_none_or(|size| lookup.takes(size));
    if !fits {
        node.wrong(format!("`{name}` of {} bytes", size.unwrap_or_default()), lookup.sizes());
    }
    fits
}

/// What would refuse every row.
fn check_first(node: &Node<'_>, decoder: &Decoder, size: Option<u32>) -> bool {
    let (name, sizes, expected): (_, &[u32], _) = match decoder {
        Decoder::Uint => ("uint", &[1, 2, 4, 8], "a `size` of 1, 2, 4 or 8"),
        Decoder::InetIp => ("inet_ip", &[4, 16], "a `size` of 4 or 16"),
        Decoder::Errno(_) | Decoder::Syscall(_) => {
            node.wrong("a decoder of numbers as text at first", "`uint` before it");
            return false;
        }
        _ => return true,
    };
    let fits = size.is_none_or(|size| sizes.contains(&size));
    if !fits {
        node.wrong(format!("`{name}` of {} bytes", size.unwrap_or_default()), expected);
    }
    fits
}

fn decoder(node: &Node<'_>, name: &str, architecture: &str) -> Option<Decoder> {
    let keys = node.keys(&["name", "static_map", "regexps", "allow_unknown"]);
    match name {
        "uint" => Some(Decoder::Uint),
        "string" => Some(Decoder::String),
        "hex" => Some(Decoder::Hex),
        "inet_ip" => Some(Decoder::InetIp),
        "dname" => Some(Decoder::Dname),
        "errno" => Some(Decoder::Errno(Names::errno())),
        "syscall" => {
            let names = Names::syscalls(architecture);
            if names.is_none() {
                node.wrong(
                    format!("the architecture `{architecture}`"),
                    "x86_64 or aarch64: only their calls are known",
                );
            }
            names.map(Decoder::Syscall)
        }
        "static_map" => static_map(&keys),
        "regexp" => regexps(&keys),
        "" => None, // noted already
        _ => {
            let place = keys.find("name").unwrap_or_else(|| node.clone());
            place.wrong(format!("the decoder `{name}`"), format!("one of {ALL}"));
            None
        }
    }
}

fn static_map(keys: &Keys<'_>) -> Option<Decoder> {
    let entries = keys.need("static_map")?.entries();
    let map = entries.iter().map(|(key, value)| Some((key.as_bytes().to_vec(), value.text()?)));
    let map: Option<HashMap<_, _>> = map.collect();
    let lax = keys.find("allow_unknown").map_or(Some(false), |node| node.truth());
    let otherwise = if lax? { Otherwise::PassOn } else { Otherwise::SayUnknown };
    Some(Decoder::StaticMap { map: map?, otherwise })
}

fn regexps(keys: &Keys<'_>) -> Option<Decoder> {
    let nodes = keys.need("regexps")?.list();
    if nodes.is_empty() {
        keys.place().wrong("no `regexps`", "one or more, or every row is left out");
    }
    let all: Vec<_> = nodes.iter().map(regexp).collect();
    let all: Option<Vec<_>> = all.into_iter().collect();
    all.filter(|all| !all.is_empty()).map(Decoder::Regexp)
}

fn regexp(node: &Node<'_>) -> Option<Regexp> {
    let pattern = node.text()?;
    let regex = Regex::new(&pattern).map_err(|error| {
        node.wrong(format!("`{pattern}`"), format!("a regular expression: {error}"));
    });
    let regex = regex.ok()?;
    let groups = regex.captures_len() - 1;
    if groups > 1 {
        node.wrong(format!("{groups} groups in `{pattern}`"), "one at most: try `(?:…)` for the others");
        return None;
    }
    Some(Regexp { regex, group: groups })
}

impl Label {
    /// Whether it is the number of a CPU as the peer lays it behind a per-CPU map's key.
    pub(crate) fn is_cpu(&self) -> bool {
        self.name == "cpu" && self.size == 2 && self.padding == 0 && self.decoders == ["uint"]
    }

    /// Whether its bytes are a number, which is printed.
    pub(crate) fn is_number(&self) -> bool {
        self.chain.lookup.is_none() && matches!(self.chain.steps[..], [Decoder::Uint])
    }

    pub(crate) fn lookup(&self) -> Option<Lookup> {
        self.chain.lookup
    }

    /// The label's value, of its bytes and the name that the host found for them.
    pub(crate) fn decode<'a>(&self, bytes: &'a [u8], found: Option<&'a str>) -> Result<Cow<'a, str>, Refused> {
        let first = match self.chain.lookup {
            Some(lookup) => lookup.text(bytes, found),
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
