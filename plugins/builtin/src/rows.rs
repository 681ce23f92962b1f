//! Decodes a batch column by column: a label's decoders are selected once for each batch, and equal bytes are decoded once.

use ebhost_plugin::exported::bindings::exports::ebhost::plugin::decoder as wit;
use ebhost_plugin::exported::{Columns, Dictionary, Interner};

use crate::bucket::BucketIndex;
use crate::decoder::Refused;
use crate::label::Label;
use crate::lookup::Found;
use crate::metric::{Buckets, Metric};

/// Memoizes the results of one column: for each distinct input (the label's bytes, or the index of the name found for them) the result
/// of its decoders.
#[derive(Default)]
pub(crate) struct Memo {
    inputs: Interner,
    /// By the input's index.
    results: Vec<Result<u32, Refused>>,
}

/// Decodes a batch. `answer` has been cleared for it.
pub(crate) fn answer(metric: &Metric, memo: &mut Memo, batch: &wit::Batch, answer: &mut Columns) {
    if metric.reads_only_key_0() {
        return only_key_0(metric, batch, answer);
    }
    let Columns { dictionary, labels, buckets, refused } = answer;
    let columns = metric.labels.len();
    labels.resize(batch.count as usize * columns, 0);
    let mut refuse = |entry: usize, why: &Refused| refused.push(refusal(entry, why));
    let mut input = InputColumn::before_first(metric, batch);
    for (column, label) in metric.labels.iter().enumerate() {
        input.advance(label);
        let output = labels[column..].iter_mut().step_by(columns);
        if label.is_number() {
            input.numbers(dictionary, output);
            continue;
        }
        let mut output: Vec<&mut u32> = output.collect();
        let insert = |text: &str, dictionary: &mut Dictionary| Ok(dictionary.text(text));
        memo.decode(&input, label, dictionary, insert, |entry, result| match result {
            Ok(index) => *output[entry] = *index,
            Err(why) => refuse(entry, why),
        });
    }
    if let Some(histogram) = &metric.buckets {
        input.advance(&histogram.label);
        buckets.resize(batch.count as usize, 0);
        let parse = |text: &str, _: &mut Dictionary| bucket(histogram, text);
        memo.decode(&input, &histogram.label, dictionary, parse, |entry, result| match result {
            Ok(bucket) => buckets[entry] = *bucket,
            Err(why) => refuse(entry, why),
        });
    }
    // If several labels refuse an entry, the first one gives the reason.
    refused.sort_by_key(|refusal| refusal.entry);
    refused.dedup_by_key(|refusal| refusal.entry);
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

/// The input of one label: its bytes in all identities of a batch, and the names that were looked up for it.
struct InputColumn<'a> {
    batch: &'a wit::Batch,
    /// Size of an identity, in bytes.
    identity: usize,
    /// Names of an entry.
    names: usize,
    /// Offset and size of the label's bytes in an identity.
    offset: usize,
    size: usize,
    /// Offset of the next label's bytes.
    next_offset: usize,
    /// Which of an entry's names are the label's: the first one and their number.
    first_name: usize,
    own_names: usize,
}

impl<'a> InputColumn<'a> {
    /// An empty column before the first label; call [`advance`](Self::advance) for each label.
    fn before_first(metric: &Metric, batch: &'a wit::Batch) -> Self {
        let identity = metric.all_labels().map(|label| label.identity_bytes() as usize).sum();
        let names = metric.all_labels().map(|label| label.tables().count()).sum();
        Self { batch, identity, names, offset: 0, size: 0, next_offset: 0, first_name: 0, own_names: 0 }
    }

    /// Moves on to the next label.
    fn advance(&mut self, label: &Label) {
        self.offset = self.next_offset;
        self.size = label.size as usize;
        self.next_offset += label.identity_bytes() as usize;
        self.first_name += self.own_names;
        self.own_names = label.tables().count();
    }

    /// The identities, each from the label's bytes on.
    fn identities(&self) -> impl Iterator<Item = &'a [u8]> {
        let offset = self.offset;
        self.batch.identities.chunks_exact(self.identity).map(move |identity| &identity[offset..])
    }

    fn bytes(&self) -> impl Iterator<Item = &'a [u8]> {
        let size = self.size;
        self.identities().map(move |identity| &identity[..size])
    }

    /// The index among the batch's names of the name that the host looked up for an entry.
    fn index_of_name(&self, entry: usize) -> Option<u32> {
        self.indices_of_names(entry).first().copied()
    }

    /// The names that the host looked up for an entry.
    fn found(&self, entry: usize) -> Found<'a> {
        let batch = self.batch;
        let mut names = self.indices_of_names(entry).iter().map(|index| batch.names[*index as usize].as_deref());
        Found { name: names.next().flatten(), class: names.next().flatten() }
    }

    fn indices_of_names(&self, entry: usize) -> &'a [u32] {
        match self.own_names {
            0 => &[],
            own => &self.batch.found[entry * self.names + self.first_name..][..own],
        }
    }

    /// Fast path for labels that are just numbers in decimal digits.
    fn numbers<'p>(&self, dictionary: &mut Dictionary, output: impl Iterator<Item = &'p mut u32>) {
        match self.size {
            1 => self.numbers_with(|[byte]: [u8; 1]| byte.into(), dictionary, output),
            2 => self.numbers_with(|bytes| u16::from_le_bytes(bytes).into(), dictionary, output),
            4 => self.numbers_with(|bytes| u32::from_le_bytes(bytes).into(), dictionary, output),
            _ => self.numbers_with(u64::from_le_bytes, dictionary, output),
        }
    }

    #[inline(always)]
    fn numbers_with<'p, const WIDTH: usize>(
        &self,
        parse: impl Fn([u8; WIDTH]) -> u64,
        dictionary: &mut Dictionary,
        output: impl Iterator<Item = &'p mut u32>,
    ) {
        for (bytes, index) in self.identities().zip(output) {
            let bytes = bytes.first_chunk().expect("the label's size was checked");
            *index = dictionary.unsigned(parse(*bytes));
        }
    }
}
