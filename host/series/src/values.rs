//! Label values: one by one, or many in one text, as an answer brings them.
//!
//! Whether a value is to be cut, escaped or counted as replaced is asked about every label of every new series. Nearly never
//! is one; so a list of values is looked through once, as a whole.

use super::labels::is_plain;
use super::short::Runs;

/// Label values by their index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Values {
    text: String,
    /// Where each value ends; it begins where the one before ends.
    ends: Vec<u32>,
    longest: usize,
    /// All of it ASCII with nothing to escape.
    is_plain: bool,
}

impl Values {
    /// Values back to back in `text`; none: one of them does not end with a character, or not behind the one before.
    pub fn new(text: String, ends: Vec<u32>) -> Option<Self> {
        let is_ascii = text.is_ascii();
        let (mut start, mut longest) = (0, 0);
        for &end in &ends {
            longest = longest.max(end.checked_sub(start)?);
            start = end;
        }
        let is_whole = start as usize == text.len();
        let is_cut = || ends.iter().any(|&end| !text.is_char_boundary(end as usize));
        if !is_whole || (!is_ascii && is_cut()) {
            return None;
        }
        let is_plain = is_ascii && is_plain(text.as_bytes());
        Some(Self { text, ends, longest: longest as usize, is_plain })
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of the longest.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// Bytes of all.
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    /// # Panics
    /// Beyond the last.
    #[inline]
    pub fn get(&self, index: u32) -> &str {
        let (start, end) = self.span(index);
        &self.text[start..end]
    }

    #[inline]
    fn span(&self, index: u32) -> (usize, usize) {
        let index = index as usize;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        (start as usize, self.ends[index] as usize)
    }
}

impl<S: AsRef<str>> FromIterator<S> for Values {
    fn from_iter<T: IntoIterator<Item = S>>(values: T) -> Self {
        let (mut text, mut ends) = (String::new(), Vec::new());
        for value in values {
            text.push_str(value.as_ref());
            ends.push(u32::try_from(text.len()).expect("an answer is bounded far below 4 GiB"));
        }
        Self::new(text, ends).expect("values end where they end")
    }
}

/// The label values of one answer, one a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Labels<'a> {
    Named(&'a [&'a str]),
    /// Indices into these values, none beyond the last.
    Listed(&'a Values, &'a [u32]),
}

impl<'a> Labels<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Named(labels) => labels.len(),
            Self::Listed(_, indices) => indices.len(),
        }
    }

    #[inline]
    pub(super) fn get(&self, column: usize) -> &'a str {
        match self {
            Self::Named(labels) => labels[column],
            Self::Listed(values, indices) => values.get(indices[column]),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &'a str> {
        let labels = *self;
        (0..labels.len()).map(move |column| labels.get(column))
    }

    /// The values and their indices, if none is longer than `limit` and all are printed as they are.
    #[inline]
    pub(super) fn plain(&self, limit: usize) -> Option<Plain<'a>> {
        match self {
            Self::Listed(values, indices) if values.is_plain && values.longest <= limit => {
                Some(Plain { values, indices })
            }
            _ => None,
        }
    }
}

/// Labels that are printed as they are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plain<'a> {
    values: &'a Values,
    indices: &'a [u32],
}

impl<'a> Plain<'a> {
    #[inline]
    pub(super) fn push(&self, column: usize, out: &mut Runs) {
        let (start, end) = self.values.span(self.indices[column]);
        out.push_from(self.values.text.as_bytes(), start, end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_got_by_their_index() {
        let values: Values = ["read", "", "nvme0n1"].into_iter().collect();
        assert_eq!([values.get(0), values.get(1), values.get(2)], ["read", "", "nvme0n1"]);
        assert_eq!((values.len(), values.longest(), values.bytes()), (3, 7, 11));
    }

    #[test]
    fn ends_that_do_not_fit_their_text_are_no_values() {
        for (text, ends) in [("λ", vec![1, 2]), ("ab", vec![2, 1]), ("ab", vec![1]), ("ab", vec![3]), ("ab", vec![])] {
            assert_eq!(Values::new(text.to_owned(), ends.clone()), None, "{text} {ends:?}");
        }
        assert!(Values::new("aλ".to_owned(), vec![1, 3]).is_some());
    }

    #[test]
    fn one_value_that_is_not_plain_makes_all_of_them_be_looked_at() {
        for (value, limit, is_plain) in [
            ("abcd", 4, true),
            ("abcd", 3, false),
            ("a\"", 4, false),
            ("\\", 4, false),
            ("\n", 4, false),
            ("λ", 4, false),
        ] {
            let values: Values = ["a", value].into_iter().collect();
            assert_eq!(Labels::Listed(&values, &[0]).plain(limit).is_some(), is_plain, "{value:?}");
        }
        assert!(Labels::Named(&["a"]).plain(4).is_none());
    }
}
