//! Families as a person reads them in a terminal: tables, and histograms as bars.

use std::fmt::Write as _;

use ebhost_metrics::{CellKind, Family, FamilySeries, Kind, Layout, scale::Scale};

/// Longest bar.
const BAR: u64 = 40;

/// Appends a family to `out`; for one without series a line that says so.
pub(super) fn family(series: FamilySeries<'_>, out: &mut String) {
    let family = series.family();
    let unit = if family.unit.is_empty() { String::new() } else { format!(" ({})", family.unit) };
    // Writing into a string does not fail.
    let _ = writeln!(out, "\n{}{unit}: {}", family.name, family.help);
    match &family.kind {
        Kind::Histogram(bounds) => histograms(series, bounds, out),
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
        series.layout().cumulate(cells, |total| {
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
        bars(family, bounds, &counts, out);
    }
}

/// Appends bars from the first bucket that is not empty to the last.
fn bars(family: &Family, bounds: &[f64], counts: &[u64], out: &mut String) {
    let filled = |count: &u64| *count > 0;
    let (Some(first), Some(last)) = (counts.iter().position(filled), counts.iter().rposition(filled)) else { return };
    let most = counts.iter().max().copied().unwrap_or(1).max(1);
    let label = |bucket: usize| match bounds.get(bucket) {
        Some(bound) => format!("<= {}", quantity(*bound, &family.unit)),
        None => format!("> {}", bounds.last().map_or_else(String::new, |bound| quantity(*bound, &family.unit))),
    };
    for (bucket, count) in counts.iter().enumerate().take(last + 1).skip(first) {
        let length = (u128::from(*count) * u128::from(BAR)).div_ceil(u128::from(most));
        let bar = "*".repeat(usize::try_from(length).unwrap_or_default());
        let _ = writeln!(out, "  {:>14} : {:<10} |{bar:<40}|", label(bucket), count);
    }
}

/// A number with a unit of suitable size.
fn quantity(value: f64, unit: &str) -> String {
    const TIMES: [(f64, &str); 4] = [(1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns")];
    const SIZES: [(f64, &str); 4] = [(1_073_741_824.0, "GiB"), (1_048_576.0, "MiB"), (1024.0, "KiB"), (1.0, "B")];
    let units: &[(f64, &str)] = match unit {
        "seconds" => &TIMES,
        "bytes" => &SIZES,
        _ => &[(1.0, "")],
    };
    let (size, name) =
        units.iter().find(|(size, _)| value.abs() >= *size).or(units.last()).copied().unwrap_or((1.0, ""));
    let shown = (value / size * 1000.0).round() / 1000.0;
    if name.is_empty() { format!("{shown}") } else { format!("{shown} {name}") }
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

    #[test]
    fn quantities_have_a_unit_of_their_size() {
        assert_eq!(quantity(0.001024, "seconds"), "1.024 ms");
        assert_eq!(quantity(134.217728, "seconds"), "134.218 s");
        assert_eq!(quantity(0.0, "seconds"), "0 ns");
        assert_eq!(quantity(4096.0, "bytes"), "4 KiB");
        assert_eq!(quantity(12.0, ""), "12");
    }
}
