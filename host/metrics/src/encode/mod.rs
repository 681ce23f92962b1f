//! Encoders: from families to the bytes of an exposition format, one file per format.
//!
//! `text` is text 0.0.4, `openmetrics` is OpenMetrics 1.0, `openmetrics2` its version 2.0, `protobuf` is delimited `io.prometheus.client.MetricFamily`. The first two
//! share `lines`, which is generic over what they do differently. Numbers are formatted in [`number`] and text is escaped
//! in [`escape`], for all of them. A new format is a new file here, a [`Format`], and an arm of [`encoder`].
//!
//! An encoder is called once a family, so that choosing one at run time costs nothing per sample.

pub mod escape;
mod lines;
pub mod number;
mod openmetrics;
mod openmetrics2;
pub mod protobuf;
mod text;

use std::{io, sync::Arc};

use crate::{
    deflate::{Deflated, TextPart, TextPieces},
    family::FamilySeries,
    negotiate::{Encoding, Format},
    preparations::Preparations,
};

/// Encodes families in one exposition format.
pub trait Encoder {
    /// Encodes a family; one without series adds nothing. Fails only when the [`ChunkSink`] does.
    fn family(&mut self, presentation: Presentation<'_>, series: FamilySeries<'_>) -> io::Result<()>;

    /// Passes on what [`encode_fragment`] made in the same format.
    fn fragment(&mut self, encoded: &[u8]) -> io::Result<()>;

    /// Hands everything that was encoded so far to the sink, without ending the answer.
    fn flush(&mut self) -> io::Result<()>;

    /// Ends the answer and hands the rest of it to the sink.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// How the families of one package are presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presentation<'a> {
    /// Precedes each family's name, with a `_` in between; empty: nothing does.
    pub namespace: &'a str,
    pub integers: Integers,
}

impl<'a> Presentation<'a> {
    /// Families behind `namespace`, whole numbers with all their digits.
    pub fn exact(namespace: &'a str) -> Self {
        Self { namespace, integers: Integers::Exact }
    }

    /// The full name of a family.
    fn name(self, family: &str) -> String {
        if self.namespace.is_empty() { family.to_owned() } else { format!("{}_{family}", self.namespace) }
    }
}

/// How whole raw numbers print in the text formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Integers {
    /// All their digits.
    Exact,
    /// As Go prints a float, `1.287408e+06`: the form that dashboards and tests made for other exporters have seen.
    AsGoFloat,
}

/// Whether OpenMetrics 1.0 has start times: `_created`, which is one more series for each counter and histogram. Protobuf and OpenMetrics 2.0
/// have them within the series, always. Text 0.0.4 has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    LeftOut,
    Printed,
}

/// A chunk is handed out once it is this long, so that a million series need no buffer of their size.
const CHUNK_BYTES: usize = 256 << 10;

/// The destination of an answer, which takes it chunk by chunk. It provides the memory to encode into, so that no chunk is copied.
pub trait ChunkSink {
    /// An empty buffer for the next chunk.
    fn buffer(&mut self) -> Vec<u8> {
        Vec::new()
    }

    /// Takes a chunk over.
    fn send(&mut self, chunk: Vec<u8>) -> io::Result<()>;

    /// Takes text over that is kept for the next answer, too. Only a [`keeping_encoder`] has such text.
    fn send_shared(&mut self, text: Arc<Vec<u8>>) -> io::Result<()> {
        let mut chunk = self.buffer();
        chunk.extend_from_slice(&text);
        self.send(chunk)
    }

    /// Takes text over that is compressed already. Only a [`keeping_encoder`] of compressed answers has such text.
    fn send_deflated(&mut self, _: Deflated) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl ChunkSink for Vec<u8> {
    fn send(&mut self, chunk: Vec<u8>) -> io::Result<()> {
        self.extend_from_slice(&chunk);
        Ok(())
    }
}

impl ChunkSink for io::Sink {
    fn send(&mut self, _: Vec<u8>) -> io::Result<()> {
        Ok(())
    }
}

/// An encoder of `format` that writes to `out`.
pub fn encoder<'w>(format: Format, created: Created, out: &'w mut dyn ChunkSink) -> Box<dyn Encoder + 'w> {
    match format {
        Format::Text004 => Box::new(text::encoder(out)),
        Format::OpenMetrics001 | Format::OpenMetrics100 => Box::new(openmetrics::encoder(created, out)),
        Format::OpenMetrics200 => Box::new(openmetrics2::SeriesLines::new(out)),
        Format::Protobuf => Box::new(protobuf::Messages::new(out)),
    }
}

/// The same with what `preparations` has of earlier answers. In an answer that will be compressed with gzip what is prepared is compressed here,
/// and the rest goes to `out` as text.
pub fn keeping_encoder<'w>(
    format: Format,
    encoding: Encoding,
    created: Created,
    preparations: &'w mut Preparations,
    out: &'w mut dyn ChunkSink,
) -> Box<dyn Encoder + 'w> {
    preparations.begin();
    match format {
        Format::Text004 => Box::new(text::encoder(out).keeping(format, encoding, preparations)),
        Format::OpenMetrics001 | Format::OpenMetrics100 => {
            Box::new(openmetrics::encoder(created, out).keeping(format, encoding, preparations))
        }
        Format::OpenMetrics200 | Format::Protobuf => encoder(format, created, out),
    }
}

/// Families encoded in `format` on their own, for [`Encoder::fragment`]: families that have not changed need not be encoded again.
pub fn encode_fragment<'a>(
    format: Format,
    created: Created,
    presentation: Presentation<'_>,
    mut families: impl Iterator<Item = FamilySeries<'a>>,
) -> Vec<u8> {
    let mut fragment = Vec::new();
    let mut encoder = encoder(format, created, &mut fragment);
    let encoded = families.try_for_each(|series| encoder.family(presentation, series)).and_then(|()| encoder.flush());
    debug_assert!(encoded.is_ok(), "a vector takes every chunk");
    drop(encoder);
    fragment
}

/// The chunk that is being filled, for encoders.
struct Chunk<'w> {
    out: &'w mut dyn ChunkSink,
    bytes: Vec<u8>,
    /// The part of the text that is compressed here.
    pieces: Option<TextPieces<'w>>,
}

impl<'w> Chunk<'w> {
    fn new(out: &'w mut dyn ChunkSink) -> Self {
        let bytes = out.buffer();
        Self { out, bytes, pieces: None }
    }

    /// Hands the chunk out once it is long enough.
    #[inline]
    fn send_if_full(&mut self) -> io::Result<()> {
        if self.bytes.len() >= CHUNK_BYTES { self.send() } else { Ok(()) }
    }

    #[cold]
    fn send(&mut self) -> io::Result<()> {
        if self.pieces.is_some() {
            return self.divide(false);
        }
        // The next chunk overshoots by one series at most, which has this much room.
        let capacity = self.bytes.len() + CHUNK_BYTES / 8;
        self.out.send(std::mem::take(&mut self.bytes))?;
        self.bytes = self.out.buffer();
        self.bytes.reserve(capacity);
        Ok(())
    }

    /// Lets text that is compressed here be in other pieces than what follows.
    fn end_piece(&mut self) -> io::Result<()> {
        self.divide(true)?;
        if self.pieces.is_some() && self.bytes.capacity() == 0 {
            self.bytes = self.out.buffer();
        }
        Ok(())
    }

    /// Hands the text out that may be compressed here. The beginning of a piece is left unless this is the end of the text.
    fn divide(&mut self, is_end: bool) -> io::Result<()> {
        let Some(pieces) = &mut self.pieces else { return Ok(()) };
        pieces.divide(&mut self.bytes, is_end, |part| match part {
            TextPart::Plain(text) => self.out.send(text),
            TextPart::Deflated(deflated) => self.out.send_deflated(deflated),
        })?;
        if !is_end && self.bytes.capacity() == 0 {
            self.bytes = self.out.buffer();
        }
        Ok(())
    }

    /// Hands out text that is kept for the next answer, after the text before it.
    fn send_shared(&mut self, text: Arc<Vec<u8>>) -> io::Result<()> {
        if !self.bytes.is_empty() {
            self.send()?;
        }
        self.out.send_shared(text)
    }

    /// Hands out compressed text, after the text before it.
    fn send_deflated(&mut self, deflated: Deflated) -> io::Result<()> {
        if !self.bytes.is_empty() {
            self.divide(true)?;
        }
        self.out.send_deflated(deflated)
    }

    /// Hands out what there is, however short.
    fn flush(&mut self) -> io::Result<()> {
        self.divide(true)?;
        self.out.send(std::mem::take(&mut self.bytes))
    }

    /// Hands out the chunk as the last one.
    fn finish(mut self) -> io::Result<()> {
        self.divide(true)?;
        self.out.send(self.bytes)
    }
}
