//! The answer to a batch, checked: what a guest says is believed only as far as its numbers are in range.
//!
//! Columns of a wrong length are a failure of the whole call; one bad row costs that row alone.

use super::contract::{Reason, Rows};
use super::dictionary;
use ebhost_series::{Values, schema::View};

/// What came of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row<'a> {
    /// Indices into the dictionary, one a column, and the bucket in views that have them.
    Labels { columns: &'a [u32], bucket: Option<u32> },
    /// No series, on purpose.
    Skip,
    /// No series: the plugin does not understand the entry.
    Unknown { why: &'a str },
    /// No series: the row says what cannot be.
    Unsound { why: &'static str },
}

/// A checked answer.
#[derive(Debug)]
pub struct Answers {
    rows: Rows,
    count: usize,
    columns: usize,
    has_buckets: bool,
    most_bucket: u32,
    /// For each entry: 0, or 1 + the index of its refusal.
    refused: Vec<u32>,
    /// Whether every number is in range, as is usual: then no row need be looked at for that.
    is_sound: bool,
}

/// Why an answer as a whole is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("answers {found} for {what}, expected {expected}")]
pub struct AnswerError {
    what: &'static str,
    found: String,
    expected: String,
}

/// Bytes that an answer had to be copied out, as the engine counts them against `limits::ANSWER_BYTES`.
pub(super) fn copied_bytes(rows: &Rows) -> usize {
    let whys = rows.refused.iter().map(|refusal| match &refusal.why {
        Reason::Skip => 0,
        Reason::Unknown(why) => why.len(),
    });
    rows.dictionary.0.bytes()
        + rows.dictionary.0.len() * dictionary::SPAN
        + whys.sum::<usize>()
        + size_of_val(rows.labels.as_slice())
        + size_of_val(rows.buckets.as_slice())
        + size_of_val(rows.refused.as_slice())
}

impl Answers {
    /// Checks the columns' lengths and the refusals. `bounds`: of the families that the view's buckets feed.
    pub(super) fn check(rows: Rows, view: &View, bounds: usize, count: usize) -> Result<Self, AnswerError> {
        let wrong = |what, found: String, expected: String| Err(AnswerError { what, found, expected });
        let labels = rows.labels.len();
        if labels != count * view.columns {
            return wrong("labels", labels.to_string(), format!("{count} entries × {} columns", view.columns));
        }
        let buckets = if view.has_buckets() { count } else { 0 };
        if rows.buckets.len() != buckets {
            return wrong("buckets", rows.buckets.len().to_string(), buckets.to_string());
        }
        let mut refused = Vec::new();
        if !rows.refused.is_empty() {
            refused.resize(count, 0);
        }
        for (index, refusal) in rows.refused.iter().enumerate() {
            match refused.get_mut(refusal.entry as usize) {
                Some(mark @ 0) => *mark = index as u32 + 1,
                Some(_) => return wrong("refused", format!("entry {} twice", refusal.entry), "it once".into()),
                None => return wrong("refused", format!("entry {}", refusal.entry), format!("one below {count}")),
            }
        }
        let (has_buckets, most_bucket) = (view.has_buckets(), bounds as u32 + 1);
        let is_sound = rows.labels.iter().all(|index| (*index as usize) < rows.dictionary.0.len())
            && rows.buckets.iter().all(|bucket| *bucket <= most_bucket);
        Ok(Self { rows, count, columns: view.columns, has_buckets, most_bucket, refused, is_sound })
    }

    /// Rows that are not sound.
    pub fn unsound(&self) -> usize {
        if self.is_sound {
            return 0;
        }
        (0..self.count).filter(|entry| matches!(self.row(*entry), Row::Unsound { .. })).count()
    }

    /// Entries that were asked about.
    pub fn count(&self) -> usize {
        self.count
    }

    /// What came of entry `entry` of the batch.
    pub fn row(&self, entry: usize) -> Row<'_> {
        if let Some(refusal) =
            self.refused.get(entry).and_then(|mark| self.rows.refused.get((*mark as usize).wrapping_sub(1)))
        {
            return match &refusal.why {
                Reason::Skip => Row::Skip,
                Reason::Unknown(why) => Row::Unknown { why },
            };
        }
        let columns = &self.rows.labels[entry * self.columns..(entry + 1) * self.columns];
        let bucket = self.has_buckets.then(|| self.rows.buckets[entry]);
        if self.is_sound {
            return Row::Labels { columns, bucket };
        }
        if columns.iter().any(|index| *index as usize >= self.rows.dictionary.0.len()) {
            return Row::Unsound { why: "a label index beyond the dictionary" };
        }
        if bucket.is_some_and(|bucket| bucket > self.most_bucket) {
            return Row::Unsound { why: "a bucket number beyond the sum's" };
        }
        Row::Labels { columns, bucket }
    }

    /// A label value of a row that `row` gave.
    pub fn label(&self, index: u32) -> &str {
        self.rows.dictionary.0.get(index)
    }

    /// All label values.
    pub fn values(&self) -> &Values {
        &self.rows.dictionary.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Refusal;

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
            refused: refused.iter().map(|(entry, why)| Refusal { entry: *entry, why: why.clone() }).collect(),
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
    fn one_bad_row_costs_that_row_alone() {
        let answers = Answers::check(rows(&[9, 0], &[]), &view(1), 0, 2).unwrap();
        assert!(matches!(answers.row(0), Row::Unsound { .. }));
        assert_eq!(answers.unsound(), 1);
        assert_eq!(answers.row(1), Row::Labels { columns: &[0], bucket: None });
    }

    #[test]
    fn columns_of_a_wrong_length_are_refused_whole() {
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
}
