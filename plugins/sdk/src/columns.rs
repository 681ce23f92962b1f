//! The answer to a batch, column by column. The buffers are reused from batch to batch, so that a warm instance does not allocate.

use crate::bindings::exports::ebhost::plugin::decoder as wit;
use crate::dictionary::Dictionary;

/// The contract's columns while they are being filled.
#[derive(Default)]
pub struct Columns {
    /// The distinct label values of the batch.
    pub dictionary: Dictionary,
    /// Indices into the dictionary, `columns` of them for each entry. The host does not read those of a refused entry.
    pub labels: Vec<u32>,
    /// One bucket index for each entry; empty in views without buckets.
    pub buckets: Vec<u32>,
    /// Entries that get no series, each at most once.
    pub refused: Vec<wit::Refusal>,
}

impl Columns {
    /// Empty columns, without an allocation.
    pub const fn new() -> Self {
        Self { dictionary: Dictionary::new(), labels: Vec::new(), buckets: Vec::new(), refused: Vec::new() }
    }

    /// Clears the columns for a batch; keeps their memory.
    pub fn clear_for(&mut self, batch: &wit::Batch) {
        self.dictionary.clear(batch.names.len());
        self.labels.clear();
        self.buckets.clear();
        self.refused.clear();
    }

    /// Copies the columns into the contract's record. For native tests; in a component the host reads the columns in place.
    pub fn rows(&mut self) -> wit::Rows {
        wit::Rows {
            dictionary: self.dictionary.texts(),
            labels: self.labels.clone(),
            buckets: self.buckets.clone(),
            refused: core::mem::take(&mut self.refused),
        }
    }
}
