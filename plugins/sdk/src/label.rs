//! Rows: the arguments and the result of a row function, which turns an entry's identity into label values.

use core::fmt;
use std::borrow::Cow;

/// The result of a row function: the entry's `C` label values in the order of the view's columns, or why it has no series. Made by
/// [`row!`](crate::row!).
pub type Answer<'a, const C: usize> = Result<[Label<'a>; C], Refusal>;

/// The result of a row function for an entry that is one bucket of a histogram; see [`View::bucket_rows`](crate::View::bucket_rows).
pub type BucketAnswer<'a, const C: usize> = Result<(Bucket, [Label<'a>; C]), Refusal>;

/// The names that the host found, one for each [`View::lookup`](crate::View::lookup) in the order of the calls; `None` if the host does
/// not know a name at the moment.
pub type LookupNames<'a, const L: usize> = [Option<LookupName<'a>>; L];

/// A name that the host found in one of its lookup tables.
#[derive(Clone, Copy, Debug)]
pub struct LookupName<'a> {
    pub(crate) text: &'a str,
    /// Its index among the batch's names, by which the dictionary finds it without hashing. None in tests of row functions.
    pub(crate) index: Option<u32>,
}

impl<'a> LookupName<'a> {
    /// A name as if the host had found it; for tests of row functions.
    pub fn new(text: &'a str) -> Self {
        Self { text, index: None }
    }

    /// The name as text.
    pub fn as_str(self) -> &'a str {
        self.text
    }
}

/// One label value. Texts, looked-up names and integers convert into it; [`row!`](crate::row!) does the conversion.
#[derive(Clone, Debug)]
pub struct Label<'a>(pub(crate) Kind<'a>);

#[derive(Clone, Debug)]
pub(crate) enum Kind<'a> {
    Text(Cow<'a, str>),
    Name(LookupName<'a>),
    Unsigned(u64),
    Signed(i64),
}

impl Label<'_> {
    /// The value as it will be exposed, before escaping.
    pub fn text(&self) -> Cow<'_, str> {
        match &self.0 {
            Kind::Text(text) => Cow::Borrowed(text),
            Kind::Name(name) => Cow::Borrowed(name.text),
            Kind::Unsigned(number) => Cow::Owned(number.to_string()),
            Kind::Signed(number) => Cow::Owned(number.to_string()),
        }
    }
}

impl PartialEq for Label<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl PartialEq<&str> for Label<'_> {
    fn eq(&self, other: &&str) -> bool {
        self.text() == **other
    }
}

impl<'a> From<&'a str> for Label<'a> {
    #[inline]
    fn from(text: &'a str) -> Self {
        Self(Kind::Text(Cow::Borrowed(text)))
    }
}

impl From<String> for Label<'_> {
    fn from(text: String) -> Self {
        Self(Kind::Text(Cow::Owned(text)))
    }
}

impl<'a> From<Cow<'a, str>> for Label<'a> {
    #[inline]
    fn from(text: Cow<'a, str>) -> Self {
        Self(Kind::Text(text))
    }
}

impl<'a> From<LookupName<'a>> for Label<'a> {
    #[inline]
    fn from(name: LookupName<'a>) -> Self {
        Self(Kind::Name(name))
    }
}

macro_rules! numbers {
    ($($int:ty => $kind:ident as $wide:ty),+) => {$(
        impl From<$int> for Label<'_> {
            #[inline]
            fn from(number: $int) -> Self {
                Self(Kind::$kind(<$wide>::from(number)))
            }
        }
    )+};
}

numbers!(u8 => Unsigned as u64, u16 => Unsigned as u64, u32 => Unsigned as u64, u64 => Unsigned as u64);
numbers!(i8 => Signed as i64, i16 => Signed as i64, i32 => Signed as i64, i64 => Signed as i64);

/// Which part of its histogram an entry is, in views that feed [`bucket`](crate::bucket()) values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bucket {
    /// The bucket with this index, from 0. The index that equals the number of bounds is the `+Inf` bucket.
    Slot(u32),
    /// The sum of all observations.
    Sum,
}

/// Why an entry has no series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The entry is not of interest, belongs to another view, or has no name yet. Not an error. The host keeps its counts and asks again
    /// when a name appears, so nothing is lost.
    Skip,
    /// The entry is not understood. The host counts it as a decode error and shows this text to the operator.
    Unknown(String),
}

impl Refusal {
    /// A [`Refusal::Unknown`] with a text that says what was found and what was expected.
    ///
    /// ```
    /// # use ebhost_plugin::Refusal;
    /// let state = 7;
    /// let refusal = Refusal::unknown(format_args!("found state {state}, expected 0 to 3"));
    /// ```
    pub fn unknown(why: impl fmt::Display) -> Self {
        Self::Unknown(why.to_string())
    }
}

/// An [`Answer`](crate::Answer) with the label values of an entry, in the order of the view's columns.
///
/// ```
/// use ebhost_plugin::{Answer, row};
///
/// let answer: Answer<'_, 3> = row!["sda", "read", 7u32];
/// assert_eq!(answer.unwrap(), ["sda", "read", "7"]);
/// ```
#[macro_export]
macro_rules! row {
    ($($label:expr),* $(,)?) => {
        ::core::result::Result::Ok([$($crate::Label::from($label)),*])
    };
}
