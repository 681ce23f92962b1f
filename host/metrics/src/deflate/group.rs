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

/// Lines that are one block of a deflate stream, with codes of their own.
#[derive(Debug)]
pub(super) struct Group {
    codes: Codes,
    lines: Vec<Line>,
    /// The tokens of all lines: see [`PackedToken`].
    tokens: Vec<PackedToken>,
    /// The bits of the constant parts of all lines, each from a byte on.
    bits: Vec<u8>,
    /// Where each line begins in the text that is being written.
    starts: Vec<u32>,
}

/// A prepared line: the constant part, which begins with the line feed of the line before, and then a number.
#[derive(Debug, Clone, Copy)]
struct Line {
    slot: u32,
    /// Its tokens end where those of the next line begin.
    first_token: u32,
    first_byte: u32,
    /// Bits of the constant part.
    bits: u16,
    /// Bytes from `first_byte` on in which its bits have room.
    room: u16,
    /// Bytes of the constant part.
    length: u16,
    /// The length of the number, as the lines after this one assume it.
    number: u8,
    /// How many lines before this one its matches reach.
    reach: u8,
    /// The CRC register after the constant part alone.
    crc: u32,
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

/// Bytes after the last line's bits, because they are copied by words.
const PADDING: usize = 16;

/// Bits by which a match may become longer when its distance changes.
const MATCH_ROOM: usize = 8;

/// The most bytes that a line is compressed to: its constant part and a number, each byte in the longest code.
const MOST_WRITTEN: usize = 2 * crc::MOST_BYTES + 64;

impl Group {
    /// Prepares the lines of slots with these names and label blocks. `None` if a line is too long, or there is none. `number` gives the
    /// number of a slot.
    pub(super) fn new<'a>(
        slots: impl Iterator<Item = (u32, &'a [u8], &'a [u8])>,
        mut number: impl FnMut(u32) -> NumberText,
    ) -> Option<Self> {
        let mut texts = Lines { text: Vec::new(), starts: vec![0] };
        let (mut lines, mut starts, mut histogram) = (Vec::new(), vec![0], Histogram::default());
        for (slot, name, labels) in slots {
            if !lines.is_empty() {
                texts.text.push(b'\n');
            }
            texts.text.extend_from_slice(name);
            if labels.is_empty() {
                texts.text.push(b' ');
            } else {
                [&b"{"[..], labels, b"} "].iter().for_each(|part| texts.text.extend_from_slice(part));
            }
            texts.starts.push(texts.text.len() as u32);
            let constant = texts.get(lines.len());
            if constant.len() > MOST_LINE_BYTES {
                return None;
            }
            let number = number(slot);
            number.characters(|byte| histogram.literals[usize::from(byte)] += 1);
            starts.push(starts[lines.len()] + constant.len() as u32 + number.len());
            let (length, number, crc) = (constant.len() as u16, number.len() as u8, crc::append_all(0, constant));
            lines.push(Line { slot, first_token: 0, first_byte: 0, bits: 0, room: 0, length, number, reach: 0, crc });
        }
        if lines.is_empty() {
            return None;
        }
        let mut tokens = Vec::new();
        parse(&texts, |at, parsed| {
            lines[at].first_token = tokens.len() as u32;
            for token in parsed {
                if let Token::Match(found) = token {
                    lines[at].reach = lines[at].reach.max(found.lines_back as u8);
                }
                histogram.count(token, |found| distance(&starts, at, found));
            }
            tokens.extend_from_slice(parsed);
        });
        histogram.complete();
        let codes = Codes::new(&histogram);
        let mut group = Self { codes, lines, tokens: Vec::new(), bits: Vec::new(), starts };
        group.place(&tokens)?;
        Some(group)
    }

    /// Packs the tokens, and gives the bits of each line their place.
    fn place(&mut self, tokens: &[Token]) -> Option<()> {
        let mut bits = BitWriter::default();
        for at in 0..self.lines.len() {
            let end = self.lines.get(at + 1).map_or(tokens.len(), |next| next.first_token as usize);
            let tokens = &tokens[self.lines[at].first_token as usize..end];
            self.lines[at].first_token = self.tokens.len() as u32;
            PackedToken::pack(tokens, &self.codes.literals, &mut self.tokens);
            self.write_constant(at, self.tokens.len(), &mut bits).ok()?;
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
        let lines = self.lines.capacity() * size_of::<Line>() + 4 * self.starts.capacity();
        lines + self.codes.memory() + 4 * self.tokens.capacity() + self.bits.capacity()
    }

    /// Writes all lines as one block, with the numbers that they have now.
    ///
    /// # Errors
    /// [`Stale`] if the block cannot be written. What `out` has got then is of no use.
    pub(super) fn write(
        &mut self,
        mut number: impl FnMut(u32) -> NumberText,
        out: &mut BitWriter,
        before: Written,
    ) -> Result<Written, Stale> {
        self.codes.put_header(out);
        let pairs = number::pairs(&self.codes.literals);
        let mut scratch = BitWriter::default();
        let (mut register, mut start) = (before.crc, 0);
        // Lines since the last one whose number changed its length.
        let mut since = usize::MAX;
        for at in 0..self.lines.len() {
            self.starts[at] = start;
            if since <= usize::from(self.lines[at].reach) {
                self.resolve(at, &mut scratch)?;
            }
            let line = &mut self.lines[at];
            let number = number(line.slot);
            out.reserve(MOST_WRITTEN);
            let (bits, constant) = (&self.bits[line.first_byte as usize..], u32::from(line.bits));
            let appended = match &number {
                NumberText::Digits { digits, count } => {
                    put_digits(out, bits, constant, &pairs, *digits, *count);
                    crc::append(line.crc, number::ascii(*digits, *count), *count)
                }
                NumberText::Text { bytes, count } => {
                    let text = &bytes[..*count as usize];
                    out.put_bytes(bits, constant, 0, 0);
                    put_text(out, &self.codes.literals, text);
                    crc::append_all(line.crc, text)
                }
            };
            let length = u32::from(line.length) + number.len();
            register = crc::shift(length as usize).of(register) ^ appended;
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
        Ok(Written { crc: crc::append(register, u64::from(b'\n'), 1), bytes: before.bytes + u64::from(start) + 1 })
    }

    /// Finds the distances of a line's matches anew.
    #[cold]
    fn resolve(&mut self, at: usize, scratch: &mut BitWriter) -> Result<(), Stale> {
        let end = self.lines.get(at + 1).map_or(self.tokens.len(), |next| next.first_token as usize);
        self.write_constant(at, end, scratch)?;
        let line = &mut self.lines[at];
        let written = scratch.written();
        if written.len() > usize::from(line.room) {
            return Err(Stale);
        }
        line.bits = scratch.bits() as u16;
        self.bits[line.first_byte as usize..][..written.len()].copy_from_slice(written);
        Ok(())
    }

    /// Writes the constant part of a line, whose tokens end before `end`, as it is where the lines begin now.
    fn write_constant(&self, at: usize, end: usize, out: &mut BitWriter) -> Result<(), Stale> {
        out.clear();
        out.reserve(MOST_WRITTEN);
        for token in &self.tokens[self.lines[at].first_token as usize..end] {
            match token.unpack() {
                Unpacked::Literals { bits, count } => out.put(bits, count),
                Unpacked::Match(found) => {
                    let distance = distance(&self.starts, at, &found).filter(|distance| *distance <= FARTHEST);
                    let distance = symbols::distance(distance.ok_or(Stale)?);
                    let length = symbols::length(found.length);
                    let code = self.codes.distances[distance.number];
                    if code.length == 0 {
                        return Err(Stale);
                    }
                    put_code(out, self.codes.literals[length.number]);
                    out.put(u64::from(length.extra), length.extra_bits);
                    put_code(out, code);
                    out.put(u64::from(distance.extra), distance.extra_bits);
                }
            }
        }
        Ok(())
    }
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

/// Puts the constant part of a line and the digits after it.
#[inline]
fn put_digits(out: &mut BitWriter, bits: &[u8], constant: u32, pairs: &[Joined; 256], digits: u64, count: u32) {
    let [one, two, three, four] = number::pair_indices(digits, count).map(|index| pairs[index]);
    // Four digits have at most 60 bits, and usually 14.
    let (first, first_count) = (u64::from(one.bits) | u64::from(two.bits) << one.count, one.count + two.count);
    let (last, last_count) = (u64::from(three.bits) | u64::from(four.bits) << three.count, three.count + four.count);
    if first_count + last_count <= bits::MOST {
        return out.put_bytes(bits, constant, first | last << first_count, first_count + last_count);
    }
    out.put_bytes(bits, constant, 0, 0);
    [one, two, three, four].iter().for_each(|pair| out.put(u64::from(pair.bits), pair.count));
}

impl Histogram {
    /// Counts a token. The neighbours of a distance are counted, too, because distances change with the lengths of numbers.
    fn count(&mut self, token: &Token, distance: impl FnOnce(&Match) -> Option<u32>) {
        match token {
            Token::Literal(byte) => self.literals[usize::from(*byte)] += 1,
            Token::Match(found) => {
                self.literals[symbols::length(found.length).number] += 1;
                let symbol = symbols::distance(distance(found).unwrap_or(1).min(FARTHEST)).number;
                self.distances[symbol] += 8;
                self.distances[symbol.saturating_sub(1)] += 1;
                self.distances[(symbol + 1).min(DISTANCES - 1)] += 1;
            }
        }
    }

    /// Counts what a block always needs: characters of every number, the end, and two distances, because a code of one is not complete.
    fn complete(&mut self) {
        number::CHARACTERS.iter().for_each(|byte| self.literals[usize::from(*byte)] += 1);
        self.literals[usize::from(b'\n')] += 1;
        self.literals[END_OF_BLOCK] = 1;
        self.distances[..2].iter_mut().for_each(|count| *count += 1);
    }
}
