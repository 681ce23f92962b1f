//! The answer to a batch, in buffers that are kept: the next batch finds them as large as it needs them.

use crate::bindings::exports::ebhost::plugin::decoder as wit;
use crate::dictionary::Dictionary;

/// The contract's columns, as they grow.
#[derive(Default)]
pub struct Columns {
    /// Label values.
    pub dictionary: Dictionary,
    /// Places in the dictionary, a run for each entry. Those of a refused entry are not read.
    pub labels: Vec<u32>,
    /// Bucket numbers, or empty.
    pub buckets: Vec<u32>,
    /// Entries without a series, each once.
    pub refused: Vec<wit::Refusal>,
}

impl Columns {
    /// Empty, and nothing allocated.
    pub const fn new() -> Self {
        Self { dictionary: Dictionary::new(), labels: Vec::new(), buckets: Vec::new(), refused: Vec::new() }
    }

    /// Empties them for a batch.
    pub fn begin(&mut self, batch: &wit::Batch) {
        self.dictionary.begin(batch.names.len());
        self.labels.clear();
        self.buckets.clear();
        self.refused.clear();
    }

    /// A copy in the contract's own form, for tests: the host is lent the columns themselves.
    pub fn rows(&mut self) -> wit::Rows {
        wit::Rows {
            dictionary: self.dictionary.texts(),
            labels: self.labels.clone(),
            buckets: self.buckets.clone(),
            refused: core::mem::take(&mut self.refused),
        }
    }
}
