//! Families as a person reads them in a terminal: tables, and histograms as bars.

use std::fmt::Write as _;

use crate::histogram::{self, quantity};
use ebhost_metrics::{CellKind, FamilySeries, Kind, Layout, scale::Scale};

/// Characters of the longest bar.
const BAR_WIDTH: usize = 40;

/// Appends a family to `out`; for one without series a line that says so.
pub(super) fn family(series: FamilySeries<'_>, out: &mut String) {
    let family = series.family();
    let unit = if family.unit.is_empty() { String::new() } else { format!(" ({})", family.unit) };
    // Writing into a string does not fail.
    let _ = writeln!(out, "\n{}{unit}: {}", family.name, family.help);
    match &family.kind {
        Kind::Histogram(_) => histograms(series, series.bounds(), out),
        Kind::Counter | Kind::Gauge(_) => table(series, out),
    }
    if series.iter().next().is_none() {
        let _ = writeln!(out, "  nothing counted");
    }
}

fn table(series: FamilySeries<'_>, out: &mut String) {
    let family = series.family();
    let scale = Scale::new(family.times, family.per);
    let kind = if let Layout::Single(kind) = series.layout() { *kind } else { CellKind::U64 };
    let number = |raw: u64| match (scale, kind) {
        (Scale::One, CellKind::I64) => (raw as i64).to_string(),
        (Scale::One, CellKind::U64) => raw.to_string(),
        _ => kind.value(raw, scale).to_string(),
    };
    let mut rows: Vec<(u64, Vec<String>)> = series.iter().map(|each| (each.cells[0], values(each.labels))).collect();
    // The largest first: that is what is looked for when a host has a problem.
    rows.sort_by(|one, other| kind.compare(other.0, one.0).then_with(|| one.1.cmp(&other.1)));
    let head: Vec<String> = family.labels.iter().cloned().chain(["value".to_owned()]).collect();
    let rows = rows.into_iter().map(|(raw, labels)| labels.into_iter().chain([number(raw)]).collect());
    let lines: Vec<Vec<String>> = [head].into_iter().chain(rows).collect();
    let columns = lines.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
    for line in &lines {
        let last = line.len().saturating_sub(1);
        out.push(' ');
        for (column, cell) in line.iter().enumerate() {
            let room = widths[column];
            let _ = if column == last { write!(out, " {cell:>room$}") } else { write!(out, " {cell:<room$}") };
        }
        out.push('\n');
    }
}

fn histograms(series: FamilySeries<'_>, bounds: &[f64], out: &mut String) {
    let family = series.family();
    let mut all: Vec<_> = series.iter().map(|each| (values(each.labels), each.cells)).collect();
    all.sort();
    for (labels, cells) in all {
        let mut counts = Vec::with_capacity(bounds.len() + 1);
        let mut before = 0u64;
        series.cumulate(cells, |total| {
            counts.push(total.wrapping_sub(before));
            before = total;
        });
        let named: Vec<_> =
            family.labels.iter().zip(&labels).map(|(name, value)| format!("{name} = {value}")).collect();
        let mean = series.sum().filter(|_| before > 0).map(|(cell, kind)| {
            let sum = kind.value(cells[cell], Scale::new(family.times, family.per));
            format!(", mean {}", quantity(sum / before as f64, &family.unit))
        });
        let _ = writeln!(out, "\n  {}: {before} in all{}", named.join(", "), mean.unwrap_or_default());
        for line in histogram::lines(&family.unit, bounds, &counts, BAR_WIDTH) {
            let _ = writeln!(out, "{line}");
        }
    }
}

/// The values of an encoded label block, unescaped except for line breaks.
fn values(block: &[u8]) -> Vec<String> {
    let block = String::from_utf8_lossy(block);
    let (mut values, mut value, mut is_inside, mut is_escaped) = (Vec::new(), String::new(), false, false);
    for c in block.chars() {
        match c {
            'n' if is_escaped => value.push_str("\\n"),
            _ if is_escaped => value.push(c),
            '\\' if is_inside => {}
            '"' if is_inside => values.push(std::mem::take(&mut value)),
            _ if is_inside => value.push(c),
            _ => {}
        }
        is_inside ^= c == '"' && !is_escaped;
        is_escaped = c == '\\' && is_inside && !is_escaped;
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_label_block_are_unescaped() {
        assert_eq!(values(br#"device="sda",path="a\"b\\c\nd""#), ["sda", r#"a"b\c\nd"#]);
        assert!(values(b"").is_empty());
    }
}
