//! Answers read back: each format by a parser of its own, into samples that can be compared.
//!
//! A sample is named `name{label="value",…}` with its labels in order, and `le` as a number.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    process::{Command, Stdio},
};

use ebhost_tests::{Exposition, Format, number, target, workspace};
use prost::Message;

use crate::Samples;

/// One answer.
pub(crate) struct Answer {
    families: Vec<String>,
    samples: Vec<(String, f64)>,
}

pub(crate) fn parse_text(text: &str) -> Answer {
    of_text(text, Format::Text)
}

pub(crate) fn parse_openmetrics(text: &str) -> Answer {
    of_text(text, Format::OpenMetrics)
}

/// By the strict reader of these tests.
fn of_text(text: &str, format: Format) -> Answer {
    let exposition = Exposition::parse(text, format).unwrap_or_else(|why| panic!("{why}; served:\n{text}"));
    let samples = exposition.samples().map(|sample| {
        let labels = sample.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        (named(&sample.name, labels), sample.value)
    });
    let headings = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    Answer { families: headings.map(str::to_owned).collect(), samples: samples.collect() }
}

pub(crate) fn parse_protobuf(mut bytes: &[u8]) -> Answer {
    let (mut families, mut samples) = (Vec::new(), Vec::new());
    while !bytes.is_empty() {
        let family = MetricFamily::decode_length_delimited(&mut bytes).expect("a delimited MetricFamily");
        for metric in &family.metric {
            let mut push = |suffix: &str, le: Option<f64>, value| {
                let le = le.map(|le| le.to_string());
                let labels = metric.label.iter().map(|pair| (pair.name.as_str(), pair.value.as_str()));
                let all: Vec<_> = labels.chain(le.as_deref().map(|le| ("le", le))).collect();
                samples.push((named(&format!("{}{suffix}", family.name), all.into_iter()), value));
            };
            let is_number = [&metric.gauge, &metric.counter].into_iter().flatten().count();
            assert_eq!(is_number + usize::from(metric.histogram.is_some()), 1, "one value: {family:?}");
            for number in [&metric.gauge, &metric.counter].into_iter().flatten() {
                assert_eq!(family.r#type, i32::from(metric.gauge.is_some()), "{family:?}");
                push("", None, number.value);
            }
            if let Some(histogram) = &metric.histogram {
                assert_eq!(family.r#type, 4, "{family:?}");
                for bucket in &histogram.bucket {
                    push("_bucket", Some(bucket.upper_bound), bucket.cumulative_count as f64);
                }
                push("_sum", None, histogram.sample_sum);
                push("_count", None, histogram.sample_count as f64);
            }
        }
        families.push(family.name);
    }
    Answer { families, samples }
}

/// The names of all samples that the reference parser of OpenMetrics finds; panics where it refuses the text.
pub(crate) fn reference_samples(text: &str) -> BTreeSet<String> {
    let samples: Vec<(String, BTreeMap<String, String>)> =
        serde_json::from_slice(&said_by("parse.py", text)).expect("parse.py prints JSON");
    samples.iter().map(|(name, labels)| named_by(name, labels)).collect()
}

/// The bits of every sample that the grammar of OpenMetrics 2.0 finds; panics where it refuses the text.
pub(crate) fn samples_by_grammar(text: &str) -> BTreeMap<String, u64> {
    let samples: Vec<(String, BTreeMap<String, String>, String)> =
        serde_json::from_slice(&said_by("openmetrics2.py", text)).expect("openmetrics2.py prints JSON");
    let value = |text: &str| number(text).expect("a number of the grammar").to_bits();
    samples.iter().map(|(name, labels, text)| (named_by(name, labels), value(text))).collect()
}

fn named_by(name: &str, labels: &BTreeMap<String, String>) -> String {
    named(name, labels.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

/// The output of a script of this folder that has read a text; panics where it refuses the text.
fn said_by(script: &str, text: &str) -> Vec<u8> {
    let mut python = Command::new("python3");
    python.arg(workspace().join("tests/formats").join(script)).env("PYTHONPATH", target().join("pypi"));
    python.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut parsing = python.spawn().expect("python3 starts");
    parsing.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("python3 reads");
    let parsed = parsing.wait_with_output().expect("python3 ends");
    let said = String::from_utf8_lossy(&parsed.stderr);
    assert!(parsed.status.success(), "{script} refuses the answer: {said}\n{text}");
    parsed.stdout
}

impl Answer {
    pub(crate) fn new(families: Vec<String>, samples: Vec<(String, f64)>) -> Self {
        Self { families, samples }
    }

    pub(crate) fn assert_nothing_twice(&self) {
        let mut seen = BTreeSet::new();
        let twice: Vec<_> = self.families.iter().filter(|family| !seen.insert(family.as_str())).collect();
        assert!(twice.is_empty(), "families twice: {twice:?}");
        let mut seen = BTreeSet::new();
        let twice: Vec<_> = self.samples.iter().filter(|(name, _)| !seen.insert(name.as_str())).collect();
        assert!(twice.is_empty(), "series twice: {twice:?}");
    }

    pub(crate) fn names(&self) -> BTreeSet<String> {
        self.samples.iter().map(|(name, _)| name.clone()).collect()
    }

    /// The bits of every sample, so that what is not a number compares, too.
    pub(crate) fn bits(&self) -> BTreeMap<String, u64> {
        self.samples.iter().map(|(name, value)| (name.clone(), value.to_bits())).collect()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.samples.iter().any(|(sample, _)| sample == name)
    }

    pub(crate) fn assert_value(&self, name: &str, value: f64) {
        let name = name.replace("le=-1}", "le=\"-1\"}").replace("le=inf}", "le=\"inf\"}");
        let name = name.replace("le=1e-5}", &format!("le=\"{}\"}}", 1e-5));
        let samples: Samples = self.samples.iter().cloned().collect();
        assert_eq!(samples.get(&name), Some(&value), "{name} in {samples:#?}");
    }

    /// Start times, which text 0.0.4 does not have and protobuf has within the series.
    pub(crate) fn without_created(&self) -> BTreeSet<String> {
        let is_created = |name: &str| name.split('{').next().is_some_and(|name| name.ends_with("_created"));
        self.names().into_iter().filter(|name| !is_created(name)).collect()
    }

    /// Counts of histograms without sum, which OpenMetrics does not have.
    pub(crate) fn without_counts_alone(&self) -> BTreeSet<String> {
        let names = self.names();
        let has_sum = |name: &String| {
            let Some((base, labels)) = name.split_once("_count{") else { return true };
            !names.contains(&format!("{base}_bucket{}", bucket_labels(labels)))
                || names.contains(&format!("{base}_sum{{{labels}"))
        };
        names.iter().filter(|name| has_sum(name)).cloned().collect()
    }

    /// Sums that are not a number, which protobuf has for histograms without sum; `text` has none of them.
    pub(crate) fn without_sums_of_unknown_value(&self, text: &Self) -> BTreeSet<String> {
        let unknown = |(name, value): &&(String, f64)| {
            let is_unknown = value.is_nan() && name.contains("_sum{");
            assert!(!is_unknown || !text.has(name), "{name}");
            is_unknown
        };
        self.samples.iter().filter(|sample| !unknown(sample)).map(|(name, _)| name.clone()).collect()
    }
}

/// The labels of the bucket +Inf of the same series.
fn bucket_labels(labels: &str) -> String {
    let labels = labels.trim_end_matches('}');
    let mut all: Vec<_> = if labels.is_empty() { vec![] } else { vec![labels.to_owned()] };
    all.push("le=\"inf\"".to_owned());
    format!("{{{}}}", all.join(","))
}

/// The bound of a bucket stands last, as a number; other labels are in order.
pub(crate) fn named<'a>(name: &str, labels: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut labels: Vec<_> = labels.collect();
    labels.sort_by_key(|(name, _)| (*name == "le", *name));
    let label = |(name, value): &(&str, &str)| match value.parse::<f64>() {
        Ok(bound) if *name == "le" => format!("{name}=\"{bound}\""),
        _ => format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")),
    };
    format!("{name}{{{}}}", labels.iter().map(label).collect::<Vec<_>>().join(","))
}

#[derive(Clone, PartialEq, Message)]
struct MetricFamily {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    help: String,
    #[prost(int32, tag = "3")]
    r#type: i32,
    #[prost(message, repeated, tag = "4")]
    metric: Vec<Metric>,
    #[prost(string, tag = "5")]
    unit: String,
}

#[derive(Clone, PartialEq, Message)]
struct Metric {
    #[prost(message, repeated, tag = "1")]
    label: Vec<LabelPair>,
    #[prost(message, optional, tag = "2")]
    gauge: Option<Number>,
    #[prost(message, optional, tag = "3")]
    counter: Option<Number>,
    #[prost(message, optional, tag = "7")]
    histogram: Option<HistogramMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct LabelPair {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Number {
    #[prost(double, tag = "1")]
    value: f64,
}

#[derive(Clone, PartialEq, Message)]
struct HistogramMessage {
    #[prost(uint64, tag = "1")]
    sample_count: u64,
    #[prost(double, tag = "2")]
    sample_sum: f64,
    #[prost(message, repeated, tag = "3")]
    bucket: Vec<BucketMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct BucketMessage {
    #[prost(uint64, tag = "1")]
    cumulative_count: u64,
    #[prost(double, tag = "2")]
    upper_bound: f64,
}
