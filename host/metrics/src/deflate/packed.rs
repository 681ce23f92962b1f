//! Tokens as they are kept: four bytes each, because there are some for every line of a table.

use super::{
    huffman::Code,
    parse::{Match, Token},
};

/// Tokens in 32 bits: the codes of some literals in the lower 26 bits, and their number of bits above; or, with the highest bit set, a
/// match: 8 bits of its length less 3, 7 of the lines back, 16 of the shift.
#[derive(Debug, Clone, Copy)]
pub(super) struct PackedToken(u32);

/// A [`PackedToken`] as it is written.
pub(super) enum Unpacked {
    Literals { bits: u64, count: u32 },
    Match(Match),
}

impl PackedToken {
    const MATCH: u32 = 1 << 31;
    const LITERAL_BITS: u32 = 26;
    const SHIFT_BIAS: i32 = 1 << 15;

    /// Appends tokens.
    pub(super) fn pack(tokens: &[Token], codes: &[Code], packed: &mut Vec<Self>) {
        let (mut bits, mut count) = (0, 0);
        for token in tokens {
            let code = if let Token::Literal(byte) = token { codes[usize::from(*byte)] } else { Code::default() };
            let is_match = matches!(token, Token::Match(_));
            if count > 0 && (is_match || count + u32::from(code.length) > Self::LITERAL_BITS) {
                packed.push(Self(bits | count << Self::LITERAL_BITS));
                (bits, count) = (0, 0);
            }
            match token {
                Token::Literal(_) => {
                    bits |= u32::from(code.bits) << count;
                    count += u32::from(code.length);
                }
                Token::Match(found) => {
                    let shift = (found.shift + Self::SHIFT_BIAS) as u32;
                    packed.push(Self(
                        Self::MATCH | (found.length - 3) as u32 | (found.lines_back as u32) << 8 | shift << 15,
                    ));
                }
            }
        }
        if count > 0 {
            packed.push(Self(bits | count << Self::LITERAL_BITS));
        }
    }

    pub(super) fn unpack(self) -> Unpacked {
        if self.0 & Self::MATCH == 0 {
            let bits = self.0 & ((1 << Self::LITERAL_BITS) - 1);
            return Unpacked::Literals { bits: u64::from(bits), count: self.0 >> Self::LITERAL_BITS };
        }
        let shift = (self.0 >> 15 & 0xffff) as i32 - Self::SHIFT_BIAS;
        Unpacked::Match(Match {
            length: (self.0 & 0xff) as usize + 3,
            lines_back: (self.0 >> 8 & 0x7f) as usize,
            shift,
        })
    }
}
