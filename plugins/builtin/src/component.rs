//! Metrics as the contract has them: a family and a view each, and the rows of a batch.

use std::collections::HashMap;

use ebhost_plugin::exported::bindings::exports::ebhost::plugin::decoder as wit;

use crate::bucket::Place;
use crate::decoder::Refused;
use crate::label::Label;
use crate::machine::Kind;
use crate::metric::{Buckets, Metric};

/// Of every table.
const VALUE: wit::Number = wit::Number { offset: 0, size: 8, is_signed: false };

/// All families and views, in the order of the metrics.
pub(crate) fn manifest(metrics: &[Metric]) -> wit::Manifest {
    wit::Manifest {
        families: metrics.iter().map(family).collect(),
        views: metrics.iter().enumerate().map(|(index, metric)| view(index as u32, metric)).collect(),
    }
}

fn family(metric: &Metric) -> wit::Family {
    let cpu = metric.by_cpu.then(|| "cpu".to_owned());
    let (kind, times) = match &metric.buckets {
        None => (wit::Kind::Counter, 1.0),
        Some(buckets) => (wit::Kind::Histogram(buckets.keys.bounds(buckets.multiplier)), buckets.multiplier),
    };
    wit::Family {
        name: metric.name.clone(),
        help: metric.help.clone(),
        unit: String::new(),
        labels: metric.labels.iter().map(|label| label.name.clone()).chain(cpu).collect(),
        kind,
        times,
        per: 1.0,
    }
}

fn view(index: u32, metric: &Metric) -> wit::View {
    let map = metric.map;
    let is_events = map.kind == Kind::Events;
    let (part, key_size) = if is_events { (wit::Part::Value, 0) } else { (wit::Part::Key, map.key_size) };
    let identity = fields(metric, part);
    let lookups = all_labels(metric)
        .enumerate()
        .filter_map(|(field, label)| Some(wit::Lookup { table: label.lookup()?.table().into(), field: field as u32 }));
    let columns = metric.labels.len() as u32;
    let value = match (&metric.buckets, is_events) {
        (Some(_), _) => wit::Value::Bucket(wit::Bucket { count: VALUE, sum: Some(VALUE) }),
        (None, true) => wit::Value::One,
        (None, false) => wit::Value::Number(VALUE),
    };
    let labels = (0..columns).map(wit::Label::Column).chain(metric.by_cpu.then_some(wit::Label::Cpu)).collect();
    wit::View {
        source: metric.source.clone(),
        key_size,
        value_size: if is_events { metric.labels.iter().map(|label| label.size + label.padding).sum() } else { 8 },
        lookups: lookups.collect(),
        identity,
        columns,
        series: vec![wit::Series { family: index, labels, value }],
    }
}

/// Every label's bytes, or the whole key of a metric without labels.
fn fields(metric: &Metric, part: wit::Part) -> Vec<wit::Field> {
    if metric.takes_key_0() {
        return vec![wit::Field { part, offset: 0, length: metric.map.key_size }];
    }
    let mut offset = 0;
    let field = |label: &Label| {
        let field = wit::Field { part, offset, length: label.size };
        offset += label.size + label.padding;
        field
    };
    all_labels(metric).map(field).collect()
}

/// Those of the key: the bucket is the last.
fn all_labels(metric: &Metric) -> impl Iterator<Item = &Label> {
    metric.labels.iter().chain(metric.buckets.as_ref().map(|buckets| &buckets.label))
}

impl Metric {
    /// A table without labels in its key, of which only key 0 is of the metric.
    fn takes_key_0(&self) -> bool {
        self.labels.is_empty() && self.buckets.is_none() && self.map.kind != Kind::Events
    }
}

/// The answer to a batch.
pub(crate) fn rows(metrics: &[Metric], batch: &wit::Batch) -> wit::Rows {
    let metric = &metrics[batch.view as usize];
    let mut answer = Answer::default();
    if metric.takes_key_0() {
        let size = metric.map.key_size as usize;
        for (entry, key) in batch.identities.chunks_exact(size).enumerate() {
            if key.iter().any(|byte| *byte != 0) {
                answer.refuse(entry, Refused::Skip);
            }
        }
        return answer.rows();
    }
    let mut entries = Entries { batch, labels: all_labels(metric).collect(), at: 0, found: 0 };
    for entry in 0..batch.count as usize {
        answer.begin(metric);
        if let Err(why) = answer.fill(metric, &mut entries) {
            answer.cut(metric, entry);
            answer.refuse(entry, why);
        }
    }
    answer.rows()
}

/// The entries of a batch, label by label.
struct Entries<'a> {
    batch: &'a wit::Batch,
    labels: Vec<&'a Label>,
    at: usize,
    found: usize,
}

impl<'a> Entries<'a> {
    /// The label's bytes in the next entry, and the name for them.
    fn next(&mut self, label: &Label) -> (&'a [u8], Option<&'a str>) {
        let bytes = &self.batch.identities[self.at..][..label.size as usize];
        self.at += bytes.len();
        let name = label.lookup().and_then(|_| {
            self.found += 1;
            self.batch.names[self.batch.found[self.found - 1] as usize].as_deref()
        });
        (bytes, name)
    }
}

/// The columns, as they grow.
#[derive(Default)]
struct Answer {
    dictionary: Vec<String>,
    places: HashMap<String, u32>,
    labels: Vec<u32>,
    buckets: Vec<u32>,
    refused: Vec<wit::Refusal>,
    begun: usize,
}

impl Answer {
    fn begin(&mut self, metric: &Metric) {
        self.begun = self.labels.len();
        self.buckets.extend(metric.buckets.as_ref().map(|_| 0));
    }

    fn fill(&mut self, metric: &Metric, entries: &mut Entries<'_>) -> Result<(), Refused> {
        let labels = std::mem::take(&mut entries.labels);
        // All of them, whatever came of the first: the next entry begins behind the last.
        let cells: Vec<_> = labels.iter().map(|label| entries.next(label)).collect();
        entries.labels = labels;
        for (label, (bytes, name)) in metric.labels.iter().zip(&cells) {
            let text = label.decode(bytes, *name)?;
            let place = self.place(&text);
            self.labels.push(place);
        }
        if let (Some(buckets), Some((bytes, name))) = (&metric.buckets, cells.last()) {
            let place = bucket(buckets, bytes, *name)?;
            *self.buckets.last_mut().expect("begun") = place;
        }
        Ok(())
    }

    fn place(&mut self, text: &str) -> u32 {
        if let Some(place) = self.places.get(text) {
            return *place;
        }
        let place = self.dictionary.len() as u32;
        self.dictionary.push(text.to_owned());
        self.places.insert(text.to_owned(), place);
        place
    }

    /// The entry's places in the columns, which nobody reads.
    fn cut(&mut self, metric: &Metric, entry: usize) {
        self.labels.truncate(self.begun);
        self.labels.resize((entry + 1) * metric.labels.len(), 0);
    }

    fn refuse(&mut self, entry: usize, why: Refused) {
        let why = match why {
            Refused::Skip => wit::Reason::Skip,
            Refused::Unknown(text) => wit::Reason::Unknown(text),
        };
        self.refused.push(wit::Refusal { entry: entry as u32, why });
    }

    fn rows(self) -> wit::Rows {
        wit::Rows { dictionary: self.dictionary, labels: self.labels, buckets: self.buckets, refused: self.refused }
    }
}

fn bucket(buckets: &Buckets, bytes: &[u8], name: Option<&str>) -> Result<u32, Refused> {
    let text = buckets.label.decode(bytes, name)?;
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
    let number = number.ok_or_else(|| Refused::Unknown(format!("found the bucket `{text}`, expected a number")))?;
    match buckets.keys.place(number) {
        Place::Bucket(bucket) => Ok(bucket),
        Place::Sum => Ok(buckets.keys.len() + 1),
        Place::None => Err(Refused::Skip),
    }
}
