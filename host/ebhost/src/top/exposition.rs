//! The histograms in an answer of `/metrics` (text 0.0.4).

use std::collections::BTreeMap;

/// One series of a histogram.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Histogram {
    /// Name of its family.
    pub(super) family: String,
    /// Its labels as they are written, without `le`: `device="sda",operation="read"`; empty: none.
    pub(super) labels: String,
    /// Upper bounds without `+Inf`.
    pub(super) bounds: Vec<f64>,
    /// Counts of the buckets, not cumulative: one more than bounds.
    pub(super) counts: Vec<u64>,
    /// Sum of the observations; none: the family has no sum.
    pub(super) sum: Option<f64>,
}

impl Histogram {
    /// Number of observations.
    pub(super) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The family's unit, which its name ends with: `seconds`, `bytes`; empty: another.
    pub(super) fn unit(&self) -> &'static str {
        ["seconds", "bytes"].into_iter().find(|unit| self.family.ends_with(unit)).unwrap_or_default()
    }

    /// The observations since an earlier reading of the same series; all of it if the series has begun again since.
    pub(super) fn since(&self, before: &Self) -> Self {
        let is_same = self.bounds == before.bounds && self.counts.len() == before.counts.len();
        let grown: Option<Vec<u64>> =
            self.counts.iter().zip(&before.counts).map(|(now, then)| now.checked_sub(*then)).collect();
        match grown {
            Some(counts) if is_same => {
                let sum = self.sum.zip(before.sum).map(|(now, then)| now - then);
                Self { counts, sum, ..self.clone() }
            }
            _ => self.clone(),
        }
    }
}

/// Every histogram that has observations, in the order of the text.
pub(super) fn histograms(text: &str) -> Vec<Histogram> {
    let mut found = Vec::new();
    let mut family = Building::default();
    for line in text.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            found.append(&mut family.finish());
            let name = declared.strip_suffix(" histogram").unwrap_or_default();
            family = Building { name: name.to_owned(), ..Building::default() };
        } else if !family.name.is_empty() && !line.starts_with('#') {
            family.take(line);
        }
    }
    found.append(&mut family.finish());
    found
}

/// The histograms of one family, while its lines are read.
#[derive(Default)]
struct Building {
    /// Empty: the family is no histogram.
    name: String,
    /// By their labels.
    series: BTreeMap<String, Series>,
}

/// One series, while its lines are read.
#[derive(Default)]
struct Series {
    /// Its place in the text.
    place: usize,
    /// Cumulative counts by bound.
    buckets: Vec<(f64, u64)>,
    sum: Option<f64>,
}

impl Building {
    /// Takes a sample; other lines are passed over.
    fn take(&mut self, line: &str) {
        let Some((name, labels, value)) = sample(line) else { return };
        let Some(part) = name.strip_prefix(&self.name) else { return };
        let (own, bound) = split_bound(labels);
        let place = self.series.len();
        let series = self.series.entry(own).or_insert_with(|| Series { place, ..Series::default() });
        match (part, bound.as_deref().map(str::parse::<f64>)) {
            ("_bucket", Some(Ok(bound))) => series.buckets.push((bound, value as u64)),
            ("_sum", _) => series.sum = Some(value),
            _ => {}
        }
    }

    fn finish(&mut self) -> Vec<Histogram> {
        let name = std::mem::take(&mut self.name);
        let mut series: Vec<_> = std::mem::take(&mut self.series).into_iter().collect();
        series.sort_by_key(|(_, series)| series.place);
        let histogram = |(labels, series): (String, Series)| {
            let Series { mut buckets, sum, .. } = series;
            buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
            let before = [0].into_iter().chain(buckets.iter().map(|(_, total)| *total));
            let counts = buckets.iter().zip(before).map(|((_, total), before)| total.saturating_sub(before)).collect();
            let bounds = buckets.iter().map(|(bound, _)| *bound).filter(|bound| bound.is_finite()).collect();
            Histogram { family: name.clone(), labels, bounds, counts, sum }
        };
        let is_used = |histogram: &Histogram| histogram.count() > 0;
        series.into_iter().map(histogram).filter(is_used).collect()
    }
}

/// Name, labels and value of a sample.
fn sample(line: &str) -> Option<(&str, &str, f64)> {
    let (name, labels, rest) = match line.split_once('{') {
        Some((name, rest)) => {
            let end = end_of_labels(rest)?;
            (name, &rest[..end], &rest[end + 1..])
        }
        None => line.split_once(' ').map(|(name, rest)| (name, "", rest))?,
    };
    Some((name, labels, rest.split_whitespace().next()?.parse().ok()?))
}

/// Where the `}` is that no label's value contains.
fn end_of_labels(text: &str) -> Option<usize> {
    let (mut is_inside, mut is_escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => is_inside = !is_inside,
            '}' if !is_inside => return Some(at),
            _ => {}
        }
    }
    None
}

/// The labels without `le`, and the value of `le`. The host writes it last.
fn split_bound(labels: &str) -> (String, Option<String>) {
    let begins = labels.rfind(",le=\"").map(|at| (at, at + 5)).or(labels.starts_with("le=\"").then_some((0, 4)));
    match begins {
        Some((at, value)) if labels.ends_with('"') && labels.len() > value => {
            (labels[..at].to_owned(), Some(labels[value..labels.len() - 1].to_owned()))
        }
        _ => (labels.to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# HELP x_total no histogram
# TYPE x_total counter
x_total{a="b"} 3
# HELP io_seconds of disks
# TYPE io_seconds histogram
io_seconds_bucket{path="a}\"le=",le="0.001"} 2
io_seconds_bucket{path="a}\"le=",le="0.002"} 5
io_seconds_bucket{path="a}\"le=",le="+Inf"} 6
io_seconds_sum{path="a}\"le="} 0.25
io_seconds_count{path="a}\"le="} 6
io_seconds_bucket{path="idle",le="0.001"} 0
io_seconds_bucket{path="idle",le="+Inf"} 0
# TYPE depth histogram
depth_bucket{le="1"} 4
depth_bucket{le="+Inf"} 4
"#;

    #[test]
    fn histograms_are_read_with_their_labels_and_without_those_that_are_empty() {
        let found = histograms(TEXT);
        let io = Histogram {
            family: "io_seconds".into(),
            labels: r#"path="a}\"le=""#.into(),
            bounds: vec![0.001, 0.002],
            counts: vec![2, 3, 1],
            sum: Some(0.25),
        };
        let depth = Histogram { family: "depth".into(), bounds: vec![1.0], counts: vec![4, 0], ..Histogram::default() };
        assert_eq!((found[0].unit(), found[0].count(), found[1].unit()), ("seconds", 6, ""));
        assert_eq!(found, [io, depth]);
    }

    #[test]
    fn a_series_that_began_again_is_shown_as_it_is() {
        let of = |counts: &[u64]| Histogram { bounds: vec![1.0], counts: counts.to_vec(), ..Histogram::default() };
        assert_eq!(of(&[5, 1]).since(&of(&[2, 1])).counts, [3, 0]);
        assert_eq!(of(&[1, 1]).since(&of(&[2, 1])).counts, [1, 1]);
        let other = Histogram { bounds: vec![2.0], ..of(&[0, 0]) };
        assert_eq!(of(&[5, 1]).since(&other).counts, [5, 1]);
    }
}
