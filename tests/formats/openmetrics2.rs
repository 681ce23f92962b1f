//! A strict reader of OpenMetrics 2.0.0-rc0, for the forms that ebhost writes: numbers, and composite values of histograms. It gives the samples
//! that text 0.0.4 has for the same series.

use std::collections::BTreeSet;

use ebhost_tests::{Sample, number};

use crate::parsers::{Answer, named};

/// An answer, and the series with a start time.
pub(crate) struct Exposition {
    pub(crate) answer: Answer,
    pub(crate) with_start_time: BTreeSet<String>,
}

#[derive(Default)]
struct Reader {
    families: Vec<String>,
    kind: String,
    /// Keywords of the metadata of this family so far.
    metadata: Vec<String>,
    samples: Vec<(String, f64)>,
    with_start_time: BTreeSet<String>,
}

/// Reads all of an answer. The error says what is wrong and where.
pub(crate) fn parse(text: &str) -> Result<Exposition, String> {
    let body = text.strip_suffix("# EOF\n").ok_or("the end is not `# EOF`")?;
    let mut reader = Reader::default();
    for line in body.lines() {
        reader.line(line).map_err(|why| format!("{why}: {line}"))?;
    }
    let answer = Answer::new(reader.families, reader.samples);
    Ok(Exposition { answer, with_start_time: reader.with_start_time })
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), String> {
        let Some(metadata) = line.strip_prefix("# ") else { return self.series(line) };
        let (keyword, rest) = metadata.split_once(' ').ok_or("no metadata")?;
        let (name, content) = rest.split_once(' ').ok_or("no content")?;
        if keyword == "TYPE" {
            self.families.push(name.to_owned());
            (self.kind, self.metadata) = (content.to_owned(), Vec::new());
        }
        self.metadata.push(keyword.to_owned());
        let metadata: Vec<_> = self.metadata.iter().map(String::as_str).collect();
        let is_in_order = matches!(metadata[..], ["TYPE"] | ["TYPE", "UNIT" | "HELP"] | ["TYPE", "UNIT", "HELP"]);
        if !is_in_order || self.families.last().is_none_or(|family| family != name) {
            return Err(format!("metadata {metadata:?}"));
        }
        Ok(())
    }

    fn series(&mut self, line: &str) -> Result<(), String> {
        let (line, start) = match line.rsplit_once(" st@") {
            Some((line, start)) => (line, Some(start)),
            None => (line, None),
        };
        let is_decimal = |start: &str| start.chars().all(|c| c.is_ascii_digit() || c == '.') && number(start).is_ok();
        if start.is_some_and(|start| !is_decimal(start)) {
            return Err("a start time that is no decimal number".into());
        }
        let is_composite = self.kind == "histogram";
        let (series, value) = match is_composite {
            true => line.rsplit_once(" {").ok_or("no composite value")?,
            false => line.rsplit_once(' ').ok_or("no value")?,
        };
        let Sample { name, labels, .. } = Sample::parse(&format!("{series} 0"))?;
        if self.families.last() != Some(&name) {
            return Err("a series that is not of the family above".into());
        }
        let labels: Vec<_> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        if start.is_some() {
            self.with_start_time.insert(named(&name, labels.iter().copied()));
            if self.kind == "gauge" {
                return Err("a gauge with a start time".into());
            }
        }
        if !is_composite {
            self.samples.push((named(&name, labels.into_iter()), number(value)?));
            return Ok(());
        }
        let histogram = Composite::parse(value.strip_suffix('}').ok_or("a composite value without end")?)?;
        let mut push = |suffix: &str, le: Option<&str>, value| {
            let all: Vec<_> = labels.iter().copied().chain(le.map(|le| ("le", le))).collect();
            self.samples.push((named(&format!("{name}{suffix}"), all.into_iter()), value));
        };
        for (bound, count) in &histogram.buckets {
            let bound = if bound.is_infinite() { "+Inf".to_owned() } else { bound.to_string() };
            push("_bucket", Some(&bound), *count as f64);
        }
        push("_sum", None, histogram.sum);
        push("_count", None, histogram.count as f64);
        Ok(())
    }
}

struct Composite {
    count: u64,
    sum: f64,
    /// Cumulative counts by bound.
    buckets: Vec<(f64, u64)>,
}

/// The fields in the order that the specification demands.
const FIELDS: [&str; 8] =
    ["count", "sum", "schema", "zero_threshold", "zero_count", "positive_spans", "positive_buckets", "bucket"];

impl Composite {
    fn parse(text: &str) -> Result<Self, String> {
        let fields = fields(text)?;
        let order: Vec<_> = fields.iter().map(|(name, _)| FIELDS.iter().position(|field| field == name)).collect();
        if order.contains(&None) || !order.is_sorted() {
            return Err(format!("fields out of order or unknown: {fields:?}"));
        }
        let find = |name: &str| fields.iter().find(|(field, _)| *field == name).map(|(_, value)| *value);
        let get = |name: &str| find(name).ok_or(format!("no `{name}`"));
        let count = whole(get("count")?)?;
        let pairs = list(get("bucket")?, |item| {
            let (bound, count) = item.split_once(':').ok_or("a bucket without a bound")?;
            Ok((number(bound)?, whole(count)?))
        });
        let buckets = pairs?;
        if !buckets.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1)
            || buckets.last() != Some(&(f64::INFINITY, count))
        {
            return Err(format!("buckets {buckets:?} of {count}"));
        }
        if find("schema").is_some() {
            let schema: i32 = get("schema")?.parse().map_err(|_| "no schema")?;
            let zero = whole(get("zero_count")?)?;
            let spans = list(find("positive_spans").unwrap_or("[]"), |item| {
                let (offset, length) = item.split_once(':').ok_or("a span without a length")?;
                Ok((offset.parse::<i32>().map_err(|_| "no offset")?, whole(length)?))
            })?;
            let counts = list(find("positive_buckets").unwrap_or("[]"), whole)?;
            let is_sound = (-4..=8).contains(&schema)
                && spans.iter().skip(1).all(|(offset, _)| *offset >= 0)
                && spans.iter().map(|(_, length)| *length).sum::<u64>() == counts.len() as u64
                && zero + counts.iter().sum::<u64>() == count
                && number(get("zero_threshold")?)? > 0.0;
            if !is_sound {
                return Err(format!("native buckets {fields:?}"));
            }
        }
        Ok(Self { count, sum: number(get("sum")?)?, buckets })
    }
}

/// `name:value` with commas in between; a value may be a list in brackets.
fn fields(text: &str) -> Result<Vec<(&str, &str)>, String> {
    let (mut fields, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let (name, after) = rest.split_once(':').ok_or("a field without value")?;
        let end = match after.strip_prefix('[') {
            Some(_) => after.find(']').map(|end| end + 1).ok_or("a list without end")?,
            None => after.find(',').unwrap_or(after.len()),
        };
        let (value, after) = after.split_at(end);
        fields.push((name, value));
        rest = match after.strip_prefix(',') {
            Some(rest) if !rest.is_empty() => rest,
            None if after.is_empty() => after,
            _ => return Err("no comma between fields".into()),
        };
    }
    Ok(fields)
}

fn list<T>(text: &str, item: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    let items = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).ok_or("no list")?;
    items.split(',').filter(|_| !items.is_empty()).map(item).collect()
}

fn whole(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("no whole number: {text}"))
}
