//! The symbols of deflate (RFC 1951, 3.2.5): how lengths and distances of matches are split into a symbol and extra bits.

/// Literals, the end of a block, and lengths.
pub(super) const LITERALS: usize = 286;
/// Distances.
pub(super) const DISTANCES: usize = 30;
/// The end of a block.
pub(super) const END_OF_BLOCK: usize = 256;
/// The longest match.
pub(super) const LONGEST_MATCH: usize = 258;
/// The farthest match.
pub(super) const FARTHEST: u32 = 32 << 10;

/// A symbol and its extra bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Symbol {
    pub(super) number: usize,
    pub(super) extra: u32,
    pub(super) extra_bits: u32,
}

/// The symbol of a match's length, 3 to [`LONGEST_MATCH`].
#[inline]
pub(super) fn length(length: usize) -> Symbol {
    let beyond = length as u32 - 3;
    if length == LONGEST_MATCH {
        return Symbol { number: 285, extra: 0, extra_bits: 0 };
    }
    if beyond < 8 {
        return Symbol { number: 257 + beyond as usize, extra: 0, extra_bits: 0 };
    }
    let extra_bits = beyond.ilog2() - 2;
    let number = 257 + 4 * (extra_bits + 1) + (beyond >> extra_bits & 3);
    Symbol { number: number as usize, extra: beyond & ((1 << extra_bits) - 1), extra_bits }
}

/// The symbol of a match's distance, 1 to [`FARTHEST`].
#[inline]
pub(super) fn distance(distance: u32) -> Symbol {
    let beyond = distance - 1;
    if beyond < 4 {
        return Symbol { number: beyond as usize, extra: 0, extra_bits: 0 };
    }
    let extra_bits = beyond.ilog2() - 1;
    let number = 2 * (extra_bits + 1) + (beyond >> extra_bits & 1);
    Symbol { number: number as usize, extra: beyond & ((1 << extra_bits) - 1), extra_bits }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tables of RFC 1951: extra bits and the first length or distance of each symbol.
    #[test]
    fn symbols_are_those_of_the_standard() {
        let lengths = [
            3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195,
            227, 258,
        ];
        for (number, first) in lengths.into_iter().enumerate() {
            let extra_bits = if number < 4 || number == 28 { 0 } else { number as u32 / 4 - 1 };
            assert_eq!(length(first), Symbol { number: 257 + number, extra: 0, extra_bits });
            let last = lengths.get(number + 1).map_or(258, |next| next - 1).max(first);
            let extra = if number == 27 { 30 } else { (last - first) as u32 };
            assert_eq!(
                length(if number == 27 { 257 } else { last }),
                Symbol { number: 257 + number, extra, extra_bits }
            );
        }
        let mut first = 1;
        for number in 0..DISTANCES {
            let extra_bits = (number as u32 / 2).saturating_sub(1);
            assert_eq!(distance(first), Symbol { number, extra: 0, extra_bits });
            first += 1 << extra_bits;
            assert_eq!(distance(first - 1), Symbol { number, extra: (1 << extra_bits) - 1, extra_bits });
        }
        assert_eq!(first - 1, FARTHEST);
    }
}
