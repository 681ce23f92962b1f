//! The digits of a number, in a form that is compressed and checksummed without going through memory.

use super::huffman::Code;
use crate::encode::number::{self, EXPONENT, Exponential, eight_digits};

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
    /// As Go prints whole floats.
    Exponential(Exponential),
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

    /// The text of a whole number as Go prints it as a float.
    #[inline]
    pub(crate) fn integer_as_float(number: u64) -> Self {
        if number < number::GO_EXPONENT_FROM {
            return Self::integer(number);
        }
        Exponential::new(number).map_or_else(
            || {
                let mut text = Vec::with_capacity(MOST_DIGITS);
                number::integer_as_float(number, &mut text);
                Self::text(&text)
            },
            Self::Exponential,
        )
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
            Self::Exponential(number) => number.length() as u32,
        }
    }

    /// The text of a number as bytes; `None` if it is none.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > MOST_DIGITS || !text.iter().all(|byte| CHARACTERS.contains(byte)) {
            return None;
        }
        if text.len() > 8 || text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
            return Some(Self::text(text));
        }
        let mut digits = [0; 8];
        digits[..text.len()].copy_from_slice(text);
        Some(Self::Digits { digits: u64::from_le_bytes(digits) & 0x0f0f_0f0f_0f0f_0f0f, count: text.len() as u32 })
    }

    /// The first 8 characters, the first in the lowest byte; bytes behind the last one have all bits set.
    #[inline]
    pub(super) fn beginning(&self) -> u64 {
        match self {
            Self::Digits { digits, count } => ascii(*digits, *count) | absent(*count),
            Self::Exponential(number) => number.text as u64 | absent(self.len().min(8)),
            Self::Text { bytes, count } => {
                let mut first = [0; 8];
                first.copy_from_slice(&bytes[..8]);
                u64::from_le_bytes(first) | absent((*count).min(8))
            }
        }
    }

    /// The characters.
    pub(super) fn characters(&self, mut each: impl FnMut(u8)) {
        match self {
            Self::Digits { digits, count } => {
                digits.to_le_bytes()[..*count as usize].iter().for_each(|digit| each(digit | b'0'));
            }
            Self::Exponential(number) => {
                number.text.to_le_bytes()[..number.length()].iter().for_each(|byte| each(*byte));
            }
            Self::Text { bytes, count } => bytes[..*count as usize].iter().for_each(|byte| each(*byte)),
        }
    }
}

/// All bits of the bytes behind the first `count`, which are at most 8.
#[inline]
fn absent(count: u32) -> u64 {
    if count < 8 { u64::MAX << (8 * count) } else { 0 }
}

/// The number of characters that a number has in common with another one, as their [`beginnings`](NumberText::beginning) show; it has `count`.
#[inline]
pub(super) fn common(one: u64, other: u64, count: u32) -> u32 {
    ((one ^ other).trailing_zeros() / 8).min(count)
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
    pub(super) fn then(self, code: Code) -> Self {
        Self { bits: self.bits | u32::from(code.bits) << self.count, count: self.count + u32::from(code.length) }
    }
}

/// The codes of the exponents 6 and 7 of [`Exponential`] numbers.
pub(super) fn exponents(codes: &[Code]) -> [[Joined; 2]; 2] {
    let joined = |characters: &[u8]| {
        characters.iter().fold(Joined::default(), |joined, character| joined.then(codes[usize::from(*character)]))
    };
    [b"6", b"7"].map(|last| [joined(b"e+"), joined(&[b"0", last.as_slice()].concat())])
}

/// The digits of an [`Exponential`] number behind its point and the first `skipped` characters, the first in the lowest byte, and their number.
#[inline]
pub(super) fn fraction(number: &Exponential, skipped: u32) -> (u64, u32) {
    let from = skipped.max(2);
    let count = number.mantissa().saturating_sub(from);
    let digits = (number.text >> (8 * from)) as u64 & 0x0f0f_0f0f_0f0f_0f0f;
    (if count < 8 { digits & !absent(count) } else { digits }, count)
}

/// Whether the exponent of an [`Exponential`] number is 7, and not 6.
#[inline]
pub(super) fn is_seventh(number: &Exponential) -> bool {
    number.text >> (8 * (number.mantissa() + EXPONENT - 1)) & 1 == 1
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
    fn whole_floats_are_those_that_are_printed() {
        let near = (6..9).map(|power| 10u64.pow(power)).flat_map(|power| [power - 1, power, power + 1, power * 3 / 2]);
        for number in near.chain((900_000..110_000_000).step_by(9_973)).chain([u64::MAX]) {
            let (mut text, mut printed) = (Vec::new(), Vec::new());
            NumberText::integer_as_float(number).characters(|byte| text.push(byte));
            number::float(number as f64, &mut printed);
            assert_eq!(text, printed, "{number}");
            if let Some(exponential) = Exponential::new(number) {
                assert_eq!(is_seventh(&exponential), number >= 10_000_000);
                let (digits, count) = fraction(&exponential, 3);
                let expected = printed.iter().take_while(|byte| **byte != b'e').skip(3);
                let expected: Vec<u8> = expected.map(|byte| byte & 0xf).collect();
                assert_eq!(&digits.to_le_bytes()[..count as usize], expected);
            }
        }
    }

    #[test]
    fn a_text_is_read_as_the_number_that_it_is() {
        for text in ["0", "7", "12345678", "123456789", "1.5e+06", "-3", "NaN", ""] {
            let mut read = Vec::new();
            NumberText::parse(text.as_bytes()).unwrap().characters(|byte| read.push(byte));
            assert_eq!(read, text.as_bytes());
        }
        assert_eq!(NumberText::parse(b"1234"), Some(NumberText::integer(1234)));
        assert_eq!((NumberText::parse(b"0x5"), NumberText::parse(&[b'1'; MOST_DIGITS + 1])), (None, None));
    }

    #[test]
    fn numbers_have_their_first_characters_in_common() {
        for (one, other, expected) in
            [(1234, 1234, 4), (1234, 1239, 3), (12, 123, 2), (123, 12, 2), (5, 6, 0), (12_345_678, 12_345_678, 8)]
        {
            let (one, other) = (NumberText::integer(one), NumberText::integer(other));
            assert_eq!(common(one.beginning(), other.beginning(), one.len()), expected);
        }
        let (one, other) = (NumberText::integer(1_234_567_890_123), NumberText::integer(1_234_567_899_999));
        assert_eq!(common(one.beginning(), other.beginning(), one.len()), 8, "no more are compared");
    }

    #[test]
    fn pairs_of_digits_are_in_order() {
        assert_eq!(pair_indices(0x07_06_05_04_03_02_01, 7), [0x21, 0x43, 0x65, 0xf7]);
        assert_eq!(pair_indices(0x08_07_06_05_04_03_02_01, 8), [0x21, 0x43, 0x65, 0x87]);
        assert_eq!(pair_indices(0x02_01, 2), [0x21, 0xff, 0xff, 0xff]);
        assert_eq!(pair_indices(0, 1), [0xf0, 0xff, 0xff, 0xff]);
    }
}
