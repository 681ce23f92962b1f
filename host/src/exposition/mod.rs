//! From series to the bytes that a scraper reads.
//!
//! It prints tables and never changes one, runs no guest and does no I/O but into the writer that it is given.

mod labels;
pub mod negotiate;
pub mod number;
pub mod protobuf;
pub mod text;

#[cfg(test)]
mod oracle_test;

pub use negotiate::{Encoding, Format};
pub use protobuf::Messages;
pub use text::{Created, Integers, Pieces, Style, Syntax, Writer};
