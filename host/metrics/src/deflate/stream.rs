//! Blocks that are handed out in chunks.

use super::{Deflated, bits::BitWriter, crc, group::Written};

/// Compressed bytes after which blocks are handed out.
const CHUNK_BYTES: usize = 128 << 10;

/// Blocks that are not handed out yet.
#[derive(Debug)]
pub(super) struct BlockWriter {
    pub(super) bits: BitWriter,
    pub(super) written: Written,
}

impl Default for BlockWriter {
    fn default() -> Self {
        Self { bits: BitWriter::default(), written: Written { crc: crc::START, bytes: 0 } }
    }
}

impl BlockWriter {
    /// The blocks that were written, once they are worth a chunk.
    pub(super) fn take_chunk(&mut self) -> Option<Deflated> {
        if self.bits.len() < CHUNK_BYTES { None } else { self.take() }
    }

    /// The blocks that were written, if there are any.
    pub(super) fn take(&mut self) -> Option<Deflated> {
        if self.bits.is_empty() {
            return None;
        }
        let Self { bits, written } = std::mem::take(self);
        Some(Deflated { blocks: bits.finish_aligned(), crc: !written.crc, text_bytes: written.bytes })
    }
}
