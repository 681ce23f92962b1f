//! Compression that knows the table: a deflate encoder for lines whose labels do not change.
//!
//! An ordinary compressor looks in each scrape anew for what lines have in common. Here that is found once, when a group of series has been
//! the same in two scrapes: the labels are kept as compressed bits and as a CRC register, and a scrape adds the digits. Neither the text nor
//! the labels are read again ([`families`]). Other text is printed first, and its lines are compared ([`texts`]). What changed is left to an
//! ordinary compressor, which does the same faster for text that is seen once.
//!
//! The result is deflate (RFC 1951) as every reader knows it: a block for each group, with codes of its own.
//!
//! The labels, and not the compressed bits, are the source of the checksum, so a mistake of the encoder is one that a reader notices.

mod bits;
mod crc;
mod families;
mod group;
mod huffman;
mod number;
mod packed;
mod parse;
mod stream;
mod symbols;
#[cfg(test)]
mod tests;
mod texts;

pub(crate) use families::PreparedFamilies;
pub(crate) use number::NumberText;
pub(crate) use texts::{PreparedTexts, TextPart, TextPieces};

/// Compressed text: whole blocks of a deflate stream, none of which is the last, up to the end of a byte. They refer to nothing before
/// them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deflated {
    pub blocks: Vec<u8>,
    /// CRC-32 of the text.
    pub crc: u32,
    /// Length of the text.
    pub text_bytes: u64,
}
