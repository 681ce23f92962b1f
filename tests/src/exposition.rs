//! A strict reader of what is served: text 0.0.4 and OpenMetrics 1.0.
//!
//! It takes less than Prometheus does, so that a fault which Prometheus forgives fails a test: metadata before samples, a family in
//! one piece, no series twice, sample names and labels that suit the type, buckets ascending, cumulative and closed.

use std::collections::{BTreeMap, BTreeSet};

/// By name.
pub type Labels = BTreeMap<String, String>;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    OpenMetrics,
}

/// All families by name, as each format names them: without `_total` in OpenMetrics.
#[derive(Debug, Default)]
pub struct Exposition {
    pub families: BTreeMap<String, Family>,
}

#[derive(Debug, Default)]
pub struct Family {
    pub kind: String,
    pub help: String,
    pub unit: String,
    pub samples: Vec<Sample>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub name: String,
    pub labels: Labels,
    pub value: f64,
}

/// One series of a histogram.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// Upper bounds, ascending, and how many values lie at or below each.
    pub buckets: Vec<(f64, u64)>,
    pub count: u64,
    pub sum: f64,
}

impl Exposition {
    /// Reads all of it, or says what is wrong and where.
    pub fn parse(text: &str, format: Format) -> Result<Self, String> {
        let body = match format {
            Format::Text => text,
            Format::OpenMetrics => text.strip_suffix("# EOF\n").ok_or("the end is not `# EOF`")?,
        };
        if !body.is_empty() && !body.ends_with('\n') {
            return Err("the last line has no end".into());
        }
        let mut exposition = Self::default();
        let mut current = String::new();
        for (index, line) in body.lines().enumerate() {
            exposition.line(line, &mut current, format).map_err(|why| format!("line {}: {why}: {line}", index + 1))?;
        }
        exposition
            .families
            .iter()
            .try_for_each(|(name, family)| family.check(name, format).map_err(|why| format!("family {name}: {why}")))?;
        Ok(exposition)
    }

    fn line(&mut self, line: &str, current: &mut String, format: Format) -> Result<(), String> {
        let Some(metadata) = line.strip_prefix("# ") else {
            let sample = sample(line)?;
            let family = self.families.get_mut(current.as_str()).ok_or("a sample before all metadata")?;
            if !family.has_name(current, &sample.name, format) {
                return Err(format!("a sample that is not of the family above, {current}"));
            }
            family.samples.push(sample);
            return Ok(());
        };
        let (keyword, rest) = metadata.split_once(' ').ok_or("no metadata")?;
        let (name, content) = rest.split_once(' ').unwrap_or((rest, ""));
        if name != current {
            if self.families.contains_key(name) {
                return Err("a family in two pieces".into());
            }
            is_name(name, ':').then_some(()).ok_or("no legal name")?;
            name.clone_into(current);
        }
        let family = self.families.entry(name.to_owned()).or_default();
        if !family.samples.is_empty() {
            return Err("metadata after samples".into());
        }
        let field = match (keyword, format) {
            ("HELP", _) => &mut family.help,
            ("TYPE", _) => &mut family.kind,
            ("UNIT", Format::OpenMetrics) => &mut family.unit,
            _ => return Err("unknown metadata".into()),
        };
        if !field.is_empty() || content.is_empty() {
            return Err(format!("{keyword} twice, or empty"));
        }
        content.clone_into(field);
        Ok(())
    }

    /// The value of one sample; its labels are exactly these.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = owned(labels);
        self.samples().find(|sample| sample.name == name && sample.labels == labels).map(|sample| sample.value)
    }

    /// One series of a histogram; its labels are exactly these, `le` aside.
    pub fn histogram(&self, family: &str, labels: &[(&str, &str)]) -> Option<Histogram> {
        let wanted = owned(labels);
        let all = self.families.get(family)?.histograms().expect("all of it was checked");
        all.into_iter().find(|(labels, _)| *labels == wanted).map(|(_, histogram)| histogram)
    }

    pub fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.families.values().flat_map(|family| &family.samples)
    }
}

impl Family {
    fn has_name(&self, family: &str, sample: &str, format: Format) -> bool {
        let Some(suffix) = sample.strip_prefix(family) else { return false };
        match (self.kind.as_str(), format) {
            ("counter", Format::OpenMetrics) => matches!(suffix, "_total" | "_created"),
            ("counter", Format::Text) => suffix.is_empty() && family.ends_with("_total"),
            ("histogram", _) => matches!(suffix, "_bucket" | "_sum" | "_count"),
            ("info", Format::OpenMetrics) => suffix == "_info",
            ("gauge", _) | ("unknown", Format::OpenMetrics) | ("untyped", Format::Text) => suffix.is_empty(),
            _ => false,
        }
    }

    fn check(&self, name: &str, format: Format) -> Result<(), String> {
        if self.help.is_empty() || self.kind.is_empty() {
            return Err("has no HELP or no TYPE".into());
        }
        if !self.unit.is_empty() && !name.ends_with(&format!("_{}", self.unit)) {
            return Err(format!("does not end with its unit, {}", self.unit));
        }
        let mut seen = BTreeSet::new();
        for sample in &self.samples {
            if !seen.insert((&sample.name, &sample.labels)) {
                return Err(format!("has a series twice: {sample:?}"));
            }
            let is_total = matches!(self.kind.as_str(), "counter" | "histogram") && !sample.name.ends_with("_sum");
            if is_total && (sample.value < 0.0 || sample.value.is_nan()) {
                return Err(format!("has no count: {sample:?}"));
            }
            let is_bucket = self.kind == "histogram" && sample.name.ends_with("_bucket");
            if is_bucket != sample.labels.contains_key("le") {
                return Err(format!("has `le` where it does not belong, or not where it does: {sample:?}"));
            }
            let le = sample.labels.get("le").map_or("", String::as_str);
            if format == Format::OpenMetrics && is_bucket && le != "+Inf" && !le.contains(['.', 'e']) {
                return Err(format!("has a bound that is not written as a float: {sample:?}"));
            }
        }
        if self.kind == "histogram" { self.histograms().map(drop) } else { Ok(()) }
    }

    fn histograms(&self) -> Result<Vec<(Labels, Histogram)>, String> {
        let mut all: Vec<(Labels, Parts)> = Vec::new();
        for sample in &self.samples {
            let mut labels = sample.labels.clone();
            let bound = labels.remove("le").map(|le| number(&le)).transpose()?;
            let at = all.iter().position(|(seen, _)| *seen == labels).unwrap_or_else(|| {
                all.push((labels, Parts::default()));
                all.len() - 1
            });
            let parts = &mut all[at].1;
            match bound {
                Some(bound) => parts.buckets.push((bound, whole(sample.value)?)),
                None if sample.name.ends_with("_count") => parts.count = Some(whole(sample.value)?),
                None => parts.sum = Some(sample.value),
            }
        }
        all.into_iter().map(|(labels, parts)| parts.close().map(|histogram| (labels, histogram))).collect()
    }
}

#[derive(Default)]
struct Parts {
    buckets: Vec<(f64, u64)>,
    count: Option<u64>,
    sum: Option<f64>,
}

impl Parts {
    fn close(self) -> Result<Histogram, String> {
        let (Some(count), Some(sum)) = (self.count, self.sum) else {
            return Err("has a series without _count or _sum".into());
        };
        if let Some(pair) = self.buckets.windows(2).find(|pair| pair[0].0 >= pair[1].0 || pair[0].1 > pair[1].1) {
            return Err(format!("has buckets that do not ascend: {pair:?}"));
        }
        if self.buckets.last() != Some(&(f64::INFINITY, count)) {
            return Err(format!("has a count of {count}, but its last bucket is {:?}", self.buckets.last()));
        }
        Ok(Histogram { buckets: self.buckets, count, sum })
    }
}

impl Histogram {
    /// How many values lie at or below a bound, which must be one of the buckets'.
    pub fn at_most(&self, bound: f64) -> u64 {
        let bucket = self.buckets.iter().find(|(le, _)| *le == bound);
        bucket.unwrap_or_else(|| panic!("no bucket has the bound {bound}: {:?}", self.buckets)).1
    }

    pub fn mean(&self) -> f64 {
        self.sum / self.count as f64
    }
}

fn owned(labels: &[(&str, &str)]) -> Labels {
    labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn whole(value: f64) -> Result<u64, String> {
    if value.fract() == 0.0 && value >= 0.0 { Ok(value as u64) } else { Err(format!("counts {value}")) }
}

fn number(text: &str) -> Result<f64, String> {
    match text {
        "+Inf" => Ok(f64::INFINITY),
        "-Inf" => Ok(f64::NEG_INFINITY),
        "NaN" => Ok(f64::NAN),
        _ if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') => {
            text.parse().map_err(|_| format!("no number: {text}"))
        }
        _ => Err(format!("no number: {text}")),
    }
}

/// `more`: a further character that is legal in it.
fn is_name(name: &str, more: char) -> bool {
    let is_letter = |c: char| c.is_ascii_alphabetic() || c == '_' || c == more;
    name.starts_with(is_letter) && name.chars().all(|c| is_letter(c) || c.is_ascii_digit())
}

/// `name{label="value",…} number`, without timestamp or exemplar.
fn sample(line: &str) -> Result<Sample, String> {
    let end = line.find(['{', ' ']).ok_or("no value")?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Labels::new();
    if let Some(block) = rest.strip_prefix('{') {
        rest = block;
        loop {
            let (label, after) = rest.split_once("=\"").ok_or("a label block without end")?;
            let (value, after) = label_value(after)?;
            if !is_name(label, '_') || labels.insert(label.to_owned(), value).is_some() {
                return Err(format!("the label `{label}` twice, or not a legal name"));
            }
            match after.as_bytes().first() {
                Some(b',') => rest = &after[1..],
                Some(b'}') => {
                    rest = &after[1..];
                    break;
                }
                _ => return Err("a label block without end".into()),
            }
        }
    }
    let value = number(rest.strip_prefix(' ').ok_or("no space before the value")?)?;
    if is_name(name, ':') { Ok(Sample { name: name.to_owned(), labels, value }) } else { Err("no legal name".into()) }
}

/// Up to the closing quote, and what comes after it.
fn label_value(text: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => value.push(match chars.next() {
                Some((_, 'n')) => '\n',
                Some((_, c @ ('\\' | '"'))) => c,
                _ => return Err("an unknown escape".into()),
            }),
            _ => value.push(c),
        }
    }
    Err("a label value without end".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# HELP a_seconds Of a.\n# TYPE a_seconds histogram\n\
        a_seconds_bucket{d=\"x\\\"\\\\\\ny\",le=\"0.5\"} 1\na_seconds_bucket{d=\"x\\\"\\\\\\ny\",le=\"+Inf\"} 3\n\
        a_seconds_sum{d=\"x\\\"\\\\\\ny\"} 4.5\na_seconds_count{d=\"x\\\"\\\\\\ny\"} 3\n\
        # HELP b_total Of b.\n# TYPE b_total counter\nb_total 7\n";

    fn refusal(from: &str, to: &str) -> String {
        assert!(GOOD.contains(from), "{from}");
        Exposition::parse(&GOOD.replacen(from, to, 1), Format::Text).unwrap_err()
    }

    #[test]
    fn what_is_right_is_read() {
        let exposition = Exposition::parse(GOOD, Format::Text).unwrap();
        assert_eq!(exposition.value("b_total", &[]), Some(7.0));
        let histogram = exposition.histogram("a_seconds", &[("d", "x\"\\\ny")]).unwrap();
        assert_eq!(histogram, Histogram { buckets: vec![(0.5, 1), (f64::INFINITY, 3)], count: 3, sum: 4.5 });
        assert_eq!((histogram.at_most(0.5), histogram.mean()), (1, 1.5));
    }

    #[test]
    fn what_is_wrong_is_refused() {
        for (from, to, why) in [
            ("7\n", "7", "no end"),
            ("7\n", "7 \n", "no number"),
            ("7\n", "-7\n", "no count"),
            ("7\n", "7\nb_total 7\n", "twice"),
            ("b_total 7", "c_total 7", "not of the family"),
            ("# HELP b_total Of b.\n", "", "has no HELP"),
            ("# TYPE b_total", "# HELP b_total More.\n# TYPE b_total", "twice"),
            ("le=\"0.5\"} 1", "le=\"0.5\"} 4", "do not ascend"),
            ("_count{", "_total{", "not of the family"),
            ("\"} 3\na_seconds_sum", "\"} 4\na_seconds_sum", "last bucket"),
            ("\\n", "\\t", "unknown escape"),
            ("# HELP b_total", "# HELP a_seconds Again.\n# HELP b_total", "after samples"),
        ] {
            let found = refusal(from, to);
            assert!(found.contains(why), "{to}: {found}");
        }
    }

    #[test]
    fn openmetrics_has_its_own_names_and_end() {
        let text = "# HELP b Of b.\n# TYPE b counter\nb_total 7\n# EOF\n";
        assert_eq!(Exposition::parse(text, Format::OpenMetrics).unwrap().value("b_total", &[]), Some(7.0));
        assert!(Exposition::parse(&text.replace("b_total", "b"), Format::OpenMetrics).is_err());
        assert!(Exposition::parse(text.trim_end_matches("# EOF\n"), Format::OpenMetrics).is_err());
        let bound = "# HELP c Of c.\n# TYPE c histogram\nc_bucket{le=\"1\"} 1\nc_bucket{le=\"+Inf\"} 1\nc_sum 1\nc_count 1\n# EOF\n";
        assert!(Exposition::parse(bound, Format::OpenMetrics).unwrap_err().contains("as a float"));
        assert!(Exposition::parse(&bound.replace("le=\"1\"", "le=\"1.0\""), Format::OpenMetrics).is_ok());
    }
}
