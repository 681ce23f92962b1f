//! The answer to a batch after every check: all indices and bucket numbers in it are in range.
//!
//! Columns of a wrong length fail the whole call; one invalid row costs that row alone.

use crate::contract::{
    STRING_BYTES,
    rows::{Reason, Refusal, Rows},
};
use ebhost_series::{Values, schema::View};

/// The result for one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row<'a> {
    /// A series.
    Labels {
        /// For each column an index into [`Answers::values`].
        columns: &'a [u32],
        /// The bucket number, in views that have them.
        bucket: Option<u32>,
    },
    /// No series, on purpose.
    Skip,
    /// No series: the plugin does not understand the entry.
    Unknown {
        /// The plugin's own text.
        why: &'a str,
    },
    /// No series: the row is invalid.
    Unsound {
        /// The fault.
        why: &'static str,
    },
}

/// A checked answer.
#[derive(Debug)]
pub struct Answers {
    rows: Rows,
    count: usize,
    columns: usize,
    has_buckets: bool,
    last_bucket: u32,
    /// For each entry 0, or 1 + the index of its refusal; empty: none is refused.
    refused: Vec<u32>,
    /// Whether every number is in range, as is usual: then rows need no checks of their own.
    is_sound: bool,
}

/// Why a whole answer is unusable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("answers {found} for {what}, expected {expected}")]
pub struct AnswerError {
    what: &'static str,
    found: String,
    expected: String,
}

/// Bytes of an answer, as the engine counts them against [`limits::ANSWER_BYTES`](ebhost_limits::ANSWER_BYTES).
pub(crate) fn copied_bytes(rows: &Rows) -> usize {
    let reasons = rows.refused.iter().map(|refusal| match &refusal.reason {
        Reason::Skip => 0,
        Reason::Unknown(text) => text.len(),
    });
    rows.dictionary.bytes()
        + rows.dictionary.len() * STRING_BYTES
        + reasons.sum::<usize>()
        + size_of_val(rows.labels.as_slice())
        + size_of_val(rows.buckets.as_slice())
        + size_of_val(rows.refused.as_slice())
}

impl Answers {
    /// Checks the answer about `count` entries of `view`: the columns' lengths and the refusals. `bounds` is the number of bounds of the
    /// families that the view's buckets feed.
    ///
    /// # Errors
    /// A column has a wrong length, or a refusal is of no entry or of one that another refusal names.
    pub(crate) fn check(rows: Rows, view: &View, bounds: usize, count: usize) -> Result<Self, AnswerError> {
        let labels = rows.labels.len();
        if labels != count * view.columns {
            let expected = format!("{count} entries × {} columns", view.columns);
            return Err(AnswerError { what: "labels", found: labels.to_string(), expected });
        }
        let (found, expected) = (rows.buckets.len(), if view.has_buckets() { count } else { 0 });
        if found != expected {
            return Err(AnswerError { what: "buckets", found: found.to_string(), expected: expected.to_string() });
        }
        let refused = index_refusals(&rows.refused, count)?;
        let (has_buckets, last_bucket) = (view.has_buckets(), bounds as u32 + 1);
        let is_sound = rows.labels.iter().all(|index| (*index as usize) < rows.dictionary.len())
            && rows.buckets.iter().all(|bucket| *bucket <= last_bucket);
        Ok(Self { rows, count, columns: view.columns, has_buckets, last_bucket, refused, is_sound })
    }

    /// Number of invalid rows.
    pub fn unsound(&self) -> usize {
        if self.is_sound {
            return 0;
        }
        (0..self.count).filter(|entry| matches!(self.row(*entry), Row::Unsound { .. })).count()
    }

    /// Number of entries in the batch.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The result for entry `entry` of the batch, counted from 0.
    ///
    /// # Panics
    /// There is no such entry.
    pub fn row(&self, entry: usize) -> Row<'_> {
        if let Some(refusal) =
            self.refused.get(entry).and_then(|mark| self.rows.refused.get((*mark as usize).wrapping_sub(1)))
        {
            return match &refusal.reason {
                Reason::Skip => Row::Skip,
                Reason::Unknown(text) => Row::Unknown { why: text },
            };
        }
        let columns = &self.rows.labels[entry * self.columns..(entry + 1) * self.columns];
        let bucket = self.has_buckets.then(|| self.rows.buckets[entry]);
        if self.is_sound {
            return Row::Labels { columns, bucket };
        }
        if columns.iter().any(|index| *index as usize >= self.rows.dictionary.len()) {
            return Row::Unsound { why: "a label index beyond the dictionary" };
        }
        if bucket.is_some_and(|bucket| bucket > self.last_bucket) {
            return Row::Unsound { why: "a bucket number beyond the sum's" };
        }
        Row::Labels { columns, bucket }
    }

    /// The label value at an index from a [`Row::Labels`].
    pub fn label(&self, index: u32) -> &str {
        self.rows.dictionary.get(index)
    }

    /// All label values, each once.
    pub fn values(&self) -> &Values {
        &self.rows.dictionary
    }
}

/// For each entry 0, or 1 + the index of its refusal; empty if there is none.
fn index_refusals(refusals: &[Refusal], count: usize) -> Result<Vec<u32>, AnswerError> {
    if refusals.is_empty() {
        return Ok(Vec::new());
    }
    let mut refused = vec![0; count];
    for (index, Refusal { entry, .. }) in refusals.iter().enumerate() {
        let (found, expected) = match refused.get_mut(*entry as usize) {
            Some(mark @ 0) => {
                *mark = index as u32 + 1;
                continue;
            }
            Some(_) => (format!("entry {entry} twice"), "it once".to_owned()),
            None => (format!("entry {entry}"), format!("one below {count}")),
        };
        return Err(AnswerError { what: "refused", found, expected });
    }
    Ok(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(columns: usize) -> View {
        View {
            source: "m".into(),
            key_size: 4,
            value_size: 8,
            identity: vec![],
            lookups: vec![],
            columns,
            feeds: vec![],
        }
    }

    fn rows(labels: &[u32], refused: &[(u32, Reason)]) -> Rows {
        Rows {
            dictionary: ["a", "b"].into_iter().collect(),
            labels: labels.to_vec(),
            buckets: vec![],
            refused: refused.iter().map(|(entry, reason)| Refusal { entry: *entry, reason: reason.clone() }).collect(),
        }
    }

    #[test]
    fn a_sound_answer_is_read_row_by_row() {
        let refusals = [(1, Reason::Skip), (2, Reason::Unknown("odd".into()))];
        let answers = Answers::check(rows(&[1, 0, 0], &refusals), &view(1), 0, 3).unwrap();
        assert_eq!(answers.row(0), Row::Labels { columns: &[1], bucket: None });
        assert_eq!(answers.label(1), "b");
        assert_eq!(answers.row(1), Row::Skip);
        assert_eq!(answers.row(2), Row::Unknown { why: "odd" });
    }

    #[test]
    fn one_invalid_row_costs_that_row_alone() {
        let answers = Answers::check(rows(&[9, 0], &[]), &view(1), 0, 2).unwrap();
        assert!(matches!(answers.row(0), Row::Unsound { .. }));
        assert_eq!(answers.unsound(), 1);
        assert_eq!(answers.row(1), Row::Labels { columns: &[0], bucket: None });
    }

    /// A view whose entries are buckets.
    fn bucket_view(columns: usize) -> View {
        use ebhost_series::schema::{Bucket, Encoding, Feed, Number, Value};
        let count = Number { offset: 0, size: 8, encoding: Encoding::Unsigned };
        let feed = Feed { family: 0, labels: Vec::new(), value: Value::Bucket(Bucket { count, sum: None }) };
        View { feeds: vec![feed], ..view(columns) }
    }

    /// Two bounds make the buckets 0, 1 and 2, and 3 is the sum.
    #[test]
    fn one_bucket_number_out_of_range_costs_its_row_alone() {
        let rows = Rows { buckets: vec![0, 3, 4, u32::MAX, 2], ..rows(&[0, 1, 0, 1, 1], &[]) };
        let answers = Answers::check(rows, &bucket_view(1), 2, 5).unwrap();
        for (entry, bucket) in [(0, 0), (1, 3), (4, 2)] {
            assert!(
                matches!(answers.row(entry), Row::Labels { bucket: Some(found), .. } if found == bucket),
                "{entry}"
            );
        }
        for entry in [2, 3] {
            let row = answers.row(entry);
            assert!(matches!(row, Row::Unsound { why } if why.contains("bucket number")), "{entry}: {row:?}");
        }
        assert_eq!(answers.unsound(), 2);
    }

    /// The dictionary has two labels, so 2 is one too many.
    #[test]
    fn an_index_of_one_beyond_the_dictionary_costs_its_row_alone() {
        let answers = Answers::check(rows(&[0, 1, 1, 2, 2, 0, 1, 1], &[]), &view(2), 0, 4).unwrap();
        let is_sound = |entry: usize| matches!(answers.row(entry), Row::Labels { .. });
        assert_eq!([0, 1, 2, 3].map(is_sound), [true, false, false, true]);
        assert_eq!((answers.unsound(), answers.count()), (2, 4));
    }

    #[test]
    fn a_view_has_buckets_or_it_has_none() {
        let with = |buckets| Rows { buckets, ..rows(&[0, 1], &[]) };
        assert!(Answers::check(with(vec![1, 2]), &bucket_view(1), 2, 2).is_ok());
        for (buckets, view) in [(vec![1], bucket_view(1)), (vec![1, 2, 0], bucket_view(1)), (vec![1, 2], view(1))] {
            let error = Answers::check(with(buckets), &view, 2, 2).unwrap_err();
            assert!(error.to_string().contains("for buckets, expected"), "{error}");
        }
    }

    #[test]
    fn columns_of_a_wrong_length_fail_the_whole_answer() {
        for (labels, refusals) in [
            (vec![0], vec![]),
            (vec![0, 0, 0], vec![]),
            (vec![0, 0], vec![(2, Reason::Skip)]),
            (vec![0, 0], vec![(0, Reason::Skip), (0, Reason::Skip)]),
        ] {
            let error = Answers::check(rows(&labels, &refusals), &view(1), 0, 2).unwrap_err();
            assert!(error.to_string().contains("expected"), "{error}");
        }
    }

    /// The share of the limit on answers is shown by this size: all lists count, and the texts.
    #[test]
    fn every_part_of_an_answer_counts_against_its_limit() {
        let nothing = copied_bytes(&rows(&[], &[]));
        let size = |rows: &Rows| copied_bytes(rows) - nothing;
        assert_eq!(size(&rows(&[0, 1, 1], &[])), 12);
        assert_eq!(size(&Rows { buckets: vec![0, 1], ..rows(&[], &[]) }), 8);
        let refusal = size_of::<Refusal>();
        assert_eq!(size(&rows(&[], &[(0, Reason::Skip), (1, Reason::Unknown("odd".into()))])), 2 * refusal + 3);
        let longer = Rows { dictionary: ["a", "b", "cde"].into_iter().collect(), ..rows(&[], &[]) };
        assert_eq!(size(&longer), STRING_BYTES + 3);
    }
}
