//! The rows that a guest returns for a batch, before any check: the same types for every contract version.

use ebhost_series::Values;

/// One answer as columns; [`Answers::check`](crate::Answers) makes it safe to use.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rows {
    /// Every label value once, in one buffer.
    pub(crate) dictionary: Values,
    /// Indices into `dictionary`, row by row.
    pub(crate) labels: Vec<u32>,
    /// One bucket number for each row, in views that have buckets; otherwise empty.
    pub(crate) buckets: Vec<u32>,
    /// Entries without a series.
    pub(crate) refused: Vec<Refusal>,
}

/// An entry that the guest gives no series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Position in the batch.
    pub(crate) entry: u32,
    pub(crate) reason: Reason,
}

/// Why an entry gives no series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Not of interest; not an error.
    Skip,
    /// The plugin does not understand the entry, for the reason it gives.
    Unknown(String),
}

/// Severity of a line that a guest logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}
