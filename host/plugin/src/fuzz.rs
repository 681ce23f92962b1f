//! Makes answers of arbitrary bytes, for fuzzing: the checker against anything that a guest could return.

use crate::{
    contract::rows::{Reason, Refusal, Rows},
    decode::{Answers, Row},
};
use ebhost_series::schema::{Encoding, Feed, LabelSource, Number, Value, View};

/// Reads numbers off the front of some bytes; zeros when they run out.
struct Source<'a>(&'a [u8]);

impl Source<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// Mostly small, now and then as large as it can be.
    fn number(&mut self) -> u32 {
        match self.byte() {
            255 => u32::MAX,
            254 => u32::MAX / 2,
            small => u32::from(small % 16),
        }
    }

    fn numbers(&mut self) -> Vec<u32> {
        let count = self.byte() % 64;
        (0..count).map(|_| self.number()).collect()
    }
}

/// Checks the answer that the bytes encode, and reads every row of it.
///
/// # Panics
/// A label or bucket of a checked row cannot be read, which is a bug.
pub fn answer(bytes: &[u8]) {
    let mut source = Source(bytes);
    let (count, columns, bounds) =
        (usize::from(source.byte() % 16), usize::from(source.byte() % 4), usize::from(source.byte() % 8));
    let number = Number { offset: 0, size: 8, encoding: Encoding::Unsigned };
    let value = match source.byte() % 2 {
        0 => Value::Number(number),
        _ => Value::Bucket(ebhost_series::schema::Bucket { count: number, sum: None }),
    };
    let view = View {
        source: "m".to_owned(),
        key_size: 4,
        value_size: 8,
        identity: Vec::new(),
        lookups: Vec::new(),
        columns,
        feeds: vec![Feed { family: 0, labels: vec![LabelSource::Cpu], value }],
    };
    let rows = Rows {
        dictionary: (0..source.byte() % 16).map(|label| label.to_string()).collect(),
        labels: source.numbers(),
        buckets: source.numbers(),
        refused: source.numbers().into_iter().map(|entry| Refusal { entry, reason: reason(entry) }).collect(),
    };
    let Ok(answers) = Answers::check(rows, &view, bounds, count) else { return };
    assert_eq!(answers.count(), count, "an answer for each entry");
    for entry in 0..count {
        if let Row::Labels { columns, bucket } = answers.row(entry) {
            assert_eq!(columns.len(), view.columns, "a label for each column");
            assert!(columns.iter().all(|column| !answers.label(*column).is_empty()), "each of them in the dictionary");
            assert!(bucket.is_none_or(|bucket| bucket as usize <= bounds + 1), "a bucket of the family, or its sum");
        }
    }
    assert!(answers.unsound() <= count);
}

fn reason(entry: u32) -> Reason {
    match entry % 2 {
        0 => Reason::Skip,
        _ => Reason::Unknown("odd".to_owned()),
    }
}
