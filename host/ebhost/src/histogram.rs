//! Histograms in a terminal: one bar for each bucket. `ebhost run` and `ebhost top` draw with it.

/// The lines of a histogram, from its first bucket that is not empty to its last: bound, count and bar. `counts` are those of the buckets
/// (not cumulative), one more than `bounds`, which are in `unit`. The longest bar has `width` characters. No line if nothing was counted.
pub(crate) fn lines(unit: &str, bounds: &[f64], counts: &[u64], width: usize) -> Vec<String> {
    let is_filled = |count: &u64| *count > 0;
    let (Some(first), Some(last)) = (counts.iter().position(is_filled), counts.iter().rposition(is_filled)) else {
        return Vec::new();
    };
    let most = counts.iter().max().copied().unwrap_or(1).max(1);
    let label = |bucket: usize| match bounds.get(bucket) {
        Some(bound) => format!("<= {}", quantity(*bound, unit)),
        None => format!("> {}", bounds.last().map_or_else(String::new, |bound| quantity(*bound, unit))),
    };
    let line = |(bucket, count): (usize, &u64)| {
        let length = (u128::from(*count) * width as u128).div_ceil(u128::from(most));
        let bar = "*".repeat(usize::try_from(length).unwrap_or_default());
        format!("  {:>14} : {count:<10} |{bar:<width$}|", label(bucket))
    };
    counts.iter().enumerate().take(last + 1).skip(first).map(line).collect()
}

/// A number with a unit of suitable size; `unit` is the family's (`seconds`, `bytes`), others are shown without one.
pub(crate) fn quantity(value: f64, unit: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_have_a_unit_of_their_size() {
        assert_eq!(quantity(0.001024, "seconds"), "1.024 ms");
        assert_eq!(quantity(134.217728, "seconds"), "134.218 s");
        assert_eq!(quantity(0.0, "seconds"), "0 ns");
        assert_eq!(quantity(4096.0, "bytes"), "4 KiB");
        assert_eq!(quantity(12.0, ""), "12");
    }

    #[test]
    fn the_longest_bar_is_as_wide_as_there_is_room() {
        let lines = lines("seconds", &[0.001, 0.002], &[0, 3, 6], 4);
        assert_eq!(lines, ["         <= 2 ms : 3          |**  |", "          > 2 ms : 6          |****|"]);
        assert!(super::lines("", &[1.0], &[0, 0], 4).is_empty());
    }
}
