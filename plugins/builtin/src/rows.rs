//! Decodes a batch column by column: a label's decoders are selected once for each batch, and equal bytes are decoded once.

use ebhost_plugin::exported::banks::{LOST, check_of};
use ebhost_plugin::exported::bindings::exports::ebhost::plugin::decoder as wit;
use ebhost_plugin::exported::{Columns, Dictionary, Interner};

use crate::bucket::BucketIndex;
use crate::decoder::Refused;
use crate::input::{InputColumn, Layout};
use crate::label::Label;
use crate::metric::{Buckets, Metric};
use crate::table::{CHECK_BYTES, Storage, Table};

/// Memoizes the results of one column: for each distinct input (the label's bytes, or the index of the name found for them) the result
/// of its decoders.
#[derive(Default)]
pub(crate) struct Memo {
    inputs: Interner,
    /// By the input's index.
    results: Vec<Result<u32, Refused>>,
}

/// Decodes a batch of a metric. `answer` has been cleared for it.
pub(crate) fn metric(metric: &Metric, memo: &mut Memo, batch: &wit::Batch, answer: &mut Columns) {
    if metric.reads_only_key_0() {
        return only_key_0(metric, batch, answer);
    }
    let layout = Layout::packed(metric.all_labels());
    memo.labels(metric.labels.iter(), &layout, batch, answer);
    let Columns { dictionary, buckets, refused, .. } = answer;
    if let Some(histogram) = &metric.buckets {
        let input = layout.column(batch, metric.labels.len());
        buckets.resize(batch.count as usize, 0);
        let parse = |text: &str, _: &mut Dictionary| bucket(histogram, text);
        memo.decode(&input, &histogram.label, dictionary, parse, |entry, result| match result {
            Ok(bucket) => buckets[entry] = *bucket,
            Err(why) => refused.push(refusal(entry, why)),
        });
    }
    keep_first_reasons(refused);
}

/// Decodes a batch of one of a table's two maps. `answer` has been cleared for it.
pub(crate) fn table(table: &Table, storage: Storage, memo: &mut Memo, batch: &wit::Batch, answer: &mut Columns) {
    let placed = table.labels.iter().map(|(offset, label)| (table.start(storage) + *offset as usize, label));
    let layout = Layout::placed(table.identity_bytes(storage), placed);
    if storage == Storage::Banks {
        // Banks without an owner, and those whose owner was being written when they were read.
        let is_whole = |identity: &[u8]| {
            let (check, owner) = identity.split_at(CHECK_BYTES);
            check == check_of(owner).to_le_bytes()
        };
        let others = layout.identities(batch).enumerate().filter(|(_, identity)| !is_whole(identity));
        answer.refused.extend(others.map(|(entry, _)| refusal(entry, &Refused::Skip)));
    }
    memo.labels(table.labels.iter().map(|(_, label)| label), &layout, batch, answer);
    keep_first_reasons(&mut answer.refused);
}

/// Decodes a batch of the array `NAME_stats` of a table: one of its numbers.
pub(crate) fn statistic(wanted: u32, batch: &wit::Batch, answer: &mut Columns) {
    let others = stats(batch).filter(|(_, stat)| *stat != wanted);
    answer.refused.extend(others.map(|(entry, _)| refusal(entry, &Refused::Skip)));
}

/// Decodes a batch of the array `NAME_stats` of a table: the numbers of counts that were lost, by reason.
pub(crate) fn lost(batch: &wit::Batch, answer: &mut Columns) {
    for (entry, stat) in stats(batch) {
        let reason = (stat as usize).checked_sub(1).and_then(|reason| LOST.get(reason));
        answer.labels.push(reason.map_or(0, |reason| answer.dictionary.text(reason)));
        if reason.is_none() {
            answer.refused.push(refusal(entry, &Refused::Skip));
        }
    }
}

fn stats(batch: &wit::Batch) -> impl Iterator<Item = (usize, u32)> {
    batch.identities.as_chunks().0.iter().map(|key| u32::from_le_bytes(*key)).enumerate()
}

fn only_key_0(metric: &Metric, batch: &wit::Batch, answer: &mut Columns) {
    let keys = batch.identities.chunks_exact(metric.map.key_size as usize);
    let others = keys.enumerate().filter(|(_, key)| key.iter().any(|byte| *byte != 0));
    answer.refused.extend(others.map(|(entry, _)| refusal(entry, &Refused::Skip)));
}

fn refusal(entry: usize, why: &Refused) -> wit::Refusal {
    let why = match why {
        Refused::Skip => wit::Reason::Skip,
        Refused::Unknown(text) => wit::Reason::Unknown(text.clone()),
    };
    wit::Refusal { entry: entry as u32, why }
}

/// If several labels refuse an entry, the first one gives the reason.
fn keep_first_reasons(refused: &mut Vec<wit::Refusal>) {
    refused.sort_by_key(|refusal| refusal.entry);
    refused.dedup_by_key(|refusal| refusal.entry);
}

/// The contract's bucket index for the text of a bucket key.
fn bucket(buckets: &Buckets, text: &str) -> Result<u32, Refused> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
    let number = number.ok_or_else(|| Refused::Unknown(format!("found the bucket `{text}`, expected a number")))?;
    match buckets.keys.index_of(number) {
        BucketIndex::Bucket(bucket) => Ok(bucket),
        BucketIndex::Sum => Ok(buckets.keys.len() + 1),
        BucketIndex::None => Err(Refused::Skip),
    }
}

impl Memo {
    /// Decodes the labels of every entry into the answer's columns.
    fn labels<'l>(
        &mut self,
        all: impl ExactSizeIterator<Item = &'l Label>,
        layout: &Layout,
        batch: &wit::Batch,
        answer: &mut Columns,
    ) {
        let Columns { dictionary, labels, refused, .. } = answer;
        let columns = all.len();
        labels.resize(batch.count as usize * columns, 0);
        for (column, label) in all.enumerate() {
            let input = layout.column(batch, column);
            let output = labels[column..].iter_mut().step_by(columns);
            if label.is_number() {
                input.numbers(dictionary, output);
                continue;
            }
            let mut output: Vec<&mut u32> = output.collect();
            let insert = |text: &str, dictionary: &mut Dictionary| Ok(dictionary.text(text));
            self.decode(&input, label, dictionary, insert, |entry, result| match result {
                Ok(index) => *output[entry] = *index,
                Err(why) => refused.push(refusal(entry, why)),
            });
        }
    }

    /// Decodes one column: calls `output` with the result of every entry. `convert` turns the text of a new input into its result.
    fn decode(
        &mut self,
        input: &InputColumn<'_>,
        label: &Label,
        dictionary: &mut Dictionary,
        convert: impl Fn(&str, &mut Dictionary) -> Result<u32, Refused>,
        mut output: impl FnMut(usize, &Result<u32, Refused>),
    ) {
        self.inputs.clear();
        self.results.clear();
        for (entry, bytes) in input.bytes().enumerate() {
            let (index_of_name, found) = (input.index_of_name(entry), input.found(entry));
            let index = match (index_of_name, found.name) {
                // If there is a name, the result depends on nothing else.
                (Some(index), Some(name)) if !name.is_empty() => self.inputs.unsigned(index.into()),
                (Some(_), _) => {
                    output(entry, &label.decode(bytes, found).and_then(|text| convert(&text, dictionary)));
                    continue;
                }
                (None, _) => self.inputs.bytes(bytes),
            };
            if index as usize == self.results.len() {
                self.results.push(label.decode(bytes, found).and_then(|text| convert(&text, dictionary)));
            }
            output(entry, &self.results[index as usize]);
        }
    }
}
