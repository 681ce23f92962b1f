//! Text of answers that is kept for the next one.

use crate::{
    deflate::{PreparedFamilies, PreparedTexts},
    printed::PrintedTexts,
};

/// Text of answers that is kept from scrape to scrape, compressed and uncompressed, within budgets of memory.
#[derive(Debug)]
pub struct Preparations {
    pub(crate) families: PreparedFamilies,
    pub(crate) texts: PreparedTexts,
    pub(crate) printed: PrintedTexts,
}

/// The bounds of [`Preparations`].
#[derive(Debug, Clone, Copy)]
pub struct PreparationLimits {
    /// Memory of the series of large families that are prepared for compression.
    pub bytes: usize,
    /// Series of such families, and lines of other text, that are prepared in one answer: it takes time that the scrape waits for.
    pub lines_per_answer: usize,
    /// Memory of other text that is prepared for compression.
    pub text_bytes: usize,
    /// Memory of uncompressed lines of large families.
    pub printed_bytes: usize,
}

impl Preparations {
    pub fn new(limits: PreparationLimits) -> Self {
        Self {
            families: PreparedFamilies::new(limits.bytes, limits.lines_per_answer),
            texts: PreparedTexts::new(limits.text_bytes, limits.lines_per_answer),
            printed: PrintedTexts::new(limits.printed_bytes),
        }
    }

    /// Memory in bytes.
    pub fn memory(&self) -> usize {
        self.families.memory() + self.texts.memory() + self.printed.memory()
    }

    /// Begins an answer: what was in none of the last ones is forgotten.
    pub(crate) fn begin(&mut self) {
        self.families.begin();
        self.texts.begin();
        self.printed.begin();
    }
}
