//! From series to the bytes that a scraper reads.
//!
//! It prints tables and never changes one, runs no guest and does no I/O but into the writer that it is given.

mod blocks;
mod cell;
mod family;
pub mod labels;
mod layout;
pub mod negotiate;
pub mod number;
pub mod protobuf;
pub mod scale;
pub mod text;

pub use blocks::LabelBlocks;
pub use cell::CellKind;
pub use family::{Family, FamilySeries, Fold, Kind};
pub use layout::{Layout, native_slot};
pub use negotiate::{Encoding, Format};
pub use protobuf::Messages;
pub use text::{Created, Integers, Pieces, Style, Syntax, Writer};
