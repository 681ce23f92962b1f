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
        let count = self.byte() % 4;
        (0..count).map(|_| self.number()).collect()
    }

    /// Mostly so many numbers, now and then one more or one less.
    fn about(&mut self, count: usize) -> Vec<u32> {
        let count = match self.byte() {
            255 => count + 1,
            254 => count.saturating_sub(1),
            _ => count,
        };
        (0..count).map(|_| self.number()).collect()
    }
}

/// Checks the answer that the bytes encode, reads every row of it, and compares it with what the numbers say.
///
/// # Panics
/// An answer or a row is accepted that is out of range, or refused although it is not: a bug.
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
    let labels = usize::from(source.byte() % 16);
    let buckets = if view.has_buckets() { count } else { 0 };
    let rows = Rows {
        dictionary: (0..labels).map(|label| label.to_string()).collect(),
        labels: source.about(count * columns),
        buckets: source.about(buckets),
        refused: source.numbers().into_iter().map(|entry| Refusal { entry, reason: reason(entry) }).collect(),
    };
    let expected = Expected::of(&rows, [count, columns, buckets], labels, bounds);
    let answers = Answers::check(rows, &view, bounds, count);
    assert_eq!(answers.is_ok(), expected.is_some(), "the answer as a whole");
    let (Ok(answers), Some(expected)) = (answers, expected) else { return };
    assert_eq!(answers.count(), count, "an answer for each entry");
    for (entry, expected) in expected.rows.iter().enumerate() {
        let found = match answers.row(entry) {
            Row::Labels { columns, bucket } => {
                assert_eq!((columns.len(), bucket.is_some()), (view.columns, view.has_buckets()));
                assert!(
                    columns.iter().all(|column| !answers.label(*column).is_empty()),
                    "each of them in the dictionary"
                );
                Kind::Labels
            }
            Row::Skip | Row::Unknown { .. } => Kind::Refused,
            Row::Unsound { .. } => Kind::Unsound,
        };
        assert_eq!(found, *expected, "entry {entry}");
    }
    assert_eq!(answers.unsound(), expected.rows.iter().filter(|row| **row == Kind::Unsound).count());
}

/// The kind of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Labels,
    Refused,
    Unsound,
}

/// The rows of an answer, by the rules of the contract one after the other.
struct Expected {
    rows: Vec<Kind>,
}

impl Expected {
    /// `None`: the whole answer is unusable.
    fn of(rows: &Rows, [count, columns, buckets]: [usize; 3], labels: usize, bounds: usize) -> Option<Self> {
        let refused: Vec<_> = rows.refused.iter().map(|refusal| refusal.entry as usize).collect();
        let is_twice = refused.iter().enumerate().any(|(at, entry)| refused[..at].contains(entry));
        let is_usable = rows.labels.len() == count * columns
            && rows.buckets.len() == buckets
            && refused.iter().all(|entry| *entry < count)
            && !is_twice;
        let kind = |entry: usize| {
            let has_labels = (0..columns).all(|column| (rows.labels[entry * columns + column] as usize) < labels);
            let has_bucket = buckets == 0 || rows.buckets[entry] as usize <= bounds + 1;
            match refused.contains(&entry) {
                true => Kind::Refused,
                false if has_labels && has_bucket => Kind::Labels,
                false => Kind::Unsound,
            }
        };
        is_usable.then(|| Self { rows: (0..count).map(kind).collect() })
    }
}

fn reason(entry: u32) -> Reason {
    match entry % 2 {
        0 => Reason::Skip,
        _ => Reason::Unknown("odd".to_owned()),
    }
}
