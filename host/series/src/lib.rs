//! The arithmetic of a package: labels are kept beside entries, and the increase of raw numbers is added to the cells of series.
//!
//! There is one [`Table`] for each package. It is given snapshots and answers. It does no I/O, runs no guest and interprets no byte
//! that the package's schema does not name, so that a recorded snapshot replays to the same series.
//!
//! Rules for what counts are at [`Table`]; the calls of a scrape and their order are types, beginning with [`Observing`]. Modules, from
//! the bottom up:
//!
//! - `util`: hash index, bit set, short byte strings
//! - `plan`: a view of the schema compiled for counting
//! - `rows`: entries, and which of them each row is
//! - `store`: series by label block, and their cells
//! - `labels`: identities, answers, and the series that each identity feeds
//! - `counting`: baselines, and the loops that add increases to cells
//! - `views`: table views and event views
//! - `table`: all views of a package, scrapes, limits, and the replacement of one table by another

#![forbid(unsafe_code)]

mod counting;
mod labels;
mod plan;
mod rows;
pub mod schema;
pub mod served;
mod store;
mod table;
mod util;
mod views;

#[cfg(test)]
mod tests;

pub use labels::values::{Labels, Values};
pub use plan::Decrease;
pub use table::{Labelling, Observed, Observing, SchemaTooLarge, Settling, ShapeMismatch, Stats, Table, TableLimits};
pub use views::exemplars::ExemplarFields;

/// One identity of one view. Valid until the view is observed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdentityId(u32);

/// A plugin's answer to an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer<'a> {
    /// Values for the view's columns, and the bucket in views that have buckets.
    Series { labels: Labels<'a>, bucket: Option<u32> },
    /// No series, on purpose.
    Skip,
    /// No series, because the identity was not understood.
    Unknown,
}
