//! Text whose lines are prepared without knowing what they are: small families, histograms, the host's own metrics.
//!
//! Such text is printed in each answer as any other, and then divided into pieces of some hundred lines. Where the lines of a piece are the same as
//! in the last answers but for their numbers, comparing them and writing the prepared bits takes a tenth of what an ordinary compressor takes.
//! A piece whose numbers are the same, too, is sent as it was compressed before.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hasher as _},
};

use memchr::{memchr, memrchr};

use super::{
    Deflated,
    bits::BitWriter,
    crc,
    group::{FromText, Group, Scratch, Written},
    number::{MOST_DIGITS, NumberText},
    parse::Lines,
};
use crate::{kept::FORGOTTEN_AFTER, negotiate::Format};

/// The prepared pieces of answers by format.
#[derive(Debug)]
pub(crate) struct PreparedTexts {
    formats: HashMap<Format, FormatPieces>,
    bytes: usize,
    most: usize,
    lines_per_answer: usize,
    /// Lines that may still be prepared in this answer.
    lines_left: usize,
    answer: u64,
    scratch: Scratch,
    numbers: Vec<NumberText>,
}

/// The pieces of an answer in one format, in their order.
#[derive(Debug, Default)]
struct FormatPieces {
    pieces: Vec<Piece>,
    /// The place of the next piece in this answer.
    next: usize,
    last_answer: u64,
}

/// A piece of text, as it was in the last answer.
#[derive(Debug, Default)]
enum Piece {
    #[default]
    Unseen,
    /// The hash of its lines without their numbers; they have to be the same once more.
    Seen(u64),
    Prepared(Box<PreparedPiece>),
    /// These lines cannot be prepared.
    Refused(u64),
}

#[derive(Debug)]
struct PreparedPiece {
    /// The constant parts of the lines, without line feeds.
    constants: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<u32>,
    group: Group,
    /// The checksum and the length of its text in the last answer.
    last: Option<(u32, usize)>,
    /// Its text, if that was the same in the last two answers.
    unchanged: Option<Unchanged>,
}

/// Text that does not change for a while, and what it is compressed to.
#[derive(Debug)]
struct Unchanged {
    text: Vec<u8>,
    deflated: Deflated,
}

/// Text as it is sent.
#[derive(Debug)]
pub(crate) enum TextPart {
    Plain(Vec<u8>),
    Deflated(Deflated),
}

/// The pieces of the answer that is being written.
#[derive(Debug)]
pub(crate) struct TextPieces<'p> {
    texts: &'p mut PreparedTexts,
    format: Format,
}

/// A piece ends before the first heading after so many lines, so that families that come or go change few pieces.
const LEAST_LINES: usize = 256;

/// The most lines and bytes of a piece.
const MOST_LINES: usize = 1024;
const MOST_BYTES: usize = 128 << 10;

impl PreparedTexts {
    /// Pieces that take `most` bytes of memory, or little more, of which so many lines are prepared in one answer.
    pub(crate) fn new(most: usize, lines_per_answer: usize) -> Self {
        Self {
            formats: HashMap::new(),
            bytes: 0,
            most,
            lines_per_answer,
            lines_left: 0,
            answer: 0,
            scratch: Scratch::default(),
            numbers: Vec::new(),
        }
    }

    /// Memory of all pieces in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.bytes
    }

    /// Begins an answer.
    pub(crate) fn begin(&mut self) {
        self.answer += 1;
        self.lines_left = self.lines_per_answer;
        let (answer, bytes) = (self.answer, &mut self.bytes);
        self.formats.retain(|_, format| {
            let is_kept = answer - format.last_answer <= FORGOTTEN_AFTER;
            if !is_kept {
                *bytes -= format.pieces.iter().map(Piece::bytes).sum::<usize>();
            }
            is_kept
        });
    }

    /// The pieces of the answer that was begun.
    pub(crate) fn pieces(&mut self, format: Format) -> TextPieces<'_> {
        let format = format.of_lines();
        let pieces = self.formats.entry(format).or_default();
        (pieces.next, pieces.last_answer) = (0, self.answer);
        TextPieces { texts: self, format }
    }
}

impl TextPieces<'_> {
    /// Divides `text`, which consists of whole lines, and calls `each` with its parts as they are sent. Leaves the beginning of a piece in it
    /// that is not complete, unless this is the end of the text.
    ///
    /// # Errors
    /// That of `each`.
    pub(crate) fn divide<E>(
        &mut self,
        text: &mut Vec<u8>,
        is_end: bool,
        mut each: impl FnMut(TextPart) -> Result<(), E>,
    ) -> Result<(), E> {
        // Text from `plain` to `at` goes out as it is.
        let (mut plain, mut at) = (0, 0);
        while at < text.len() {
            let rest = &text[at..];
            if let Some(deflated) = self.write(rest) {
                if plain < at {
                    each(TextPart::Plain(text[plain..at].to_vec()))?;
                }
                at += deflated.text_bytes as usize;
                plain = at;
                each(TextPart::Deflated(deflated))?;
                continue;
            }
            let Some(length) = piece(rest).or_else(|| is_end.then_some(rest.len())) else { break };
            self.skip(&text[at..at + length]);
            at += length;
        }
        if plain == 0 && at == text.len() && at > 0 {
            return each(TextPart::Plain(std::mem::take(text)));
        }
        if plain < at {
            each(TextPart::Plain(text[plain..at].to_vec()))?;
        }
        text.drain(..at);
        Ok(())
    }

    fn next(&mut self) -> &mut FormatPieces {
        let format = self.texts.formats.entry(self.format).or_default();
        if format.next >= format.pieces.len() {
            format.pieces.push(Piece::Unseen);
        }
        format
    }

    /// Compresses the next piece, if it is prepared and `text` begins with it.
    fn write(&mut self, text: &[u8]) -> Option<Deflated> {
        self.next();
        let PreparedTexts { formats, bytes, most, scratch, numbers, .. } = &mut *self.texts;
        let format = formats.get_mut(&self.format)?;
        let Piece::Prepared(piece) = &mut format.pieces[format.next] else { return None };
        let freed = piece.bytes();
        let deflated = piece.write(text, numbers, scratch);
        if *bytes > *most {
            piece.unchanged = None;
        }
        *bytes = *bytes + piece.bytes() - freed;
        format.next += usize::from(deflated.is_some());
        deflated
    }

    /// Passes a piece over that is not prepared, or not as it is now. It is prepared if it was the same in the last answer.
    fn skip(&mut self, text: &[u8]) {
        let (bytes, lines) = (self.texts.bytes, lines_of(text).count());
        let has_room = bytes < self.texts.most && lines <= self.texts.lines_left;
        let mut prepared = 0;
        let format = self.next();
        let state = &mut format.pieces[format.next];
        format.next += 1;
        let hash = hash(text);
        let freed = state.bytes();
        match state {
            Piece::Seen(seen) if *seen == hash => {
                if has_room {
                    prepared = lines;
                    *state =
                        PreparedPiece::new(text).map_or(Piece::Refused(hash), |piece| Piece::Prepared(Box::new(piece)));
                }
            }
            Piece::Refused(refused) if *refused == hash => {}
            Piece::Unseen | Piece::Seen(_) | Piece::Prepared(_) | Piece::Refused(_) => *state = Piece::Seen(hash),
        }
        let taken = state.bytes();
        self.texts.bytes = bytes + taken - freed;
        self.texts.lines_left -= prepared;
    }
}

impl Piece {
    fn bytes(&self) -> usize {
        match self {
            Self::Prepared(piece) => piece.bytes(),
            Self::Unseen | Self::Seen(_) | Self::Refused(_) => 0,
        }
    }
}

impl PreparedPiece {
    /// Prepares lines. `None` if one is too long.
    fn new(text: &[u8]) -> Option<Self> {
        let (mut lines, mut constants, mut ends) = (Lines::default(), Vec::new(), Vec::new());
        for line in lines_of(text) {
            let (constant, number) = divided(line);
            lines.push(&[constant], number);
            constants.extend_from_slice(constant);
            ends.push(constants.len() as u32);
        }
        constants.shrink_to_fit();
        ends.shrink_to_fit();
        Some(Self { constants, ends, group: Group::new(&lines)?, last: None, unchanged: None })
    }

    /// Memory in bytes.
    fn bytes(&self) -> usize {
        let unchanged = self.unchanged.as_ref();
        let unchanged = unchanged.map_or(0, |kept| kept.text.capacity() + kept.deflated.blocks.capacity());
        self.constants.capacity() + 4 * self.ends.capacity() + self.group.memory() + unchanged
    }

    /// Compresses the piece, if `text` begins with it.
    fn write(&mut self, text: &[u8], numbers: &mut Vec<NumberText>, scratch: &mut Scratch) -> Option<Deflated> {
        match &self.unchanged {
            Some(unchanged) if text.starts_with(&unchanged.text) => return Some(unchanged.deflated.clone()),
            _ => self.unchanged = None,
        }
        let length = self.compare(text, numbers)?;
        let (text, mut bits) = (&text[..length], BitWriter::default());
        let start = Written { crc: crc::START, bytes: 0 };
        self.group.write::<FromText>(|line| numbers[line], scratch, &mut bits, start).ok()?;
        let crc = crc32fast::hash(text);
        let deflated = Deflated { blocks: bits.finish_aligned(), crc, text_bytes: length as u64 };
        if self.last.replace((crc, length)) == Some((crc, length)) {
            self.unchanged = Some(Unchanged { text: text.to_vec(), deflated: deflated.clone() });
        }
        Some(deflated)
    }

    /// Compares the beginning of a text with the lines. If they are the same but for their numbers, these are stored, and the length of the
    /// lines is returned.
    fn compare(&self, text: &[u8], numbers: &mut Vec<NumberText>) -> Option<usize> {
        numbers.clear();
        let (mut at, mut start) = (0, 0);
        for end in &self.ends {
            let rest = text.get(at..)?.strip_prefix(&self.constants[start..*end as usize])?;
            let length = memchr(b'\n', &rest[..rest.len().min(MOST_DIGITS + 1)])?;
            numbers.push(NumberText::parse(&rest[..length])?);
            at = text.len() - rest.len() + length + 1;
            start = *end as usize;
        }
        debug_assert_eq!(numbers.len(), self.group.len());
        Some(at)
    }
}

/// The length of the first piece of a text; `None` if it may be longer than the text.
fn piece(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    for (number, line) in lines_of(text).enumerate() {
        if number >= LEAST_LINES && line.starts_with(b"# HELP ") {
            return Some(at);
        }
        at += line.len() + 1;
        if number + 1 == MOST_LINES || at >= MOST_BYTES {
            return Some(at);
        }
    }
    None
}

/// Lines without their line feeds.
fn lines_of(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = memchr(b'\n', rest)?;
        let (line, after) = rest.split_at(end);
        rest = &after[1..];
        Some(line)
    })
}

/// The part of a line before its number, and the number. A line without one is constant as a whole.
fn divided(line: &[u8]) -> (&[u8], NumberText) {
    let space = memrchr(b' ', line).filter(|_| !line.starts_with(b"#"));
    let number = space.and_then(|space| Some((space + 1, NumberText::parse(&line[space + 1..])?)));
    match number {
        Some((start, number)) => (&line[..start], number),
        None => (line, NumberText::text(b"")),
    }
}

/// The hash of lines without their numbers.
fn hash(text: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for line in lines_of(text) {
        hasher.write(divided(line).0);
        hasher.write_u8(b'\n');
    }
    hasher.finish()
}
