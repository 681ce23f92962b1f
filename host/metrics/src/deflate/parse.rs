//! Finds what lines have in common, apart from their numbers: literals and matches, as any compressor does, but with matches that stay right
//! when numbers change.
//!
//! The part of a line that never changes begins with the line feed that ends the line before, and ends before the number. A match copies
//! from within such a part of another line; one that ends before the numbers of both lines is worth more if these begin alike. Its distance depends on the lengths of the numbers in between and is found when the line is
//! written, so a match here names a line and a place in it.

use super::{
    number::{self, NumberText},
    symbols::LONGEST_MATCH,
};

/// The number of lines back that a match may reach. When the length of a number changes, so many lines after it are written anew.
pub(super) const MOST_LINES_BACK: usize = 64;

/// The longest constant part of a line.
pub(super) const MOST_LINE_BYTES: usize = super::crc::MOST_BYTES - number::MOST_DIGITS;

/// Bytes that are hashed to find a match; shorter ones are not worth it.
const SHORTEST_MATCH: usize = 4;

/// Places that are compared for one match.
const CANDIDATES: usize = 12;

const HASH_BITS: u32 = 13;

/// No place.
const NONE: u32 = u32::MAX;

/// A part of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    Literal(u8),
    Match(Match),
}

/// A copy of bytes of an earlier line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) length: usize,
    /// How many lines before this one.
    pub(super) lines_back: usize,
    /// Where this begins in its line, less where the copied bytes begin in theirs.
    pub(super) shift: i32,
}

/// The constant parts of lines, one after the other, and their numbers.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) text: Vec<u8>,
    /// Where each begins, and the end of the last.
    pub(super) starts: Vec<u32>,
    pub(super) numbers: Vec<NumberText>,
}

impl Default for Lines {
    fn default() -> Self {
        Self { text: Vec::new(), starts: vec![0], numbers: Vec::new() }
    }
}

impl Lines {
    /// Appends a line: the parts of its text before the number, and the number.
    pub(super) fn push(&mut self, parts: &[&[u8]], number: NumberText) {
        if !self.numbers.is_empty() {
            self.text.push(b'\n');
        }
        parts.iter().for_each(|part| self.text.extend_from_slice(part));
        self.starts.push(self.text.len() as u32);
        self.numbers.push(number);
    }

    /// The constant part of a line.
    pub(super) fn get(&self, line: usize) -> &[u8] {
        &self.text[self.starts[line] as usize..self.starts[line + 1] as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// How many of the first characters of a line's number a match has in common with the line that it copies from, if it ends where the
    /// numbers of both begin.
    pub(super) fn common_digits(&self, line: usize, end: usize, source: usize, source_end: usize) -> u32 {
        if end != self.starts[line + 1] as usize || source_end != self.starts[source + 1] as usize {
            return 0;
        }
        let (number, other) = (&self.numbers[line], &self.numbers[source]);
        number::common(number.beginning(), other.beginning(), number.len())
    }
}

/// The cost of a byte as a literal, and of a match, in quarters of a bit; so much is known before there are codes.
const DIGIT: u32 = 14;
const LITERAL: u32 = 25;
const MATCH: u32 = 34;
const EXTRA_BIT: u32 = 4;

fn literal_cost(byte: u8) -> u32 {
    if byte.is_ascii_digit() { DIGIT } else { LITERAL }
}

/// Calls `each` with the tokens of one line after the other.
pub(super) fn parse(lines: &Lines, mut each: impl FnMut(usize, &[Token])) {
    let mut finder = Finder::new(lines);
    let mut tokens = Vec::new();
    for line in 0..lines.len() {
        tokens.clear();
        finder.line(line, &mut tokens);
        each(line, &tokens);
    }
}

/// A match, and what it saves.
#[derive(Debug, Clone, Copy)]
struct Found {
    found: Match,
    saved: u32,
}

/// The places of sequences of [`SHORTEST_MATCH`] bytes.
struct Finder<'a> {
    lines: &'a Lines,
    /// By hash: the last place.
    heads: Vec<u32>,
    /// By place: the place before it with the same hash.
    before: Vec<u32>,
    /// By place: its line.
    line_of: Vec<u16>,
    /// By place: the cost of all literals before it.
    costs: Vec<u32>,
}

impl<'a> Finder<'a> {
    fn new(lines: &'a Lines) -> Self {
        let mut line_of = Vec::with_capacity(lines.text.len());
        for line in 0..lines.len() {
            line_of.resize(lines.starts[line + 1] as usize, line as u16);
        }
        let mut sum = 0;
        let costs = lines.text.iter().map(|byte| {
            sum += literal_cost(*byte);
            sum - literal_cost(*byte)
        });
        let mut costs: Vec<u32> = costs.collect();
        costs.push(sum);
        Self { lines, heads: vec![NONE; 1 << HASH_BITS], before: vec![NONE; lines.text.len()], line_of, costs }
    }

    fn line(&mut self, line: usize, tokens: &mut Vec<Token>) {
        let (mut at, end) = (self.lines.starts[line] as usize, self.lines.starts[line + 1] as usize);
        let mut here = self.find(at, line);
        while at < end {
            self.insert(at, end);
            let next = self.find(at + 1, line);
            let literal = literal_cost(self.lines.text[at]);
            match here {
                // A longer match that begins one byte later is often better.
                Some(found) if next.is_none_or(|next| next.saved <= found.saved + literal) => {
                    tokens.push(Token::Match(found.found));
                    (at + 1..at + found.found.length).for_each(|at| self.insert(at, end));
                    at += found.found.length;
                    here = self.find(at, line);
                }
                _ => {
                    tokens.push(Token::Literal(self.lines.text[at]));
                    at += 1;
                    here = next;
                }
            }
        }
    }

    fn hash(&self, at: usize) -> Option<usize> {
        let bytes = self.lines.text.get(at..at + SHORTEST_MATCH)?;
        let word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        Some((word.wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS)) as usize)
    }

    fn insert(&mut self, at: usize, end: usize) {
        if at + SHORTEST_MATCH <= end
            && let Some(hash) = self.hash(at)
        {
            self.before[at] = self.heads[hash];
            self.heads[hash] = at as u32;
        }
    }

    /// The match at this place that saves most.
    fn find(&self, at: usize, line: usize) -> Option<Found> {
        let (lines, text) = (self.lines, &self.lines.text);
        let end = lines.starts[line + 1] as usize;
        if at + SHORTEST_MATCH > end {
            return None;
        }
        let mut best: Option<Found> = None;
        let mut candidate = self.heads[self.hash(at)?];
        for _ in 0..CANDIDATES {
            if candidate == NONE {
                break;
            }
            let from = candidate as usize;
            let source = usize::from(self.line_of[from]);
            if line - source > MOST_LINES_BACK {
                break;
            }
            candidate = self.before[from];
            if source == line {
                continue;
            }
            let most = (end - at).min(lines.starts[source + 1] as usize - from).min(LONGEST_MATCH);
            let same = text[at..at + most].iter().zip(&text[from..from + most]).take_while(|(one, other)| one == other);
            let length = same.count();
            if length < SHORTEST_MATCH {
                continue;
            }
            let cost = MATCH + EXTRA_BIT * ((at - from) as u32).ilog2().saturating_sub(1);
            let digits = DIGIT * lines.common_digits(line, at + length, source, from + length);
            let saved = (self.costs[at + length] - self.costs[at] + digits).saturating_sub(cost);
            if saved > best.map_or(0, |best| best.saved) {
                let shift = (at as i32 - lines.starts[line] as i32) - (from as i32 - lines.starts[source] as i32);
                best = Some(Found { found: Match { length, lines_back: line - source, shift }, saved });
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(parts: &[&str]) -> Lines {
        let mut lines = Lines::default();
        parts.iter().for_each(|part| lines.push(&[part.as_bytes()], NumberText::integer(7)));
        lines
    }

    #[test]
    fn a_line_is_what_it_has_in_common_with_others_and_the_rest() {
        let lines = lines(&[
            "calls{id=\"1\",kind=\"read\"} ",
            "calls{id=\"27\",kind=\"read\"} ",
            "calls{id=\"3\",kind=\"open\"} ",
        ]);
        let mut parsed = Vec::new();
        parse(&lines, |line, tokens| {
            let mut text = Vec::new();
            for token in tokens {
                match token {
                    Token::Literal(byte) => text.push(*byte),
                    Token::Match(found) => {
                        let from = (text.len() as i32 - found.shift) as usize;
                        text.extend_from_slice(&lines.get(line - found.lines_back)[from..from + found.length]);
                    }
                }
            }
            assert_eq!(text, lines.get(line));
            parsed.push(tokens.iter().filter(|token| matches!(token, Token::Match(_))).count());
        });
        assert_eq!(parsed, [0, 2, 2]);
    }
}
