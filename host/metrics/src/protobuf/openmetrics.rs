//! Families from OpenMetrics text that `prometheus-client` wrote: counters, gauges and infos, one line a series.
//!
//! Its own protobuf is that of OpenMetrics, another schema, which no Prometheus reads.

use std::io;

use super::{Messages, Type};

struct Heading<'t> {
    name: &'t str,
    help: &'t str,
    kind: &'t str,
    unit: &'t str,
}

pub(super) fn families(messages: &mut Messages<'_>, text: &str) -> io::Result<()> {
    let mut heading = Heading { name: "", help: "", kind: "", unit: "" };
    let mut samples: Vec<&str> = Vec::new();
    for line in text.lines() {
        let Some(metadata) = line.strip_prefix("# ") else {
            samples.push(line);
            continue;
        };
        let mut words = metadata.splitn(3, ' ');
        let (word, name, rest) =
            (words.next().unwrap_or_default(), words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if name != heading.name {
            family(messages, &heading, &samples)?;
            samples.clear();
            heading = Heading { name, help: "", kind: "", unit: "" };
        }
        match word {
            "HELP" => heading.help = rest,
            "TYPE" => heading.kind = rest,
            "UNIT" => heading.unit = rest,
            _ => {} // EOF
        }
    }
    family(messages, &heading, &samples)
}

fn family(messages: &mut Messages<'_>, heading: &Heading<'_>, samples: &[&str]) -> io::Result<()> {
    let (kind, suffix) = match heading.kind {
        "counter" => (Type::Counter, "_total"),
        "info" => (Type::Gauge, "_info"),
        "gauge" => (Type::Gauge, ""),
        _ => (Type::Untyped, ""),
    };
    let numbers: Vec<_> = samples.iter().filter_map(|line| sample(line)).collect();
    if numbers.is_empty() {
        return Ok(());
    }
    messages.begin(&format!("{}{suffix}", heading.name), heading.help, kind, heading.unit);
    for (block, number) in numbers {
        messages.number(block.as_bytes(), kind, number);
    }
    messages.end()
}

/// The label block and the number of `name{block} number`.
fn sample(line: &str) -> Option<(&str, f64)> {
    let (series, number) = line.rsplit_once(' ')?;
    let block = series.split_once('{').map_or("", |(_, block)| block.strip_suffix('}').unwrap_or(block));
    Some((block, number.parse().ok()?))
}
