//! The families that tables feed. Several tables may feed one family.

use ebhost_plugin::exported::bindings::exports::ebhost::plugin::decoder as wit;

use super::kind::Kind;
use super::{Feed, FeedValue, Table};
use crate::label::is_name;
use crate::node::{Keys, Node};

/// Nanoseconds in a second.
const NANOSECONDS: f64 = 1e9;

/// The families that were read so far.
#[derive(Default)]
pub(super) struct Families(Vec<wit::Family>);

/// One series that each entry of a table feeds, before the labels of the key are added.
struct Series {
    value: FeedValue,
    /// Labels with fixed values, sorted by name.
    fixed: Vec<(String, String)>,
}

impl Families {
    pub(super) fn finish(self) -> Vec<wit::Family> {
        self.0
    }

    /// Reads one family of a table; returns how the table feeds it. Mistakes are collected.
    pub(super) fn read(&mut self, node: &Node<'_>, kind: &Kind, table: &Table) -> Vec<Feed> {
        let keys = node.keys(known(kind));
        self.read_keys(&keys, kind, table).unwrap_or_default()
    }

    fn read_keys(&mut self, keys: &Keys<'_>, kind: &Kind, table: &Table) -> Option<Vec<Feed>> {
        let name = keys.text("name")?;
        if !is_name(&name) {
            let expected = "letters, digits and `_`, not beginning with a digit or `__`";
            keys.find("name")?.mistake(format!("`{name}`"), expected);
            return None;
        }
        let chosen = chosen(keys, table)?;
        let series = all_series(keys, kind, table)?;
        let fixed = series.first()?.fixed.iter().map(|(name, _)| name.clone());
        let labels: Vec<_> = chosen.iter().map(|column| table.labels[*column].1.name.clone()).chain(fixed).collect();
        if let Some(twice) = (1..labels.len()).find(|index| labels[..*index].contains(&labels[*index])) {
            keys.node().mistake(format!("the label `{}` a second time", labels[twice]), "each name once");
            return None;
        }
        let help = keys.find("help").map_or(Some(String::new()), |node| node.text())?;
        let family = self.add(keys, family(keys, kind, name, help, labels)?)?;
        let columns = |series: &Series| {
            let columns = chosen.iter().map(|column| wit::Label::Column(*column as u32));
            columns.chain(series.fixed.iter().map(|(_, value)| wit::Label::Fixed(value.clone()))).collect()
        };
        Some(series.iter().map(|series| Feed { family, labels: columns(series), value: series.value }).collect())
    }

    /// Adds a family, or finds the one that another table feeds; returns its index.
    fn add(&mut self, keys: &Keys<'_>, family: wit::Family) -> Option<usize> {
        let Some(index) = self.0.iter().position(|known| known.name == family.name) else {
            self.0.push(family);
            return Some(self.0.len() - 1);
        };
        let known = &mut self.0[index];
        let help = if known.help.is_empty() { family.help.clone() } else { known.help.clone() };
        let is_same_help = family.help.is_empty() || family.help == help;
        known.help.clone_from(&help);
        if !is_same_help || *known != (wit::Family { help, ..family }) {
            let expected = "the same labels, type, bounds, scale and help as where it stands first";
            keys.node().mistake(format!("the family `{}` again, with others", known.name), expected);
            return None;
        }
        Some(index)
    }
}

/// The keys that a family of such a table may have.
fn known(kind: &Kind) -> &'static [&'static str] {
    match kind {
        Kind::Histogram(histogram) if histogram.is_latency => &["name", "help", "labels", "fixed"],
        Kind::Histogram(_) => &["name", "help", "labels", "fixed", "unit", "times", "per"],
        Kind::Counts => &["name", "help", "labels", "fixed", "number", "series", "unit", "times", "per"],
        Kind::Plain => &["name", "help", "labels", "fixed", "number", "series", "unit", "times", "per", "type", "fold"],
    }
}

/// Which of the table's labels the family has, as indices.
fn chosen(keys: &Keys<'_>, table: &Table) -> Option<Vec<usize>> {
    let Some(list) = keys.find("labels") else { return Some((0..table.labels.len()).collect()) };
    let index = |node: &Node<'_>| {
        let name = node.text()?;
        let index = table.labels.iter().position(|(_, label)| label.name == name);
        if index.is_none() {
            let all: Vec<_> = table.labels.iter().map(|(_, label)| label.name.as_str()).collect();
            node.mistake(format!("`{name}`"), format!("one of the key's labels: {}", all.join(", ")));
        }
        index
    };
    list.list().iter().map(index).collect()
}

fn all_series(keys: &Keys<'_>, kind: &Kind, table: &Table) -> Option<Vec<Series>> {
    if let Kind::Histogram(histogram) = kind {
        return Some(vec![Series { value: histogram.value, fixed: fixed(keys)? }]);
    }
    let Some(list) = keys.find("series") else { return Some(vec![one_series(keys, table)?]) };
    if let Some(other) = ["number", "fixed"].into_iter().find_map(|key| keys.find(key)) {
        other.mistake("this beside `series`", "one of them");
    }
    let nodes = list.list();
    if nodes.is_empty() {
        list.mistake("no series", "one or more");
    }
    let all: Option<Vec<_>> = nodes.iter().map(|node| one_series(&node.keys(&["number", "fixed"]), table)).collect();
    let all = all?;
    let names = |series: &Series| series.fixed.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    for (index, node) in nodes.iter().enumerate().skip(1) {
        if names(&all[index]) != names(&all[0]) {
            node.mistake("other labels", "the labels that the first of these series has");
        } else if all[..index].iter().any(|other| other.fixed == all[index].fixed) {
            node.mistake("the labels of another series", "labels that tell them apart");
        }
    }
    Some(all)
}

fn one_series(keys: &Keys<'_>, table: &Table) -> Option<Series> {
    let number = keys.need("number").and_then(|node| node.integer(0..=table.values - 1));
    let fixed = fixed(keys);
    Some(Series { value: FeedValue::Number(number?), fixed: fixed? })
}

fn fixed(keys: &Keys<'_>) -> Option<Vec<(String, String)>> {
    let Some(node) = keys.find("fixed") else { return Some(Vec::new()) };
    let entry = |(name, value): &(&str, Node<'_>)| {
        if !is_name(name) {
            value.mistake(format!("the label `{name}`"), "letters, digits and `_`, not beginning with a digit or `__`");
            return None;
        }
        Some(((*name).to_owned(), value.text()?))
    };
    let mut fixed = node.entries().iter().map(entry).collect::<Option<Vec<_>>>()?;
    fixed.sort();
    Some(fixed)
}

fn family(keys: &Keys<'_>, kind: &Kind, name: String, help: String, labels: Vec<String>) -> Option<wit::Family> {
    let scale = |key: &str| match keys.find(key) {
        None => Some(1.0),
        Some(node) => {
            let number = node.number()?;
            if number <= 0.0 {
                node.mistake(format!("`{number}`"), "a number above 0");
            }
            (number > 0.0).then_some(number)
        }
    };
    let (times, per) = (scale("times"), scale("per"));
    let unit = keys.find("unit").map_or(Some(String::new()), |node| node.text());
    let (mut times, mut per, mut unit) = (times?, per?, unit?);
    let kind = match kind {
        Kind::Counts => wit::Kind::Counter,
        Kind::Plain => number_kind(keys)?,
        Kind::Histogram(histogram) if histogram.is_latency => {
            (times, per, unit) = (1.0, NANOSECONDS, "seconds".to_owned());
            wit::Kind::Histogram(histogram.bounds.clone())
        }
        Kind::Histogram(histogram) => {
            wit::Kind::Histogram(histogram.bounds.iter().map(|bound| bound * times / per).collect())
        }
    };
    Some(wit::Family { name, help, unit, labels, kind, times, per })
}

/// The type of a family of an ordinary map: a counter, or a gauge with its fold.
fn number_kind(keys: &Keys<'_>) -> Option<wit::Kind> {
    let kind = keys.find("type").map_or(Some("counter".to_owned()), |node| node.text())?;
    let fold = keys.find("fold");
    match (kind.as_str(), &fold) {
        ("counter", None) => Some(wit::Kind::Counter),
        ("counter", Some(node)) => {
            node.mistake("a `fold` of a counter", "one for a gauge only");
            None
        }
        ("gauge", fold) => match fold.as_ref().map_or(Some("sum".to_owned()), Node::text)?.as_str() {
            "sum" => Some(wit::Kind::Gauge(wit::Fold::Sum)),
            "min" => Some(wit::Kind::Gauge(wit::Fold::Min)),
            "max" => Some(wit::Kind::Gauge(wit::Fold::Max)),
            other => {
                fold.as_ref()?.mistake(format!("`{other}`"), "sum, min or max");
                None
            }
        },
        (other, _) => {
            keys.find("type")?.mistake(format!("`{other}`"), "counter or gauge");
            None
        }
    }
}
