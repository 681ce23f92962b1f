//! The metrics of a configuration, checked against the maps that they read.

use crate::bucket::{BucketKeys, Form};
use crate::label::{self, Label, LabelsOf};
use crate::machine::{Kind, Machine, Map};
use crate::node::{Keys, Node};

/// A counter or a histogram.
pub(crate) struct Metric {
    pub(crate) name: String,
    /// The name of the map that it reads; in files of ebpf_exporter, the metric's name.
    pub(crate) source: String,
    pub(crate) help: String,
    pub(crate) map: Map,
    /// The labels without the CPU of a per-CPU map and without the bucket.
    pub(crate) labels: Vec<Label>,
    /// Whether the last label is the CPU of a per-CPU map.
    pub(crate) by_cpu: bool,
    /// The buckets, if it is a histogram.
    pub(crate) buckets: Option<Buckets>,
}

impl Metric {
    /// The labels whose bytes are in the key; the bucket is the last one.
    pub(crate) fn all_labels(&self) -> impl Iterator<Item = &Label> {
        self.labels.iter().chain(self.buckets.as_ref().map(|buckets| &buckets.label))
    }

    /// Whether the metric is the one number at key 0: a table, and no labels in its key.
    pub(crate) fn reads_only_key_0(&self) -> bool {
        self.labels.is_empty() && self.buckets.is_none() && self.map.kind != Kind::Events
    }
}

/// How the key of a histogram's entry says which bucket the entry is.
pub(crate) struct Buckets {
    /// The last label of the key.
    pub(crate) label: Label,
    pub(crate) keys: BucketKeys,
    pub(crate) multiplier: f64,
}

/// The host's limit for the bounds of a histogram.
const MAX_BOUNDS: u32 = 512;
/// 2^63 is the largest power of two in a `u64`.
const MAX_EXPONENT: u32 = 63;

/// Reads the metrics. Metrics with mistakes are left out of the result; the mistakes are collected.
pub(crate) fn read(metrics: &Node<'_>, machine: &Machine) -> Vec<Metric> {
    let keys = metrics.keys(&["counters", "histograms"]);
    let (counters, histograms) = (keys.list("counters"), keys.list("histograms"));
    let mut all = Vec::new();
    let nodes: Vec<_> = counters.iter().chain(&histograms).collect();
    let read = counters.iter().map(|node| counter(node, machine));
    for (metric, node) in read.chain(histograms.iter().map(|node| histogram(node, machine))).zip(nodes) {
        let Some(metric): Option<Metric> = metric else { continue };
        if all.iter().any(|other: &Metric| other.name == metric.name) {
            node.mistake(format!("the metric `{}` a second time", metric.name), "each name once");
        }
        all.push(metric);
    }
    all
}

fn counter(node: &Node<'_>, machine: &Machine) -> Option<Metric> {
    let known = ["name", "help", "perf_event_array", "flush_interval", "labels", "map"];
    let keys = node.keys(known_to(machine, &known));
    let (name, help) = (name(&keys), help(&keys));
    let is_events = keys.find("perf_event_array").map_or(Some(false), |node| node.boolean());
    // ebhost does not flush counts; the value is checked all the same.
    if let Some(interval) = keys.find("flush_interval")
        && !interval.text().is_some_and(|text| is_duration(&text))
    {
        interval.mistake("that", "a time such as `1h` or `30s`");
    }
    let nodes = keys.list("labels");
    let mut labels = label::read(&nodes, LabelsOf::Metric, machine);
    let are_valid = labels.len() == nodes.len();
    let (source, map) = source(&keys, name.as_ref()?, machine, is_events?)?;
    let by_cpu = map.kind == Kind::PerCpuTable && labels.last().is_some_and(Label::is_cpu);
    if by_cpu {
        labels.pop();
    }
    if are_valid {
        check_size(&keys, &labels, None, &map);
    }
    Some(Metric { name: name?, source, help: help?, map, labels, by_cpu, buckets: None })
}

fn histogram(node: &Node<'_>, machine: &Machine) -> Option<Metric> {
    let known = [
        "name",
        "help",
        "bucket_type",
        "bucket_multiplier",
        "bucket_min",
        "bucket_max",
        "bucket_keys",
        "labels",
        "map",
    ];
    let keys = node.keys(known_to(machine, &known));
    let (name, help) = (name(&keys), help(&keys));
    let bucket_keys = bucket_keys(&keys);
    let multiplier = multiplier(&keys);
    let nodes = keys.list("labels");
    let mut labels = label::read(&nodes, LabelsOf::Metric, machine);
    let are_valid = labels.len() == nodes.len();
    if nodes.is_empty() {
        keys.node().mistake("no labels", "one at least: the last one is the bucket");
    }
    let (source, map) = source(&keys, name.as_ref()?, machine, false)?;
    let label = labels.pop()?;
    if are_valid {
        check_size(&keys, &labels, Some(&label), &map);
    }
    let buckets = Buckets { label, keys: bucket_keys?, multiplier: multiplier? };
    check_bounds(&keys, &buckets);
    Some(Metric { name: name?, source, help: help?, map, labels, by_cpu: false, buckets: Some(buckets) })
}

fn name(keys: &Keys<'_>) -> Option<String> {
    let name = keys.text("name")?;
    if !label::is_name(&name) {
        let expected = "letters, digits and `_`, not beginning with a digit or `__`";
        keys.find("name")?.mistake(format!("`{name}`"), expected);
        return None;
    }
    Some(name)
}

fn help(keys: &Keys<'_>) -> Option<String> {
    keys.find("help").map_or(Some(String::new()), |node| node.text())
}

/// The keys that a metric may have. In files of ebpf_exporter there is no `map`, the last of `known`: a metric has the name of its map.
fn known_to<'k>(machine: &Machine, known: &'k [&'k str]) -> &'k [&'k str] {
    if machine.is_ebpf_exporter { &known[..known.len() - 1] } else { known }
}

/// The metric's map and its name. None, with a mistake, unless it is a map of the kind that the metric reads.
fn source(keys: &Keys<'_>, name: &str, machine: &Machine, is_events: bool) -> Option<(String, Map)> {
    let (node, name) = match keys.find("map") {
        Some(node) => (node.clone(), node.text()?),
        None => (keys.find("name")?, name.to_owned()),
    };
    let Some(map) = machine.maps.get(&name).copied() else {
        let all: Vec<_> = machine.maps.keys().map(String::as_str).collect();
        let all = if all.is_empty() { "but the object has none".into() } else { all.join(", ") };
        node.mistake(format!("no map `{name}` in the BPF object"), format!("the name of one of its maps: {all}"));
        return None;
    };
    let expected = match (is_events, map.kind) {
        (false, Kind::Events) => Some("`perf_event_array: true`, because the map holds events"),
        (true, Kind::Table | Kind::PerCpuTable) => Some("no `perf_event_array`, because the map is a table"),
        (false, _) if map.value_size != 8 => Some("a map with values of 8 bytes, `u64`"),
        _ => None,
    };
    let Some(expected) = expected else { return Some((name, map)) };
    let found = match map.kind {
        Kind::Events => "an array of perf events".into(),
        Kind::Table | Kind::PerCpuTable => format!("a table with values of {} bytes", map.value_size),
    };
    node.mistake(found, expected);
    None
}

/// Checks that the sizes and paddings of the labels add up to the size of the map's key.
fn check_size(keys: &Keys<'_>, labels: &[Label], last: Option<&Label>, map: &Map) {
    let size: u32 = labels.iter().chain(last).map(|label| label.size + label.padding).sum();
    let is_right = match map.kind {
        Kind::Events => true,
        // A metric without labels reads key 0, whatever the size of the key.
        Kind::Table | Kind::PerCpuTable => size == map.key_size || size == 0,
    };
    if !is_right {
        let node = keys.find("labels").unwrap_or_else(|| keys.node().clone());
        node.mistake(format!("{size} bytes of sizes and paddings"), format!("{}, as the map's key has", map.key_size));
    }
}

fn multiplier(keys: &Keys<'_>) -> Option<f64> {
    let Some(node) = keys.find("bucket_multiplier") else { return Some(1.0) };
    match node.number()? {
        0.0 => Some(1.0),
        number if number > 0.0 => Some(number),
        number => {
            node.mistake(format!("`{number}`"), "a number above 0");
            None
        }
    }
}

fn bucket_keys(keys: &Keys<'_>) -> Option<BucketKeys> {
    let kind = keys.need("bucket_type")?;
    let (form, max) = match kind.text()?.as_str() {
        "exp2" => (Form::Exp2, MAX_EXPONENT),
        "exp2zero" => (Form::Exp2Zero, MAX_EXPONENT + 1),
        "linear" => (Form::Linear, u32::MAX - 2),
        "fixed" => return fixed(keys),
        other => {
            kind.mistake(format!("`{other}`"), "exp2, exp2zero, linear or fixed");
            return None;
        }
    };
    let first = keys.find("bucket_min").map_or(Some(0), |node| node.integer(0..=max))?;
    let node = keys.need("bucket_max")?;
    let last = node.integer(0..=max)?;
    if last < first || last - first >= MAX_BOUNDS {
        node.mistake(format!("{first} to {last}"), format!("from `bucket_min` up to {MAX_BOUNDS} buckets"));
        return None;
    }
    Some(BucketKeys::Range { first, last, form })
}

fn fixed(keys: &Keys<'_>) -> Option<BucketKeys> {
    let node = keys.need("bucket_keys")?;
    let numbers: Option<Vec<_>> = node.list().iter().map(Node::number).collect();
    let numbers = numbers?;
    if numbers.is_empty() || numbers.len() > MAX_BOUNDS as usize {
        node.mistake(format!("{} keys", numbers.len()), format!("1 to {MAX_BOUNDS}"));
        return None;
    }
    if let Some(pair) = numbers.windows(2).find(|pair| pair[0] >= pair[1]) {
        node.mistake(format!("{} after {}", pair[1], pair[0]), "ascending keys");
        return None;
    }
    Some(BucketKeys::Fixed(numbers))
}

/// Checks the multiplied bounds: a multiplier can make the bounds of valid keys infinite or equal.
fn check_bounds(keys: &Keys<'_>, buckets: &Buckets) {
    let bounds = buckets.keys.bounds(buckets.multiplier);
    let is_good = bounds.iter().all(|bound| bound.is_finite()) && bounds.windows(2).all(|pair| pair[0] < pair[1]);
    if !is_good && let Some(node) = keys.find("bucket_multiplier") {
        node.mistake("bounds that do not ascend", "a multiplier that keeps them apart and finite");
    }
}

/// Whether this is a duration in Go's notation: `1h`, `1h30m`, `2.5s`.
fn is_duration(text: &str) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        let number = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
        let after = &rest[number..];
        let unit = ["ns", "us", "µs", "ms", "s", "m", "h"]
            .into_iter()
            .find(|unit| after.strip_prefix(unit).is_some_and(|next| !next.starts_with(|c: char| c.is_alphabetic())));
        match (rest[..number].parse::<f64>(), unit) {
            (Ok(_), Some(unit)) => rest = &after[unit.len()..],
            _ => return text == "0",
        }
    }
    !text.is_empty()
}

#[cfg(test)]
mod tests {
    use super::is_duration;

    #[test]
    fn durations_as_go_writes_them() {
        for text in ["1h", "30s", "1h30m", "2.5s", "100ms", "0", "5µs"] {
            assert!(is_duration(text), "{text}");
        }
        for text in ["", "1", "h", "1d", "1h3", "-1s", "1 h", "soon"] {
            assert!(!is_duration(text), "{text}");
        }
    }
}
