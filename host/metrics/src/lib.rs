//! The one metric model of ebhost, and its encoders.
//!
//! Everything that is exposed, the families of plugins and those of the host itself, is a [`FamilySeries`]: a [`Family`] and the columns
//! of its series. An [`Encoder`] turns families into the bytes of one exposition format; there is one file per format
//! in [`encode`].
//!
//! This crate changes no series, runs no guest, and does no I/O but into the [`ChunkSink`] that it is given: so that an encoder can be
//! tested with families made by hand ([`OwnedFamily`]), and a new sink needs no change of what counts.

#![forbid(unsafe_code)]

mod blocks;
mod cell;
pub mod deflate;
pub mod encode;
mod exemplars;
mod family;
mod kept;
pub mod labels;
mod layout;
pub mod negotiate;
mod owned;
mod preparations;
mod printed;
mod revisions;
pub mod scale;
mod served;
mod size;

pub use blocks::LabelBlocks;
pub use cell::CellKind;
pub use deflate::Deflated;
pub use encode::{ChunkSink, Created, Encoder, Integers, Presentation, encode_fragment, encoder, keeping_encoder};
pub use exemplars::{Exemplar, Exemplars};
pub use family::{Family, FamilySeries, Fold, Kind, Series};
pub use layout::{Layout, native_slot};
pub use negotiate::{Encoding, Format};
pub use owned::OwnedFamily;
pub use preparations::{PreparationLimits, Preparations};
pub use revisions::{GROUP_SERIES, Revisions, SeriesRevisions};
pub use served::ServedBuckets;
pub use size::SeriesSize;
