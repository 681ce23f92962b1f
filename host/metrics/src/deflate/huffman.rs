//! Huffman codes for one block, and the block's header that describes them (RFC 1951, 3.2.7).

use std::collections::VecDeque;

use super::{
    bits::BitWriter,
    symbols::{DISTANCES, LITERALS},
};

/// The longest code of a literal, length or distance.
const LONGEST: u8 = 15;
/// The longest code of a code length.
const LONGEST_OF_LENGTHS: u8 = 7;
/// The order in which the code lengths of code lengths are sent.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// The code of one symbol, with its first bit lowest; a symbol without a code has no bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Code {
    pub(super) bits: u16,
    pub(super) length: u8,
}

/// How often each symbol of a block occurs.
#[derive(Debug)]
pub(super) struct Histogram {
    pub(super) literals: [u32; LITERALS],
    pub(super) distances: [u32; DISTANCES],
    /// Literals and lengths that may occur when numbers change, so that they need a code.
    pub(super) possible: [bool; LITERALS],
}

impl Default for Histogram {
    fn default() -> Self {
        Self { literals: [0; LITERALS], distances: [0; DISTANCES], possible: [false; LITERALS] }
    }
}

/// The codes of a block.
#[derive(Debug)]
pub(super) struct Codes {
    pub(super) literals: Vec<Code>,
    pub(super) distances: Vec<Code>,
    /// The block's header.
    header: Vec<u8>,
    header_bits: u32,
}

impl Codes {
    /// Codes for a block that has these symbols. Those that do not occur have no code.
    pub(super) fn new(histogram: &Histogram) -> Self {
        let literals = lengths(&histogram.literals, LONGEST);
        let distances = lengths(&histogram.distances, LONGEST);
        let mut header = BitWriter::default();
        write_header(&mut header, &literals, &distances);
        let header_bits = header.bits() as u32;
        let mut header = header.into_bytes();
        header.extend_from_slice(&[0; 8]);
        Self { literals: codes(&literals), distances: codes(&distances), header, header_bits }
    }

    /// Memory in bytes.
    pub(super) fn memory(&self) -> usize {
        (self.literals.capacity() + self.distances.capacity()) * size_of::<Code>() + self.header.capacity()
    }

    /// Begins a block, which is not the last one.
    pub(super) fn put_header(&self, out: &mut BitWriter) {
        out.reserve(self.header.len());
        out.put_bytes(&self.header, self.header_bits, 0, 0);
    }
}

/// Code lengths, at most `limit`, of symbols that occur so often.
fn lengths(counts: &[u32], limit: u8) -> Vec<u8> {
    let mut counts = counts.to_vec();
    loop {
        let lengths = unlimited(&counts);
        if lengths.iter().all(|length| *length <= u32::from(limit)) {
            return lengths.into_iter().map(|length| length as u8).collect();
        }
        // Flatter counts give a flatter tree; equal ones give one of at most 9 levels.
        counts.iter_mut().filter(|count| **count > 0).for_each(|count| *count = (*count / 2).max(1));
    }
}

/// A node of the tree: a weight, and its number. Leaves are numbered as their symbols, inner nodes from there on.
type Node = (u64, usize);

/// Code lengths as Huffman's algorithm gives them.
fn unlimited(counts: &[u32]) -> Vec<u32> {
    let mut leaves: Vec<Node> = counts.iter().enumerate().map(|(symbol, count)| (u64::from(*count), symbol)).collect();
    leaves.retain(|(weight, _)| *weight > 0);
    leaves.sort_unstable();
    let mut lengths = vec![0; counts.len()];
    if let [(_, only)] = leaves[..] {
        lengths[only] = 1;
        return lengths;
    }
    // Both queues ascend in weight, so the lightest node is at the front of one of them.
    let (mut leaves, mut inner) = (VecDeque::from(leaves), VecDeque::<Node>::new());
    let mut children: Vec<[usize; 2]> = Vec::new();
    let lightest = |leaves: &mut VecDeque<Node>, inner: &mut VecDeque<Node>| match (leaves.front(), inner.front()) {
        (Some(leaf), Some(node)) if leaf.0 > node.0 => inner.pop_front(),
        (None, _) => inner.pop_front(),
        _ => leaves.pop_front(),
    };
    while leaves.len() + inner.len() > 1 {
        let one = lightest(&mut leaves, &mut inner).unwrap_or_default();
        let other = lightest(&mut leaves, &mut inner).unwrap_or_default();
        inner.push_back((one.0 + other.0, counts.len() + children.len()));
        children.push([one.1, other.1]);
    }
    // The root is the last inner node; each node's children are one level below it.
    let mut depths = vec![0; children.len()];
    for (node, pair) in children.iter().enumerate().rev() {
        for child in pair {
            match child.checked_sub(counts.len()) {
                Some(inner) => depths[inner] = depths[node] + 1,
                None => lengths[*child] = depths[node] + 1,
            }
        }
    }
    lengths
}

/// The canonical codes of these lengths.
fn codes(lengths: &[u8]) -> Vec<Code> {
    let mut next = [0u16; LONGEST as usize + 2];
    for length in 1..=usize::from(LONGEST) {
        let shorter = lengths.iter().filter(|each| usize::from(**each) == length - 1 && length > 1).count() as u16;
        next[length] = (next[length - 1] + shorter) << 1;
    }
    let code = |length: &u8| {
        if *length == 0 {
            return Code::default();
        }
        let code = next[usize::from(*length)];
        next[usize::from(*length)] += 1;
        Code { bits: code.reverse_bits() >> (16 - u32::from(*length)), length: *length }
    };
    lengths.iter().map(code).collect()
}

/// A symbol of the header, and its extra bits.
#[derive(Debug, Clone, Copy)]
struct LengthSymbol {
    symbol: u8,
    extra: u8,
    extra_bits: u8,
}

fn write_header(out: &mut BitWriter, literals: &[u8], distances: &[u8]) {
    let used =
        |lengths: &[u8], least: usize| lengths.iter().rposition(|length| *length > 0).map_or(0, |at| at + 1).max(least);
    let (literal_count, distance_count) = (used(literals, 257), used(distances, 1));
    let all: Vec<u8> = literals[..literal_count].iter().chain(&distances[..distance_count]).copied().collect();
    let symbols = runs(&all);
    let mut counts = [0; 19];
    symbols.iter().for_each(|each| counts[usize::from(each.symbol)] += 1);
    if counts.iter().filter(|count| **count > 0).count() == 1 {
        counts[usize::from(counts[0] == 0) * 18] += 1; // a code of a single symbol is not complete
    }
    let lengths = lengths(&counts, LONGEST_OF_LENGTHS);
    let codes = codes(&lengths);
    let sent = ORDER.iter().rposition(|symbol| lengths[*symbol] > 0).map_or(4, |at| at + 1).max(4);
    out.reserve(64 + 3 * all.len());
    out.put(0b100, 3); // not the last block; codes of its own
    out.put(literal_count as u64 - 257, 5);
    out.put(distance_count as u64 - 1, 5);
    out.put(sent as u64 - 4, 4);
    ORDER[..sent].iter().for_each(|symbol| out.put(u64::from(lengths[*symbol]), 3));
    for each in symbols {
        let code = codes[usize::from(each.symbol)];
        out.put(u64::from(code.bits), u32::from(code.length));
        out.put(u64::from(each.extra), u32::from(each.extra_bits));
    }
}

/// Code lengths with their runs: 16 repeats the last one 3 to 6 times, 17 and 18 are 3 to 10 and 11 to 138 zeros.
fn runs(lengths: &[u8]) -> Vec<LengthSymbol> {
    let mut symbols = Vec::new();
    for run in lengths.chunk_by(|one, other| one == other) {
        let (value, mut left) = (run[0], run.len());
        if value > 0 {
            symbols.push(LengthSymbol { symbol: value, extra: 0, extra_bits: 0 });
            left -= 1;
        }
        while left >= 3 {
            let (symbol, least, most, extra_bits) = match (value, left) {
                (0, 11..) => (18, 11, 138, 7),
                (0, _) => (17, 3, 10, 3),
                _ => (16, 3, 6, 2),
            };
            let now = left.min(most);
            symbols.push(LengthSymbol { symbol, extra: (now - least) as u8, extra_bits });
            left -= now;
        }
        symbols.extend(std::iter::repeat_n(LengthSymbol { symbol: value, extra: 0, extra_bits: 0 }, left));
    }
    symbols
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The sum of 2^-length over all codes: 1 for a code that is complete.
    fn kraft(lengths: &[u8]) -> f64 {
        lengths.iter().filter(|length| **length > 0).map(|length| (-f64::from(*length)).exp2()).sum()
    }

    #[test]
    fn frequent_symbols_have_short_codes() {
        assert_eq!(lengths(&[0, 8, 1, 1, 0, 2], LONGEST), [0, 1, 3, 3, 0, 2]);
        assert_eq!(lengths(&[0, 3], LONGEST), [0, 1]);
        let codes = codes(&[0, 1, 3, 3, 0, 2]);
        assert_eq!(codes.iter().map(|code| code.bits).collect::<Vec<_>>(), [0, 0b0, 0b011, 0b111, 0, 0b01]);
    }

    #[test]
    fn codes_are_never_too_long() {
        let mut fibonacci = vec![1u32, 1];
        (2..40).for_each(|at| fibonacci.push(fibonacci[at - 1] + fibonacci[at - 2]));
        for limit in [LONGEST, LONGEST_OF_LENGTHS] {
            let lengths = lengths(&fibonacci, limit);
            assert_eq!((lengths.iter().max(), kraft(&lengths)), (Some(&limit), 1.0));
        }
    }

    proptest! {
        #[test]
        fn codes_are_complete_and_none_begins_another(counts in prop::collection::vec(prop_oneof![Just(0u32), 1..9u32, any::<u32>()], 2..LITERALS)) {
            prop_assume!(counts.iter().filter(|count| **count > 0).count() > 1);
            let lengths = lengths(&counts, LONGEST);
            prop_assert_eq!(kraft(&lengths), 1.0);
            prop_assert!(lengths.iter().zip(&counts).all(|(length, count)| (*length > 0) == (*count > 0)));
            let codes: Vec<_> = codes(&lengths).into_iter().filter(|code| code.length > 0).collect();
            let begins = |one: &Code, other: &Code| {
                one.length <= other.length && other.bits & ((1u32 << one.length) - 1) as u16 == one.bits
            };
            let clash = codes.iter().enumerate().any(|(at, one)| codes.iter().enumerate().any(|(to, other)| at != to && begins(one, other)));
            prop_assert!(!clash);
        }
    }

    #[test]
    fn memory_is_that_of_all_codes_and_of_the_header() {
        let codes = Codes::new(&Histogram { literals: [1; LITERALS], ..Histogram::default() });
        assert_eq!(codes.memory(), (LITERALS + DISTANCES) * size_of::<Code>() + codes.header.capacity());
    }
}
