//! The digits of a number, in a form that is compressed and checksummed without going through memory.

use super::huffman::Code;
use crate::encode::number::eight_digits;

/// The longest text of a number.
pub(super) const MOST_DIGITS: usize = 32;

/// Characters of numbers.
pub(super) const CHARACTERS: &[u8] = b"0123456789.e+-NaInf";

/// The text of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NumberText {
    /// Up to 8 digits, each in a byte, the first in the lowest one.
    Digits {
        digits: u64,
        count: u32,
    },
    Text {
        bytes: [u8; MOST_DIGITS],
        count: u32,
    },
}

impl NumberText {
    /// The text of a whole number.
    #[inline]
    pub(crate) fn integer(number: u64) -> Self {
        if number < 100_000_000 {
            let digits = eight_digits(number as u32);
            let zeros = (digits.trailing_zeros() / 8).min(7);
            return Self::Digits { digits: digits >> (8 * zeros), count: 8 - zeros };
        }
        Self::text(itoa::Buffer::new().format(number).as_bytes())
    }

    /// A text, at most [`MOST_DIGITS`] long; a longer one is not that of a number.
    pub(crate) fn text(text: &[u8]) -> Self {
        let mut bytes = [0; MOST_DIGITS];
        bytes[..text.len()].copy_from_slice(text);
        Self::Text { bytes, count: text.len() as u32 }
    }

    #[inline]
    pub(super) fn len(&self) -> u32 {
        match self {
            Self::Digits { count, .. } | Self::Text { count, .. } => *count,
        }
    }

    /// The characters.
    pub(super) fn characters(&self, mut each: impl FnMut(u8)) {
        match self {
            Self::Digits { digits, count } => {
                digits.to_le_bytes()[..*count as usize].iter().for_each(|digit| each(digit | b'0'));
            }
            Self::Text { bytes, count } => bytes[..*count as usize].iter().for_each(|byte| each(*byte)),
        }
    }
}

/// Digits as characters.
#[inline]
pub(super) fn ascii(digits: u64, count: u32) -> u64 {
    (digits | 0x3030_3030_3030_3030) & (u64::MAX >> (64 - 8 * count))
}

/// A code or several, one after the other.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Joined {
    pub(super) bits: u32,
    pub(super) count: u32,
}

impl Joined {
    fn then(self, code: Code) -> Self {
        Self { bits: self.bits | u32::from(code.bits) << self.count, count: self.count + u32::from(code.length) }
    }
}

/// Marks that a pair lacks a digit.
const ABSENT: usize = 15;

/// The codes of pairs of digits: index first | second << 4.
pub(super) fn pairs(codes: &[Code]) -> [Joined; 256] {
    std::array::from_fn(|index| {
        let (first, second) = (index & 15, index >> 4);
        let digit = |digit: usize| codes[usize::from(b'0') + digit];
        match (first, second) {
            (0..10, 0..10) => Joined::default().then(digit(first)).then(digit(second)),
            (0..10, ABSENT) => Joined::default().then(digit(first)),
            _ => Joined::default(),
        }
    })
}

/// The indices of the pairs of 1 to 8 digits, the first in the lowest byte. A last digit without a second one is in a pair of its own, and
/// a pair without digits has no codes.
#[inline]
pub(super) fn pair_indices(digits: u64, count: u32) -> [usize; 4] {
    let absent = (0x0f0f_0f0f_0f0f_0f0f_u64 << 8).wrapping_shl(8 * (count - 1));
    let filled = digits | if count < 8 { absent } else { 0 };
    let joined = filled | filled >> 4; // the second digit of a pair lies in the upper half of the byte of the first
    std::array::from_fn(|pair| (joined >> (16 * pair)) as usize & 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_the_number() {
        let powers = (0..20).map(|power| 10u64.pow(power));
        let near = powers.flat_map(|power| [power - 1, power, power + 1, power * 3 / 2]);
        for number in near.chain((0..1_000_000).step_by(7)).chain((0..100_000_000).step_by(99_989)).chain([u64::MAX]) {
            let mut text = Vec::new();
            NumberText::integer(number).characters(|byte| text.push(byte));
            assert_eq!(String::from_utf8(text).unwrap(), number.to_string());
            assert_eq!(NumberText::integer(number).len() as usize, number.to_string().len());
        }
    }

    #[test]
    fn pairs_of_digits_are_in_order() {
        assert_eq!(pair_indices(0x07_06_05_04_03_02_01, 7), [0x21, 0x43, 0x65, 0xf7]);
        assert_eq!(pair_indices(0x08_07_06_05_04_03_02_01, 8), [0x21, 0x43, 0x65, 0x87]);
        assert_eq!(pair_indices(0x02_01, 2), [0x21, 0xff, 0xff, 0xff]);
        assert_eq!(pair_indices(0, 1), [0xf0, 0xff, 0xff, 0xff]);
    }
}
