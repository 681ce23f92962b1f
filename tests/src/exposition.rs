//! A strict parser of the text formats 0.0.4 and OpenMetrics 1.0.
//!
//! It accepts less than Prometheus does, so that errors which Prometheus tolerates fail a test: metadata must precede
//! samples, the samples of a family must be together, no series may be repeated, sample names and labels must suit the
//! type, and buckets must ascend, be cumulative and end with +Inf.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    histogram::{Histogram, Parts},
    sample::{Labels, Sample, is_name, number},
};

/// Metrics of drop-in configurations need not follow the naming conventions.
const PEER: &str = "ebpf_exporter_";

/// The format to parse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    OpenMetrics,
}

/// All families by name. In OpenMetrics the name of a counter is without `_total`.
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

impl Exposition {
    /// Parses all of it. The error says what is wrong and where.
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
            let sample = Sample::parse(line)?;
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

    /// The value of the sample with exactly these labels.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = owned(labels);
        self.samples().find(|sample| sample.name == name && sample.labels == labels).map(|sample| sample.value)
    }

    /// The histogram series with exactly these labels, not counting `le`.
    pub fn histogram(&self, family: &str, labels: &[(&str, &str)]) -> Option<Histogram> {
        let wanted = owned(labels);
        let family = self.families.get(family)?;
        let all = family.histograms(Format::Text).or_else(|_| family.histograms(Format::OpenMetrics));
        let all = all.expect("all of it was checked");
        all.into_iter().find(|(labels, _)| *labels == wanted).map(|(_, histogram)| histogram)
    }

    /// Exchanges of packages and refusals so far.
    pub fn reloads_tried(&self) -> f64 {
        ["ebhost_reloads_total", "ebhost_reload_failures_total"].iter().filter_map(|name| self.value(name, &[])).sum()
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
            ("counter", Format::Text) => suffix.is_empty() && (family.ends_with("_total") || family.starts_with(PEER)),
            ("histogram", Format::OpenMetrics) => matches!(suffix, "_bucket" | "_sum" | "_count" | "_created"),
            ("histogram", Format::Text) => matches!(suffix, "_bucket" | "_sum" | "_count"),
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
        self.check_start_times(format)?;
        if self.kind == "histogram" { self.histograms(format).map(drop) } else { Ok(()) }
    }

    /// OpenMetrics forbids to interleave samples of two metrics: a start time follows another sample with its labels.
    fn check_start_times(&self, format: Format) -> Result<(), String> {
        let has_start_times = format == Format::OpenMetrics && matches!(self.kind.as_str(), "counter" | "histogram");
        let is_created = |sample: &Sample| has_start_times && sample.name.ends_with("_created");
        let labels = |sample: &Sample| {
            let mut labels = sample.labels.clone();
            labels.remove("le");
            labels
        };
        let parted = self.samples.windows(2).find(|pair| is_created(&pair[1]) && labels(&pair[0]) != pair[1].labels);
        parted.map_or(Ok(()), |pair| Err(format!("has a start time apart from its series: {:?}", pair[1])))
    }

    fn histograms(&self, format: Format) -> Result<Vec<(Labels, Histogram)>, String> {
        let mut all: Vec<(Labels, Parts)> = Vec::new();
        let is_created = |sample: &&Sample| sample.name.ends_with("_created"); // none in text, which was checked before
        for sample in self.samples.iter().filter(|sample| !is_created(sample)) {
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
        all.into_iter().map(|(labels, parts)| parts.close(format).map(|histogram| (labels, histogram))).collect()
    }
}

fn whole(value: f64) -> Result<u64, String> {
    if value.fract() == 0.0 && value >= 0.0 { Ok(value as u64) } else { Err(format!("counts {value}")) }
}

fn owned(labels: &[(&str, &str)]) -> Labels {
    labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
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
    fn valid_text_is_parsed() {
        let exposition = Exposition::parse(GOOD, Format::Text).unwrap();
        assert_eq!(exposition.value("b_total", &[]), Some(7.0));
        let histogram = exposition.histogram("a_seconds", &[("d", "x\"\\\ny")]).unwrap();
        assert_eq!(histogram, Histogram { buckets: vec![(0.5, 1), (f64::INFINITY, 3)], count: 3, sum: 4.5 });
        assert_eq!((histogram.at_most(0.5), histogram.mean()), (1, 1.5));
    }

    #[test]
    fn invalid_text_is_refused() {
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
    fn openmetrics_has_its_own_counter_names_and_an_eof_line() {
        let text = "# HELP b Of b.\n# TYPE b counter\nb_total 7\n# EOF\n";
        assert_eq!(Exposition::parse(text, Format::OpenMetrics).unwrap().value("b_total", &[]), Some(7.0));
        assert!(Exposition::parse(&text.replace("b_total", "b"), Format::OpenMetrics).is_err());
        assert!(Exposition::parse(text.trim_end_matches("# EOF\n"), Format::OpenMetrics).is_err());
        let bound = "# HELP c Of c.\n# TYPE c histogram\nc_bucket{le=\"1\"} 1\nc_bucket{le=\"+Inf\"} 1\nc_sum 1\nc_count 1\n# EOF\n";
        assert!(Exposition::parse(bound, Format::OpenMetrics).unwrap_err().contains("as a float"));
        assert!(Exposition::parse(&bound.replace("le=\"1\"", "le=\"1.0\""), Format::OpenMetrics).is_ok());
    }
}
