//! Metrics of a configuration, checked against the maps that they read.

use crate::bucket::{Form, Keys as BucketKeys};
use crate::label::{self, Label};
use crate::machine::{Kind, Machine, Map};
use crate::node::{Keys, Node};

/// A counter or a histogram.
pub(crate) struct Metric {
    pub(crate) name: String,
    /// The map that it reads; the peer's has the metric's name.
    pub(crate) source: String,
    pub(crate) help: String,
    pub(crate) map: Map,
    /// Without `cpu` of a per-CPU map and without the bucket.
    pub(crate) labels: Vec<Label>,
    pub(crate) by_cpu: bool,
    /// Of a histogram.
    pub(crate) buckets: Option<Buckets>,
}

impl Metric {
    /// Those of the key: the bucket is the last.
    pub(crate) fn all_labels(&self) -> impl Iterator<Item = &Label> {
        self.labels.iter().chain(self.buckets.as_ref().map(|buckets| &buckets.label))
    }

    /// A table without labels in its key, of which only key 0 is of the metric.
    pub(crate) fn takes_key_0(&self) -> bool {
        self.labels.is_empty() && self.buckets.is_none() && self.map.kind != Kind::Events
    }
}

/// How a histogram's entries are its buckets.
pub(crate) struct Buckets {
    /// The key's last label.
    pub(crate) label: Label,
    pub(crate) keys: BucketKeys,
    pub(crate) multiplier: f64,
}

/// As many as the host takes.
const MOST_BOUNDS: u32 = 512;
const MOST_EXPONENT: u32 = 63;

/// The metrics, as far as they can be read.
pub(crate) fn read(metrics: &Node<'_>, machine: &Machine) -> Vec<Metric> {
    let keys = metrics.keys(&["counters", "histograms"]);
    let (counters, histograms) = (keys.list("counters"), keys.list("histograms"));
    let mut all = Vec::new();
    let nodes: Vec<_> = counters.iter().chain(&histograms).collect();
    let read = counters.iter().map(|node| counter(node, machine));
    for (metric, node) in read.chain(histograms.iter().map(|node| histogram(node, machine))).zip(nodes) {
        let Some(metric): Option<Metric> = metric else { continue };
        if all.iter().any(|other: &Metric| other.name == metric.name) {
            node.wrong(format!("the metric `{}` a second time", metric.name), "each name once");
        }
        all.push(metric);
    }
    all
}

fn counter(node: &Node<'_>, machine: &Machine) -> Option<Metric> {
    let known = ["name", "help", "perf_event_array", "flush_interval", "labels", "map"];
    let keys = node.keys(known_to(machine, &known));
    let (name, help) = (name(&keys), help(&keys));
    let is_events = keys.find("perf_event_array").map_or(Some(false), |node| node.truth());
    // Nothing is flushed here; but what is said is to be right.
    if let Some(interval) = keys.find("flush_interval")
        && !interval.text().is_some_and(|text| is_duration(&text))
    {
        interval.wrong("that", "a time such as `1h` or `30s`");
    }
    let nodes = keys.list("labels");
    let mut labels = label::read(&nodes, &machine.architecture);
    let are_whole = labels.len() == nodes.len();
    let (source, map) = of_map(&keys, name.as_ref()?, machine, is_events?)?;
    let by_cpu = map.kind == Kind::PerCpuTable && labels.last().is_some_and(Label::is_cpu);
    if by_cpu {
        labels.pop();
    }
    if are_whole {
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
    let mut labels = label::read(&nodes, &machine.architecture);
    let are_whole = labels.len() == nodes.len();
    if nodes.is_empty() {
        keys.place().wrong("no labels", "one at least: the last one is the bucket");
    }
    let (source, map) = of_map(&keys, name.as_ref()?, machine, false)?;
    let label = labels.pop()?;
    if are_whole {
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
        keys.find("name")?.wrong(format!("`{name}`"), expected);
        return None;
    }
    Some(name)
}

fn help(keys: &Keys<'_>) -> Option<String> {
    keys.find("help").map_or(Some(String::new()), |node| node.text())
}

/// All but `map`, the last, for the peer's files, whose metrics have the names of their maps.
fn known_to<'k>(machine: &Machine, known: &'k [&'k str]) -> &'k [&'k str] {
    if machine.is_peers { &known[..known.len() - 1] } else { known }
}

/// The map, which has to be of the kind that the metric reads.
fn of_map(keys: &Keys<'_>, name: &str, machine: &Machine, is_events: bool) -> Option<(String, Map)> {
    let (place, name) = match keys.find("map") {
        Some(place) => (place.clone(), place.text()?),
        None => (keys.find("name")?, name.to_owned()),
    };
    let Some(map) = machine.maps.get(&name).copied() else {
        let all: Vec<_> = machine.maps.keys().map(String::as_str).collect();
        let all = if all.is_empty() { "but the object has none".into() } else { all.join(", ") };
        place.wrong(format!("no map `{name}` in the BPF object"), format!("the name of one of its maps: {all}"));
        return None;
    };
    let expected = match (is_events, map.kind) {
        (false, Kind::Events) => Some("`perf_event_array: true`, for the map holds events"),
        (true, Kind::Table | Kind::PerCpuTable) => Some("no `perf_event_array`, for the map is a table"),
        (false, _) if map.value_size != 8 => Some("a map with values of 8 bytes, `u64`"),
        _ => None,
    };
    let Some(expected) = expected else { return Some((name, map)) };
    let found = match map.kind {
        Kind::Events => "an array of perf events".into(),
        Kind::Table | Kind::PerCpuTable => format!("a table with values of {} bytes", map.value_size),
    };
    place.wrong(found, expected);
    None
}

/// Sizes and paddings are the key's.
fn check_size(keys: &Keys<'_>, labels: &[Label], last: Option<&Label>, map: &Map) {
    let size: u32 = labels.iter().chain(last).map(|label| label.size + label.padding).sum();
    let is_right = match map.kind {
        Kind::Events => true,
        // Without labels only key 0 is of the metric, whatever its size.
        Kind::Table | Kind::PerCpuTable => size == map.key_size || size == 0,
    };
    if !is_right {
        let place = keys.find("labels").unwrap_or_else(|| keys.place().clone());
        place.wrong(format!("{size} bytes of sizes and paddings"), format!("{}, as the map's key has", map.key_size));
    }
}

fn multiplier(keys: &Keys<'_>) -> Option<f64> {
    let Some(node) = keys.find("bucket_multiplier") else { return Some(1.0) };
    match node.number()? {
        0.0 => Some(1.0),
        number if number > 0.0 => Some(number),
        number => {
            node.wrong(format!("`{number}`"), "a number above 0");
            None
        }
    }
}

fn bucket_keys(keys: &Keys<'_>) -> Option<BucketKeys> {
    let place = keys.need("bucket_type")?;
    let (form, most) = match place.text()?.as_str() {
        "exp2" => (Form::Exp2, MOST_EXPONENT),
        "exp2zero" => (Form::Exp2Zero, MOST_EXPONENT + 1),
        "linear" => (Form::Linear, u32::MAX - 2),
        "fixed" => return fixed(keys),
        other => {
            place.wrong(format!("`{other}`"), "exp2, exp2zero, linear or fixed");
            return None;
        }
    };
    let first = keys.find("bucket_min").map_or(Some(0), |node| node.whole(0, most))?;
    let node = keys.need("bucket_max")?;
    let last = node.whole(0, most)?;
    if last < first || last - first >= MOST_BOUNDS {
        node.wrong(format!("{first} to {last}"), format!("from `bucket_min` up to {MOST_BOUNDS} buckets"));
        return None;
    }
    Some(BucketKeys::Range { first, last, form })
}

fn fixed(keys: &Keys<'_>) -> Option<BucketKeys> {
    let node = keys.need("bucket_keys")?;
    let numbers: Option<Vec<_>> = node.list().iter().map(Node::number).collect();
    let numbers = numbers?;
    if numbers.is_empty() || numbers.len() > MOST_BOUNDS as usize {
        node.wrong(format!("{} keys", numbers.len()), format!("1 to {MOST_BOUNDS}"));
        return None;
    }
    if let Some(pair) = numbers.windows(2).find(|pair| pair[0] >= pair[1]) {
        node.wrong(format!("{} after {}", pair[1], pair[0]), "ascending keys");
        return None;
    }
    Some(BucketKeys::Fixed(numbers))
}

/// A multiplier can make bounds of keys that are good in themselves infinite, or equal.
fn check_bounds(keys: &Keys<'_>, buckets: &Buckets) {
    let bounds = buckets.keys.bounds(buckets.multiplier);
    let is_good = bounds.iter().all(|bound| bound.is_finite()) && bounds.windows(2).all(|pair| pair[0] < pair[1]);
    if !is_good && let Some(node) = keys.find("bucket_multiplier") {
        node.wrong("bounds that do not ascend", "a multiplier that keeps them apart and finite");
    }
}

/// As Go writes them: `1h`, `1h30m`, `2.5s`.
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
