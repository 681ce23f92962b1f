//! A row: what a function from identity to labels takes and gives.

use core::fmt;
use std::borrow::Cow;

/// The labels of an entry, `C` of them in the order of the view's columns, or why it has none; made by [`row!`](crate::row!).
pub type Answer<'a, const C: usize> = Result<[Label<'a>; C], Refusal>;

/// The same for an entry that is one bucket of a series.
pub type BucketAnswer<'a, const C: usize> = Result<(Bucket, [Label<'a>; C]), Refusal>;

/// What the host found, for each of the view's lookups in order; `None`: not known to it now.
pub type Names<'a, const L: usize> = [Option<Name<'a>>; L];

/// A name that the host found.
#[derive(Clone, Copy, Debug)]
pub struct Name<'a> {
    pub(crate) text: &'a str,
    /// Its place in the batch, which saves a look into the dictionary.
    pub(crate) index: Option<u32>,
}

impl<'a> Name<'a> {
    /// A name as the host would find it; for tests of row functions.
    pub fn new(text: &'a str) -> Self {
        Self { text, index: None }
    }

    /// Its text.
    pub fn as_str(self) -> &'a str {
        self.text
    }
}

/// One label value. From texts, names and integers by `into`; [`row!`](crate::row!) does that by itself.
#[derive(Clone, Debug)]
pub struct Label<'a>(pub(crate) Kind<'a>);

#[derive(Clone, Debug)]
pub(crate) enum Kind<'a> {
    Text(Cow<'a, str>),
    Name(Name<'a>),
    Unsigned(u64),
    Signed(i64),
}

impl Label<'_> {
    /// As it will be printed, before escaping.
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

impl<'a> From<Name<'a>> for Label<'a> {
    #[inline]
    fn from(name: Name<'a>) -> Self {
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

/// Which bucket of its series an entry is; of views that feed [`bucket`](crate::bucket()) values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bucket {
    /// The bucket of this bound, from 0; equal to the number of bounds: above the last.
    Slot(u32),
    /// The entry that holds the sum of observations.
    Sum,
}

/// Why an entry gives no series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not of interest, not of this view, or not nameable now: no error. Its counts wait, so that a later answer loses none.
    Skip,
    /// Not understood: counted as a decode error, and this text shown to the operator.
    Unknown(String),
}

impl Refusal {
    /// Not understood, with what was found and what was expected.
    pub fn unknown(why: impl fmt::Display) -> Self {
        Self::Unknown(why.to_string())
    }
}

/// The labels of an entry, in the order of the view's columns: `row![disk, "read", 7u32]`.
#[macro_export]
macro_rules! row {
    ($($label:expr),* $(,)?) => {
        ::core::result::Result::Ok([$($crate::Label::from($label)),*])
    };
}
