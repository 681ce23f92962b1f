//! Kinds of tables: what the values of an entry mean.

use ebhost_plugin::exported::banks::{LATENCY_SLOTS, NATIVE_SLOTS};
use ebhost_plugin::{exp2, linear};

use super::FeedValue;
use crate::node::{Keys, Node};

/// Keys of every table.
const COMMON: [&str; 4] = ["table", "kind", "key", "families"];
const ALL: &str = "counts, latencies, native_latencies, durations, powers_of_two, linear, histogram or plain";
/// The host's limit for the bounds of a histogram.
const MAX_BOUNDS: u32 = 512;
const MAX_EXPONENT: u32 = 63;

/// The meaning of a table's values.
pub(super) enum Kind {
    /// `COUNTS`: numbers that only grow.
    Counts,
    /// Numbers in an ordinary map, or counts of perf events.
    Plain,
    /// A histogram of counts.h.
    Histogram(Histogram),
}

/// The values of a histogram.
pub(super) struct Histogram {
    /// The upper bounds, in the unit of the observations or, if `is_latency`, in seconds.
    pub(super) bounds: Vec<f64>,
    pub(super) value: FeedValue,
    /// Slots beside the sum.
    pub(super) slots: u32,
    /// Whether observations are nanoseconds that are exposed in seconds.
    pub(super) is_latency: bool,
    /// Appended to the name of the table: its map is one of two.
    pub(super) suffix: &'static str,
}

/// Reads a kind from the keys of its table.
type ReadKind = fn(&Keys<'_>) -> Option<Kind>;

/// The keys of a table, checked for its kind, and the kind. None if there are mistakes, which are collected.
pub(super) fn read<'a>(node: &Node<'a>) -> Option<(Keys<'a>, Kind)> {
    let all = node.keys_and_others(&COMMON);
    let kind = all.need("kind")?;
    let (more, read): (&[&str], ReadKind) = match kind.text()?.as_str() {
        "counts" => (&[], |_| Some(Kind::Counts)),
        "plain" => (&[], |_| Some(Kind::Plain)),
        "latencies" => (&[], |_| Some(Kind::Histogram(classic()))),
        "native_latencies" => (&[], |_| Some(Kind::Histogram(native("")))),
        "durations" => (&["histograms"], durations),
        "powers_of_two" => (&["first", "last"], powers_of_two),
        "linear" => (&["first", "step", "bounds"], linear_steps),
        "histogram" => (&["bounds"], listed),
        other => {
            kind.mistake(format!("`{other}`"), ALL);
            return None;
        }
    };
    let keys = node.keys(&[&COMMON[..], more].concat());
    let kind = read(&keys)?;
    Some((keys, kind))
}

fn classic() -> Histogram {
    let bounds = exp2(0..=27).per(1e6).into_vec();
    Histogram { bounds, value: FeedValue::Slots, slots: LATENCY_SLOTS, is_latency: true, suffix: "" }
}

fn native(suffix: &'static str) -> Histogram {
    let (bounds, slots) = (exp2(-20..=7).into_vec(), NATIVE_SLOTS);
    Histogram { bounds, value: FeedValue::NativeSlots, slots, is_latency: true, suffix }
}

fn other(bounds: Vec<f64>) -> Kind {
    let slots = bounds.len() as u32 + 1;
    Kind::Histogram(Histogram { bounds, value: FeedValue::Slots, slots, is_latency: false, suffix: "" })
}

/// `DURATIONS` of durations.h: two tables, of which an option fills one.
fn durations(keys: &Keys<'_>) -> Option<Kind> {
    let node = keys.need("histograms")?;
    match node.text()?.as_str() {
        "classic" => Some(Kind::Histogram(classic())),
        "native" => Some(Kind::Histogram(native("_n"))),
        other => {
            node.mistake(format!("`{other}`"), "classic or native");
            None
        }
    }
}

fn powers_of_two(keys: &Keys<'_>) -> Option<Kind> {
    let first = keys.need("first").and_then(|node| node.integer(0..=MAX_EXPONENT));
    let node = keys.need("last")?;
    let (first, last) = (first?, node.integer(0..=MAX_EXPONENT)?);
    if last < first {
        node.mistake(format!("{last}"), format!("{first}, which is `first`, or more"));
        return None;
    }
    Some(other(exp2(first as i32..=last as i32).into_vec()))
}

fn linear_steps(keys: &Keys<'_>) -> Option<Kind> {
    let first = keys.need("first").and_then(|node| node.integer(0..=u32::MAX));
    let step = keys.need("step").and_then(|node| node.integer(1..=u32::MAX));
    let bounds = keys.need("bounds").and_then(|node| node.integer(1..=MAX_BOUNDS));
    Some(other(linear(first?, step?, bounds?).into_vec()))
}

fn listed(keys: &Keys<'_>) -> Option<Kind> {
    let node = keys.need("bounds")?;
    let bounds: Option<Vec<_>> = node.list().iter().map(Node::number).collect();
    let bounds = bounds?;
    if bounds.is_empty() || bounds.len() > MAX_BOUNDS as usize {
        node.mistake(format!("{} bounds", bounds.len()), format!("1 to {MAX_BOUNDS}"));
        return None;
    }
    if let Some(pair) = bounds.windows(2).find(|pair| pair[0] >= pair[1]) {
        node.mistake(format!("{} after {}", pair[1], pair[0]), "ascending bounds");
        return None;
    }
    Some(other(bounds))
}
