//! CRC-32 of text whose parts are known: of each line the checksum of its labels, and only the digits are new.
//!
//! A checksum is a polynomial remainder, so appending bytes to a text multiplies its remainder by a power of x, and that is linear: four
//! look-ups in a table for each number of bytes. A register here is the bare remainder; the checksum of a gzip stream begins with
//! [`START`] and is complemented at the end.

use std::sync::OnceLock;

/// The register before the first byte of a stream.
pub(crate) const START: u32 = u32::MAX;

/// x^32 + x^26 + … + 1, with the lowest power in the highest bit.
const POLYNOMIAL: u32 = 0xedb8_8320;

/// By number of bytes that follow, then by byte: its remainder.
static BYTES: [[u32; 256]; 8] = bytes();

const fn bytes() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let (mut register, mut bit) = (byte as u32, 0);
        while bit < 8 {
            register = if register & 1 == 1 { register >> 1 ^ POLYNOMIAL } else { register >> 1 };
            bit += 1;
        }
        tables[0][byte] = register;
        byte += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before: u32 = tables[table - 1][byte];
            tables[table][byte] = before >> 8 ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        table += 1;
    }
    tables
}

/// The register after `count` bytes, at most 8: the lowest ones of `bytes`, of which the others are 0.
#[inline]
pub(super) fn append(register: u32, bytes: u64, count: u32) -> u32 {
    debug_assert!((1..=8).contains(&count));
    // Zeros before the first byte of an empty register change nothing, so that there are always eight.
    let missing = 8 * (8 - count);
    let mixed = (bytes ^ u64::from(register)) << missing;
    let rest = if count < 4 { register >> (8 * count) } else { 0 };
    mixed.to_le_bytes().iter().zip(BYTES.iter().rev()).fold(rest, |sum, (byte, table)| sum ^ table[usize::from(*byte)])
}

/// The register after all of `bytes`.
pub(super) fn append_all(register: u32, bytes: &[u8]) -> u32 {
    bytes.chunks(8).fold(register, |register, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        append(register, u64::from_le_bytes(word), chunk.len() as u32)
    })
}

/// Appends a number of zero bytes to a text: by byte of the register, the remainder.
pub(super) struct Shift([[u32; 256]; 4]);

impl Shift {
    fn new(bytes: usize) -> Self {
        let mut powers = [0; 32];
        for (bit, power) in powers.iter_mut().enumerate() {
            *power = (0..bytes).fold(1 << bit, |register, _| append(register, 0, 1));
        }
        let of_byte = |place: usize, byte: usize| {
            (0..8).filter(|bit| byte >> bit & 1 == 1).fold(0, |sum, bit| sum ^ powers[8 * place + bit])
        };
        Self(std::array::from_fn(|place| std::array::from_fn(|byte| of_byte(place, byte))))
    }

    /// The register after the zeros.
    #[inline]
    pub(super) fn of(&self, register: u32) -> u32 {
        let bytes = register.to_le_bytes();
        self.0.iter().zip(bytes).fold(0, |sum, (table, byte)| sum ^ table[usize::from(byte)])
    }
}

/// The longest line with a table. There are as many tables as there are different lengths, of 4 KiB each.
pub(super) const MOST_BYTES: usize = 511;

static SHIFTS: [OnceLock<Box<Shift>>; MOST_BYTES + 1] = [const { OnceLock::new() }; MOST_BYTES + 1];

/// The table for a number of bytes, at most [`MOST_BYTES`].
#[inline]
pub(super) fn shift(bytes: usize) -> &'static Shift {
    SHIFTS[bytes].get_or_init(|| Box::new(Shift::new(bytes)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        assert_eq!(!append_all(START, b"123456789"), 0xcbf4_3926);
        assert_eq!(!append_all(START, b""), 0);
    }

    proptest! {
        #[test]
        fn parts_make_the_checksum_of_the_whole(one in prop::collection::vec(any::<u8>(), 0..50), other in prop::collection::vec(any::<u8>(), 0..MOST_BYTES)) {
            let whole = append_all(START, &[one.clone(), other.clone()].concat());
            prop_assert_eq!(append_all(append_all(START, &one), &other), whole);
            prop_assert_eq!(shift(other.len()).of(append_all(START, &one)) ^ append_all(0, &other), whole);
        }
    }
}
