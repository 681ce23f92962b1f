//! The rows of a batch, column by column: how a label is made is asked once a batch, and of equal bytes once.

use ebhost_plugin::exported::bindings::exports::ebhost::plugin::decoder as wit;
use ebhost_plugin::exported::{Columns, Dictionary, Interner};

use crate::bucket::Place;
use crate::decoder::Refused;
use crate::label::Label;
use crate::metric::{Buckets, Metric};

/// What a label's bytes, or the names found for them, came to in this batch.
#[derive(Default)]
pub(crate) struct Memo {
    inputs: Interner,
    outcomes: Vec<Result<u32, Refused>>,
}

/// The answer to a batch, into columns that are empty.
pub(crate) fn answer(metric: &Metric, memo: &mut Memo, batch: &wit::Batch, answer: &mut Columns) {
    if metric.takes_key_0() {
        return only_key_0(metric, batch, answer);
    }
    let Columns { dictionary, labels, buckets, refused } = answer;
    let columns = metric.labels.len();
    labels.resize(batch.count as usize * columns, 0);
    let mut refuse = |entry: usize, why: &Refused| refused.push(refusal(entry, why));
    let mut cells = Cells::before(metric, batch);
    for (column, label) in metric.labels.iter().enumerate() {
        cells.next(label);
        let places = labels[column..].iter_mut().step_by(columns);
        if label.is_number() {
            cells.numbers(dictionary, places);
            continue;
        }
        let mut places: Vec<&mut u32> = places.collect();
        let of_new = |text: &str, dictionary: &mut Dictionary| Ok(dictionary.text(text));
        memo.each(&cells, label, dictionary, of_new, |entry, outcome| match outcome {
            Ok(place) => *places[entry] = *place,
            Err(why) => refuse(entry, why),
        });
    }
    if let Some(of) = &metric.buckets {
        cells.next(&of.label);
        buckets.resize(batch.count as usize, 0);
        let of_new = |text: &str, _: &mut Dictionary| bucket(of, text);
        memo.each(&cells, &of.label, dictionary, of_new, |entry, outcome| match outcome {
            Ok(bucket) => buckets[entry] = *bucket,
            Err(why) => refuse(entry, why),
        });
    }
    // Of an entry that several labels refuse, the first label says why.
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

fn bucket(buckets: &Buckets, text: &str) -> Result<u32, Refused> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
    let number = number.ok_or_else(|| Refused::Unknown(format!("found the bucket `{text}`, expected a number")))?;
    match buckets.keys.place(number) {
        Place::Bucket(bucket) => Ok(bucket),
        Place::Sum => Ok(buckets.keys.len() + 1),
        Place::None => Err(Refused::Skip),
    }
}

impl Memo {
    /// Gives `take` each entry's outcome; `of_new` makes it of the label's text.
    fn each(
        &mut self,
        cells: &Cells<'_>,
        label: &Label,
        dictionary: &mut Dictionary,
        of_new: impl Fn(&str, &mut Dictionary) -> Result<u32, Refused>,
        mut take: impl FnMut(usize, &Result<u32, Refused>),
    ) {
        self.inputs.begin();
        self.outcomes.clear();
        for (entry, bytes) in cells.bytes().enumerate() {
            let found = cells.found(entry);
            let name = found.and_then(|index| cells.batch.names[index as usize].as_deref());
            let input = match (found, name) {
                // What is said of a name depends on it alone.
                (Some(index), Some(name)) if !name.is_empty() => self.inputs.unsigned(index.into()),
                (Some(_), _) => {
                    take(entry, &label.decode(bytes, name).and_then(|text| of_new(&text, dictionary)));
                    continue;
                }
                (None, _) => self.inputs.bytes(bytes),
            };
            if input as usize == self.outcomes.len() {
                self.outcomes.push(label.decode(bytes, name).and_then(|text| of_new(&text, dictionary)));
            }
            take(entry, &self.outcomes[input as usize]);
        }
    }
}

/// One label's bytes in all entries of a batch, and which of an entry's names is for them.
struct Cells<'a> {
    batch: &'a wit::Batch,
    /// Bytes and names of an entry.
    identity: usize,
    names: usize,
    offset: usize,
    size: usize,
    /// The label's own name, and the first of the next label.
    name: Option<usize>,
    next_name: usize,
}

impl<'a> Cells<'a> {
    /// Those before the first label: none.
    fn before(metric: &Metric, batch: &'a wit::Batch) -> Self {
        let identity = metric.all_labels().map(|label| label.size as usize).sum();
        let names = metric.all_labels().filter(|label| label.lookup().is_some()).count();
        Self { batch, identity, names, offset: 0, size: 0, name: None, next_name: 0 }
    }

    fn next(&mut self, label: &Label) {
        self.offset += self.size;
        self.size = label.size as usize;
        self.name = label.lookup().map(|_| self.next_name);
        self.next_name += usize::from(self.name.is_some());
    }

    fn identities(&self) -> impl Iterator<Item = &'a [u8]> {
        let offset = self.offset;
        self.batch.identities.chunks_exact(self.identity).map(move |identity| &identity[offset..])
    }

    fn bytes(&self) -> impl Iterator<Item = &'a [u8]> {
        let size = self.size;
        self.identities().map(move |identity| &identity[..size])
    }

    /// Index of the name that the host looked up.
    fn found(&self, entry: usize) -> Option<u32> {
        self.name.map(|name| self.batch.found[entry * self.names + name])
    }

    /// Numbers of this width, as they are.
    fn numbers<'p>(&self, dictionary: &mut Dictionary, places: impl Iterator<Item = &'p mut u32>) {
        match self.size {
            1 => self.numbers_of(|[byte]: [u8; 1]| byte.into(), dictionary, places),
            2 => self.numbers_of(|bytes| u16::from_le_bytes(bytes).into(), dictionary, places),
            4 => self.numbers_of(|bytes| u32::from_le_bytes(bytes).into(), dictionary, places),
            _ => self.numbers_of(u64::from_le_bytes, dictionary, places),
        }
    }

    #[inline(always)]
    fn numbers_of<'p, const WIDTH: usize>(
        &self,
        number: impl Fn([u8; WIDTH]) -> u64,
        dictionary: &mut Dictionary,
        places: impl Iterator<Item = &'p mut u32>,
    ) {
        for (bytes, place) in self.identities().zip(places) {
            let bytes = bytes.first_chunk().expect("the label's size is checked");
            *place = dictionary.unsigned(number(*bytes));
        }
    }
}
