//! Rows and entries. It knows keys alone: no value, no label.
//!
//! An *entry* is a key that the host remembers: of a map, or an identity that events had. [`entries::EntryTable`] holds them;
//! [`matcher::RowMatcher`] finds the entry of each row of a reading.

pub(crate) mod entries;
pub(crate) mod matcher;

#[cfg(test)]
mod matcher_test;
