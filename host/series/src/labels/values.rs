//! Label values: one by one, or many in one text, as an answer has them.
//!
//! Hardly any value has to be cut, escaped or counted as replaced. A list of values is therefore checked once, as a whole, and not
//! for every label of every new series.

use ebhost_metrics::encode::escape::is_plain;

use crate::util::runs::RunBuffer;

/// Label values by their index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Values {
    text: String,
    /// Where each value ends; it begins where the previous one ends.
    ends: Vec<u32>,
    longest: usize,
    /// Whether all of it is ASCII with nothing to escape.
    is_plain: bool,
}

impl Values {
    /// Values back to back in `text`. `None` if an end is not on a character boundary, is before the previous one, or if the last end is
    /// not that of the text.
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

    /// The number of values.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of the longest value.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// Bytes of all values.
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    /// The value with this index.
    ///
    /// # Panics
    /// If there are not so many values.
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

/// The label values of one answer, one for each column of its view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Labels<'a> {
    /// The values themselves.
    Named(&'a [&'a str]),
    /// Indices into a list of values, all in range.
    Listed(&'a Values, &'a [u32]),
}

impl<'a> Labels<'a> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Named(labels) => labels.len(),
            Self::Listed(_, indices) => indices.len(),
        }
    }

    #[inline]
    pub(crate) fn get(&self, column: usize) -> &'a str {
        match self {
            Self::Named(labels) => labels[column],
            Self::Listed(values, indices) => values.get(indices[column]),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &'a str> {
        let labels = *self;
        (0..labels.len()).map(move |column| labels.get(column))
    }

    /// The values and their indices, if none has to be cut at `limit` bytes or escaped.
    #[inline]
    pub(crate) fn plain(&self, limit: usize) -> Option<Plain<'a>> {
        match self {
            Self::Listed(values, indices) if values.is_plain && values.longest <= limit => {
                Some(Plain { values, indices })
            }
            _ => None,
        }
    }
}

/// Labels that need neither cutting nor escaping.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plain<'a> {
    values: &'a Values,
    indices: &'a [u32],
}

impl<'a> Plain<'a> {
    #[inline]
    pub(crate) fn push(&self, column: usize, out: &mut RunBuffer) {
        let (start, end) = self.values.span(self.indices[column]);
        out.push_from(self.values.text.as_bytes(), start, end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_by_their_index() {
        let values: Values = ["read", "", "nvme0n1"].into_iter().collect();
        assert_eq!([values.get(0), values.get(1), values.get(2)], ["read", "", "nvme0n1"]);
        assert_eq!((values.len(), values.longest(), values.bytes()), (3, 7, 11));
    }

    #[test]
    fn ends_that_do_not_fit_the_text_are_refused() {
        for (text, ends) in [("λ", vec![1, 2]), ("ab", vec![2, 1]), ("ab", vec![1]), ("ab", vec![3]), ("ab", vec![])] {
            assert_eq!(Values::new(text.to_owned(), ends.clone()), None, "{text} {ends:?}");
        }
        assert!(Values::new("aλ".to_owned(), vec![1, 3]).is_some());
    }

    #[test]
    fn one_value_that_is_not_plain_makes_the_whole_list_not_plain() {
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
