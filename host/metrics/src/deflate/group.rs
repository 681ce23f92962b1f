//! Some hundred lines whose labels do not change, prepared so that only their numbers are left to be compressed.
//!
//! The constant part of each line is kept as the bits that it is written as. They hold as long as the numbers between a line and those
//! that its matches copy from keep their lengths; the bits of other lines are found anew from the line's [`Token`]s.

use super::{
    bits::{self, BitWriter},
    crc,
    huffman::{Code, Codes, Histogram},
    number::{self, Joined, NumberText},
    packed::{PackedToken, Unpacked},
    parse::{Lines, MOST_LINE_BYTES, Match, Token, parse},
    symbols::{self, DISTANCES, END_OF_BLOCK, FARTHEST},
};
use crate::encode::number::Exponential;

/// Lines that are one block of a deflate stream, with codes of their own.
#[derive(Debug)]
pub(super) struct Group {
    codes: Codes,
    lines: Vec<Line>,
    /// The tokens of all lines: see [`PackedToken`].
    tokens: Vec<PackedToken>,
    /// The bits of the constant parts of all lines, each from a byte on.
    bits: Vec<u8>,
}

/// A prepared line: the constant part, which begins with the line feed of the line before, and then a number.
///
/// Where the last match ends before the numbers of both lines, it is longer by what these have in common at the time: such a line has a tail.
#[derive(Debug, Clone, Copy)]
struct Line {
    /// Its tokens end where those of the next line begin.
    first_token: u32,
    first_byte: u32,
    /// The CRC register after the constant part alone.
    crc: u32,
    tail: Tail,
    /// Bits of the constant part without the tail.
    bits: u16,
    /// Bytes from `first_byte` on in which its bits have room.
    room: u16,
    /// Bytes of the constant part.
    length: u16,
    /// The length of the number, as the lines after this one assume it.
    number: u8,
    /// How many lines before this one its matches reach, except for the tail.
    reach: u8,
}

/// The match at the end of a line's constant part that may be longer.
#[derive(Debug, Clone, Copy, Default)]
struct Tail {
    /// The code of its distance, and the number of its bits.
    distance: u32,
    distance_bits: u8,
    /// The line that it copies from, as many lines back; 0: there is no such match.
    lines_back: u8,
    /// Its length without digits.
    length: u16,
}

/// Buffers with which the lines of a group are written; kept for their memory.
#[derive(Debug)]
pub(super) struct Scratch {
    /// Where each line begins in the text that is being written.
    starts: Vec<u32>,
    /// The [beginnings](NumberText::beginning) of the numbers of the lines.
    beginnings: Vec<u64>,
    /// The codes of matches by length.
    lengths: Vec<Joined>,
    bits: BitWriter,
}

/// The lines of a group do not fit their preparation any more: it has to be prepared anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stale;

/// The part of a text that was written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written {
    /// The CRC register of the stream.
    pub(super) crc: u32,
    pub(super) bytes: u64,
}

/// How the checksum of lines is found while they are written.
pub(super) trait Checksum {
    /// The register after up to 8 more bytes: see [`crc::append`].
    fn append(register: u32, bytes: u64, count: u32) -> u32;

    /// The register after all of `bytes`.
    fn append_all(register: u32, bytes: &[u8]) -> u32;

    /// The register after a line of this length, from that before it and that of the line alone.
    fn append_line(register: u32, length: usize, line: u32) -> u32;
}

/// From the checksums of the lines' constant parts and the digits: there is no text. Needs a table of 4 KiB for each length of a line.
pub(super) struct FromParts;

/// Not at all: the caller has the text, whose checksum takes less time, above all if lines have many lengths.
pub(super) struct FromText;

impl Checksum for FromParts {
    #[inline]
    fn append(register: u32, bytes: u64, count: u32) -> u32 {
        crc::append(register, bytes, count)
    }

    #[inline]
    fn append_all(register: u32, bytes: &[u8]) -> u32 {
        crc::append_all(register, bytes)
    }

    #[inline]
    fn append_line(register: u32, length: usize, line: u32) -> u32 {
        crc::shift(length).of(register) ^ line
    }
}

impl Checksum for FromText {
    #[inline]
    fn append(register: u32, _: u64, _: u32) -> u32 {
        register
    }

    #[inline]
    fn append_all(register: u32, _: &[u8]) -> u32 {
        register
    }

    #[inline]
    fn append_line(register: u32, _: usize, _: u32) -> u32 {
        register
    }
}

/// Bytes after the last line's bits, because they are copied by words.
const PADDING: usize = 16;

/// Bits by which a match may become longer when its distance changes.
const MATCH_ROOM: usize = 8;

/// The most bytes that a line is compressed to: its constant part and a number, each byte in the longest code.
const MOST_WRITTEN: usize = 2 * crc::MOST_BYTES + 64;

impl Default for Scratch {
    fn default() -> Self {
        let lengths = vec![Joined::default(); symbols::LONGEST_MATCH + 1];
        Self { starts: Vec::new(), beginnings: Vec::new(), lengths, bits: BitWriter::default() }
    }
}

impl Group {
    /// Prepares lines, which are written with the numbers that they have now. `None` if a line is too long, or there is none.
    pub(super) fn new(texts: &Lines) -> Option<Self> {
        let (mut lines, mut starts, mut histogram) = (Vec::with_capacity(texts.len()), vec![0], Histogram::default());
        for (at, number) in texts.numbers.iter().enumerate() {
            let constant = texts.get(at);
            if constant.len() > MOST_LINE_BYTES {
                return None;
            }
            starts.push(starts[at] + constant.len() as u32 + number.len());
            let (length, number, crc) = (constant.len() as u16, number.len() as u8, crc::append_all(0, constant));
            let (first_token, first_byte, bits, room, reach) = (0, 0, 0, 0, 0);
            lines.push(Line { first_token, first_byte, crc, tail: Tail::default(), bits, room, length, number, reach });
        }
        if lines.is_empty() {
            return None;
        }
        let mut tokens = Vec::new();
        parse(texts, |at, parsed| {
            lines[at].first_token = tokens.len() as u32;
            let rest = match parsed.split_last() {
                Some((Token::Match(found), rest)) if is_tail(&lines, at, found) => {
                    lines[at].tail.length = found.length as u16;
                    lines[at].tail.lines_back = found.lines_back as u8;
                    rest
                }
                _ => parsed,
            };
            let reach = rest.iter().map(|token| if let Token::Match(found) = token { found.lines_back } else { 0 });
            lines[at].reach = reach.max().unwrap_or_default() as u8;
            rest.iter().for_each(|token| histogram.count(token, |found| distance(&starts, at, found)));
            let digits = histogram.count_tail(texts, &lines, &starts, at) as usize;
            let mut place = 0;
            texts.numbers[at].characters(|byte| {
                histogram.literals[usize::from(byte)] += u32::from(place >= digits);
                place += 1;
            });
            tokens.extend_from_slice(rest);
        });
        histogram.complete();
        let codes = Codes::new(&histogram);
        let mut group = Self { codes, lines, tokens: Vec::new(), bits: Vec::new() };
        group.place(&tokens, &starts)?;
        Some(group)
    }

    /// Packs the tokens, and gives the bits of each line their place.
    fn place(&mut self, tokens: &[Token], starts: &[u32]) -> Option<()> {
        let mut bits = BitWriter::default();
        for at in 0..self.lines.len() {
            let end = self.lines.get(at + 1).map_or(tokens.len(), |next| next.first_token as usize);
            let tokens = &tokens[self.lines[at].first_token as usize..end];
            self.lines[at].first_token = self.tokens.len() as u32;
            PackedToken::pack(tokens, &self.codes.literals, &mut self.tokens);
            self.write_constant(at, self.tokens.len(), starts, &mut bits).ok()?;
            let matches = tokens.iter().filter(|token| matches!(token, Token::Match(_))).count();
            let line = &mut self.lines[at];
            line.first_byte = self.bits.len() as u32;
            line.bits = bits.bits() as u16;
            line.room = (bits.bits() + matches * MATCH_ROOM).div_ceil(8) as u16;
            self.bits.extend_from_slice(bits.written());
            self.bits.resize(line.first_byte as usize + usize::from(line.room), 0);
        }
        self.bits.extend_from_slice(&[0; PADDING]);
        self.bits.shrink_to_fit();
        self.tokens.shrink_to_fit();
        Some(())
    }

    /// Memory in bytes.
    pub(super) fn memory(&self) -> usize {
        let lines = self.lines.capacity() * size_of::<Line>();
        lines + self.codes.memory() + 4 * self.tokens.capacity() + self.bits.capacity()
    }

    /// The number of lines.
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Writes all lines as one block, with the numbers that they have now: `number` gives them in their order. The register of what is
    /// returned is of use if it is found [`FromParts`].
    ///
    /// # Errors
    /// [`Stale`] if the block cannot be written. What `out` has got then is of no use.
    pub(super) fn write<C: Checksum>(
        &mut self,
        mut number: impl FnMut(usize) -> NumberText,
        scratch: &mut Scratch,
        out: &mut BitWriter,
        before: Written,
    ) -> Result<Written, Stale> {
        self.codes.put_header(out);
        let (pairs, exponents) = (number::pairs(&self.codes.literals), number::exponents(&self.codes.literals));
        self.codes.join_lengths(&mut scratch.lengths);
        scratch.starts.resize(self.lines.len(), 0);
        scratch.beginnings.resize(self.lines.len(), 0);
        let (mut register, mut start) = (before.crc, 0);
        // Lines since the last one whose number changed its length.
        let mut since = usize::MAX;
        for at in 0..self.lines.len() {
            scratch.starts[at] = start;
            if since <= usize::from(self.lines[at].reach) {
                self.resolve(at, scratch)?;
            } else if since <= usize::from(self.lines[at].tail.lines_back) {
                self.resolve_tail(at, &scratch.starts)?;
            }
            let line = &mut self.lines[at];
            let number = number(at);
            let beginning = number.beginning();
            scratch.beginnings[at] = beginning;
            out.reserve(MOST_WRITTEN);
            let bits = &self.bits[line.first_byte as usize..];
            let common = line.put_constant(out, bits, scratch, at, beginning, number.len());
            let appended = match &number {
                NumberText::Digits { digits, count } => {
                    if common < *count {
                        put_digits(out, &pairs, digits >> (8 * common), count - common);
                    }
                    C::append(line.crc, number::ascii(*digits, *count), *count)
                }
                NumberText::Exponential(number) => {
                    put_exponential(out, &self.codes.literals, &pairs, &exponents, number, common);
                    let (low, high) = (number.text as u64, (number.text >> 64) as u64);
                    let length = number.length() as u32;
                    let register = C::append(line.crc, low & (u64::MAX >> (64 - 8 * length.min(8))), length.min(8));
                    if length > 8 { C::append(register, high, length - 8) } else { register }
                }
                NumberText::Text { bytes, count } => {
                    put_text(out, &self.codes.literals, &bytes[common as usize..*count as usize]);
                    C::append_all(line.crc, &bytes[..*count as usize])
                }
            };
            let length = u32::from(line.length) + number.len();
            register = C::append_line(register, length as usize, appended);
            start += length;
            since = since.saturating_add(1);
            if u32::from(line.number) != number.len() {
                line.number = number.len() as u8;
                since = 1;
            }
        }
        out.reserve(MOST_WRITTEN);
        put_text(out, &self.codes.literals, b"\n");
        put_code(out, self.codes.literals[END_OF_BLOCK]);
        Ok(Written { crc: C::append(register, u64::from(b'\n'), 1), bytes: before.bytes + u64::from(start) + 1 })
    }

    /// Finds the distances of a line's matches anew.
    #[cold]
    fn resolve(&mut self, at: usize, scratch: &mut Scratch) -> Result<(), Stale> {
        let end = self.lines.get(at + 1).map_or(self.tokens.len(), |next| next.first_token as usize);
        let Scratch { starts, bits, .. } = scratch;
        self.write_constant(at, end, starts, bits)?;
        let line = &mut self.lines[at];
        let written = bits.written();
        if written.len() > usize::from(line.room) {
            return Err(Stale);
        }
        line.bits = bits.bits() as u16;
        self.bits[line.first_byte as usize..][..written.len()].copy_from_slice(written);
        Ok(())
    }

    /// Writes the constant part of a line without its tail, whose tokens end before `end`, as it is where the lines begin now; and finds the
    /// code of the tail.
    fn write_constant(&mut self, at: usize, end: usize, starts: &[u32], out: &mut BitWriter) -> Result<(), Stale> {
        out.clear();
        out.reserve(MOST_WRITTEN);
        for token in &self.tokens[self.lines[at].first_token as usize..end] {
            match token.unpack() {
                Unpacked::Literals { bits, count } => out.put(bits, count),
                Unpacked::Match(found) => {
                    let distance = self.distance_code(starts, at, &found)?;
                    let length = symbols::length(found.length);
                    put_code(out, self.codes.literals[length.number]);
                    out.put(u64::from(length.extra), length.extra_bits);
                    out.put(u64::from(distance.bits), distance.count);
                }
            }
        }
        self.resolve_tail(at, starts)
    }

    /// Finds the code of the tail's distance.
    fn resolve_tail(&mut self, at: usize, starts: &[u32]) -> Result<(), Stale> {
        if let Some(tail) = self.lines[at].tail_match(at, &self.lines) {
            let distance = self.distance_code(starts, at, &tail)?;
            let tail = &mut self.lines[at].tail;
            (tail.distance, tail.distance_bits) = (distance.bits, distance.count as u8);
        }
        Ok(())
    }

    /// The code of a match's distance, with its extra bits.
    fn distance_code(&self, starts: &[u32], at: usize, found: &Match) -> Result<Joined, Stale> {
        let distance = distance(starts, at, found).filter(|distance| *distance <= FARTHEST);
        let distance = symbols::distance(distance.ok_or(Stale)?);
        let code = self.codes.distances[distance.number];
        if code.length == 0 {
            return Err(Stale);
        }
        let count = u32::from(code.length);
        Ok(Joined { bits: u32::from(code.bits) | distance.extra << count, count: count + distance.extra_bits })
    }
}

impl Line {
    /// Puts the constant part of a line. Returns how many of the first characters of its number are part of it.
    #[inline]
    fn put_constant(
        &self,
        out: &mut BitWriter,
        bits: &[u8],
        scratch: &Scratch,
        at: usize,
        beginning: u64,
        number: u32,
    ) -> u32 {
        let tail = self.tail;
        if tail.lines_back == 0 {
            out.put_bytes(bits, u32::from(self.bits), 0, 0);
            return 0;
        }
        let source = scratch.beginnings[at - usize::from(tail.lines_back)];
        let most = number.min((symbols::LONGEST_MATCH - usize::from(tail.length)) as u32);
        let mut common = number::common(beginning, source, most);
        let mut length = scratch.lengths[usize::from(tail.length) + common as usize];
        while length.count == 0 && common > 0 {
            common -= 1;
            length = scratch.lengths[usize::from(tail.length) + common as usize];
        }
        // A length has at most 20 bits, a distance 28.
        let joined = u64::from(length.bits) | u64::from(tail.distance) << length.count;
        out.put_bytes(bits, u32::from(self.bits), joined, length.count + u32::from(tail.distance_bits));
        common
    }

    /// The match of its tail, without digits.
    fn tail_match(&self, at: usize, lines: &[Line]) -> Option<Match> {
        let lines_back = usize::from(self.tail.lines_back);
        let source = lines.get(at - lines_back).filter(|_| lines_back > 0)?;
        let shift = i32::from(self.length) - i32::from(source.length);
        Some(Match { length: usize::from(self.tail.length), lines_back, shift })
    }
}

/// Whether the last match of a line ends before the number of the line that it copies from.
fn is_tail(lines: &[Line], line: usize, found: &Match) -> bool {
    let source = &lines[line - found.lines_back];
    i32::from(lines[line].length) - found.shift == i32::from(source.length)
}

/// The distance of a match of a line. `None`: it would copy from where nothing is yet.
fn distance(starts: &[u32], line: usize, found: &Match) -> Option<u32> {
    let source = line.checked_sub(found.lines_back)?;
    let distance = i64::from(starts[line]) - i64::from(starts[source]) + i64::from(found.shift);
    u32::try_from(distance).ok().filter(|distance| *distance > 0)
}

#[inline]
fn put_code(out: &mut BitWriter, code: Code) {
    out.put(u64::from(code.bits), u32::from(code.length));
}

fn put_text(out: &mut BitWriter, codes: &[Code], text: &[u8]) {
    text.iter().for_each(|byte| put_code(out, codes[usize::from(*byte)]));
}

/// Puts up to 8 digits, the first in the lowest byte.
#[inline]
fn put_digits(out: &mut BitWriter, pairs: &[Joined; 256], digits: u64, count: u32) {
    let [one, two, three, four] = number::pair_indices(digits, count).map(|index| pairs[index]);
    // Four digits have at most 60 bits, and usually 14.
    let (first, first_count) = (u64::from(one.bits) | u64::from(two.bits) << one.count, one.count + two.count);
    let (last, last_count) = (u64::from(three.bits) | u64::from(four.bits) << three.count, three.count + four.count);
    if first_count + last_count <= bits::MOST {
        return out.put(first | last << first_count, first_count + last_count);
    }
    [one, two, three, four].iter().for_each(|pair| out.put(u64::from(pair.bits), pair.count));
}

/// Puts a number as Go prints whole floats, without the first `skipped` characters.
#[inline]
fn put_exponential(
    out: &mut BitWriter,
    codes: &[Code],
    pairs: &[Joined; 256],
    exponents: &[[Joined; 2]; 2],
    number: &Exponential,
    skipped: u32,
) {
    if skipped >= number.mantissa() {
        let rest = number.text.to_le_bytes();
        return put_text(out, codes, &rest[skipped as usize..number.length()]);
    }
    for at in skipped..number.mantissa().min(2) {
        put_code(out, codes[usize::from((number.text >> (8 * at)) as u8)]);
    }
    let (digits, count) = number::fraction(number, skipped);
    if count > 0 {
        put_digits(out, pairs, digits, count);
    }
    // A half of an exponent has at most 30 bits.
    let [first, last] = exponents[usize::from(number::is_seventh(number))];
    out.put(u64::from(first.bits), first.count);
    out.put(u64::from(last.bits), last.count);
}

impl Codes {
    /// The codes of matches by length, with their extra bits; those that have no code have no bits.
    fn join_lengths(&self, joined: &mut [Joined]) {
        for (length, joined) in joined.iter_mut().enumerate().skip(3) {
            let symbol = symbols::length(length);
            let code = self.literals[symbol.number];
            let count = u32::from(code.length);
            *joined = match count {
                0 => Joined::default(),
                _ => Joined { bits: u32::from(code.bits) | symbol.extra << count, count: count + symbol.extra_bits },
            };
        }
    }
}

impl Histogram {
    /// Counts a token.
    fn count(&mut self, token: &Token, distance: impl FnOnce(&Match) -> Option<u32>) {
        match token {
            Token::Literal(byte) => self.literals[usize::from(*byte)] += 1,
            Token::Match(found) => {
                self.literals[symbols::length(found.length).number] += 1;
                self.count_distance(distance(found));
            }
        }
    }

    /// Counts a distance, and its neighbours, because distances change with the lengths of numbers.
    fn count_distance(&mut self, distance: Option<u32>) {
        let symbol = symbols::distance(distance.unwrap_or(1).min(FARTHEST)).number;
        self.distances[symbol] += 8;
        self.distances[symbol.saturating_sub(1)] += 1;
        self.distances[(symbol + 1).min(DISTANCES - 1)] += 1;
    }

    /// Counts the tail of a line, and notes the lengths that it may have with other numbers. Returns how many of its number's characters are
    /// part of it.
    fn count_tail(&mut self, texts: &Lines, lines: &[Line], starts: &[u32], at: usize) -> u32 {
        let Some(tail) = lines[at].tail_match(at, lines) else { return 0 };
        let source = at - tail.lines_back;
        let (end, source_end) = (texts.starts[at + 1] as usize, texts.starts[source + 1] as usize);
        let room = symbols::LONGEST_MATCH - tail.length;
        let common = texts.common_digits(at, end, source, source_end).min(room as u32);
        self.literals[symbols::length(tail.length + common as usize).number] += 1;
        for digits in 0..=room.min(8) {
            self.possible[symbols::length(tail.length + digits).number] = true;
        }
        self.count_distance(distance(starts, at, &tail));
        common
    }

    /// Counts what a block always needs: characters of every number, the end, and two distances, because a code of one is not complete.
    fn complete(&mut self) {
        number::CHARACTERS.iter().for_each(|byte| self.literals[usize::from(*byte)] += 1);
        for (count, _) in self.literals.iter_mut().zip(self.possible).filter(|(_, is_possible)| *is_possible) {
            *count = (*count).max(1);
        }
        self.literals[usize::from(b'\n')] += 1;
        self.literals[END_OF_BLOCK] = 1;
        self.distances[..2].iter_mut().for_each(|count| *count += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_is_counted_with_its_neighbours_as_far_as_there_are_any() {
        let counted = |distance| {
            let mut histogram = Histogram::default();
            histogram.count_distance(Some(distance));
            histogram.distances
        };
        assert_eq!(counted(1)[..3], [9, 1, 0], "there is none below the first");
        assert_eq!(counted(4)[2..6], [1, 8, 1, 0]);
        assert_eq!(counted(FARTHEST)[DISTANCES - 3..], [0, 1, 9], "there is none above the last");
    }
}
