//! Compressed answers: one gzip stream (RFC 1952) of what an ordinary compressor makes of text, and of blocks that the encoder has compressed
//! already.
//!
//! Blocks of the encoder refer to nothing before them, and text after them is compressed as if it were the first. Each part ends at a byte.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use crc32fast::Hasher;
use flate2::{Compress, Compression, FlushCompress, Status};
use tokio::sync::mpsc::unbounded_channel;
use tracing::error;

use super::{
    body::SentChunks,
    chunks::{BodyChunk, BodyChunks, ChunkSender, DeflatedBytes},
    unsent::{AnswerBytes, Reader, UnsentBytes},
};

/// Compressed bytes that are worth a chunk.
const CHUNK_BYTES: usize = 32 << 10;

/// Room for compressed bytes that is made at a time.
const ROOM: usize = 8 << 10;

/// Deflate, no flags, no time, fastest algorithm, unix.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 3];

/// An empty last block.
const LAST_BLOCK: [u8; 2] = [3, 0];

/// Text that is compressed where it is sent from, a millisecond's worth: that takes less time than to wake another thread.
const SHORT_TEXT: usize = 256 << 10;

/// The chunks as one gzip stream; `None` if the answer was given up before. Level 1 costs a seventh of level 6 for 8 % more bytes. The compressed
/// bytes are the client's own, and counted as `unsent` until it has taken them.
///
/// Long text is compressed on a thread that may block. A short answer, and one that begins with a heading and prepared series, is compressed as it is
/// sent.
pub(super) async fn gzip(mut chunks: BodyChunks, unsent: &UnsentBytes, client: Reader) -> Option<SentChunks> {
    let first = chunks.recv().await?; // the thread is needed from now on only, not while waiting for the agent
    let unsent = unsent.begin(vec![client]);
    let is_short = match &first {
        BodyChunk::Last(text) | BodyChunk::More(text) => text.len() <= SHORT_TEXT,
        BodyChunk::Deflated(_) => true,
    };
    if is_short {
        let mut compressed =
            GzipChunks { chunks, stream: Some(GzipStream::new()), ready: VecDeque::new(), unsent: unsent.clone() };
        compressed.take(first);
        return Some(SentChunks::Gzip(Box::new(compressed)));
    }
    let (compressed, answer) = unbounded_channel();
    // If it fails, there is no last chunk, and the reader sees that the answer was given up.
    tokio::task::spawn_blocking(move || {
        let compressed = compress(first, chunks, &compressed, &unsent);
        unsent.finish_compressed();
        compressed
    });
    Some(SentChunks::Ready(answer))
}

/// Chunks that are compressed as they are taken.
pub(super) struct GzipChunks {
    chunks: BodyChunks,
    /// `None`: it is complete, or cannot be continued.
    stream: Option<GzipStream>,
    /// Compressed chunks that are next.
    ready: VecDeque<BodyChunk>,
    unsent: Arc<AnswerBytes>,
}

impl GzipChunks {
    /// The next compressed chunk; `None` without a last one: the answer was given up.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<BodyChunk>> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return Poll::Ready(Some(chunk));
            }
            if self.stream.is_none() {
                return Poll::Ready(None);
            }
            match self.chunks.poll_recv(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => self.stream = None,
                Poll::Ready(Some(chunk)) => self.take(chunk),
            }
        }
    }

    fn take(&mut self, chunk: BodyChunk) {
        let Some(stream) = self.stream.take() else { return };
        match stream.chunk(chunk, &self.unsent, |chunk| self.ready.push_back(chunk)) {
            Ok(Some(stream)) => self.stream = Some(stream),
            Ok(None) => self.unsent.finish_compressed(),
            // There is no last chunk, and the reader sees that the answer was given up.
            Err(error) => error!("compressing into memory failed: {error}"),
        }
    }
}

/// Compresses all chunks, and waits for each.
fn compress(
    first: BodyChunk,
    mut chunks: BodyChunks,
    compressed: &ChunkSender,
    unsent: &Arc<AnswerBytes>,
) -> Option<()> {
    let (mut stream, mut chunk) = (GzipStream::new(), first);
    loop {
        let mut is_wanted = true;
        let next = stream.chunk(chunk, unsent, |chunk| is_wanted &= compressed.send(chunk).is_ok()).ok()?;
        let Some(continued) = next.filter(|_| is_wanted) else { return Some(()) };
        stream = continued;
        chunk = chunks.blocking_recv()?;
    }
}

/// A gzip stream that is being written.
struct GzipStream {
    /// Bytes that were not sent yet.
    bytes: Vec<u8>,
    /// The ordinary compressor, from the first text on that needs it: clearing its memory takes longer than sending a short answer.
    compress: Option<Compress>,
    /// Whether text was compressed whose end is not written yet.
    is_open: bool,
    crc: Hasher,
    text_bytes: u64,
}

/// Ordinary compressors whose memory is kept for the next answer, because fresh pages cost as much as compressing a short one.
static SPARE: Mutex<Vec<Compress>> = Mutex::new(Vec::new());

/// Compressors that are kept.
const SPARE_COMPRESSORS: usize = 1;

fn compressor() -> Compress {
    let spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner).pop();
    spare.unwrap_or_else(|| Compress::new(Compression::fast(), false))
}

fn keep(mut compressor: Compress) {
    let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
    if spare.len() < SPARE_COMPRESSORS {
        compressor.reset();
        spare.push(compressor);
    }
}

impl GzipStream {
    fn new() -> Self {
        Self { bytes: HEADER.to_vec(), compress: None, is_open: false, crc: Hasher::new(), text_bytes: 0 }
    }

    /// Adds a chunk, and hands out what is worth sending. Returns `None` after the last one.
    fn chunk(
        mut self,
        chunk: BodyChunk,
        unsent: &Arc<AnswerBytes>,
        mut send: impl FnMut(BodyChunk),
    ) -> io::Result<Option<Self>> {
        let blocks = match chunk {
            BodyChunk::More(text) => {
                self.text(&text)?;
                None
            }
            BodyChunk::Deflated(deflated) => {
                self.deflated(&deflated)?;
                if self.bytes.len() + deflated.blocks.len() < CHUNK_BYTES {
                    self.bytes.extend_from_slice(&deflated.blocks);
                    None
                } else {
                    Some(deflated.blocks)
                }
            }
            BodyChunk::Last(text) => {
                self.text(&text)?;
                send(BodyChunk::Last(unsent.counted(self.finish()?)));
                return Ok(None);
            }
        };
        if blocks.is_some() && !self.bytes.is_empty() || self.bytes.len() >= CHUNK_BYTES {
            send(BodyChunk::More(unsent.counted(std::mem::take(&mut self.bytes))));
        }
        if let Some(blocks) = blocks {
            send(BodyChunk::More(blocks));
        }
        Ok(Some(self))
    }

    fn text(&mut self, text: &[u8]) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        self.is_open = true;
        self.crc.update(text);
        self.text_bytes += text.len() as u64;
        self.run(text, FlushCompress::None)
    }

    /// Makes room for blocks that are compressed already.
    fn deflated(&mut self, deflated: &DeflatedBytes) -> io::Result<()> {
        if self.is_open {
            self.run(&[], FlushCompress::Sync)?;
            self.compress.iter_mut().for_each(Compress::reset);
            self.is_open = false;
        }
        self.crc.combine(&Hasher::new_with_initial_len(deflated.crc, deflated.text_bytes));
        self.text_bytes += deflated.text_bytes;
        Ok(())
    }

    fn finish(mut self) -> io::Result<Vec<u8>> {
        if self.is_open {
            self.run(&[], FlushCompress::Finish)?;
        } else {
            self.bytes.extend_from_slice(&LAST_BLOCK);
        }
        if let Some(compress) = self.compress.take() {
            keep(compress);
        }
        self.bytes.extend_from_slice(&self.crc.finalize().to_le_bytes());
        self.bytes.extend_from_slice(&(self.text_bytes as u32).to_le_bytes());
        Ok(self.bytes)
    }

    /// Compresses all of `text`, and everything that is held back if `flush` says so.
    fn run(&mut self, mut text: &[u8], flush: FlushCompress) -> io::Result<()> {
        let compress = self.compress.get_or_insert_with(compressor);
        loop {
            self.bytes.reserve(ROOM);
            let before = compress.total_in();
            let status = compress.compress_vec(text, &mut self.bytes, flush)?;
            text = &text[(compress.total_in() - before) as usize..];
            let has_room = self.bytes.len() < self.bytes.capacity();
            if status == Status::StreamEnd || text.is_empty() && has_room && flush != FlushCompress::Finish {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;
    use crate::connections::Connection;

    #[tokio::test]
    async fn compressed_chunks_are_one_stream_and_half_of_one_has_no_end() {
        let noise = |seed: u64, length: u64| {
            (1..length)
                .map(move |at| ((at << 8 | seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31) ^ at.pow(3)) as u8)
        };
        // The longer ones are compressed on a thread of their own.
        for (whole, length) in [(true, 100_000), (false, 100_000), (true, 300_000), (false, 300_000)] {
            let texts: Vec<Vec<u8>> = (0..3).map(|seed| noise(seed, length).collect()).collect();
            let (reply, answer) = unbounded_channel();
            for text in &texts {
                reply.send(BodyChunk::More(text.clone().into())).unwrap();
            }
            if whole {
                reply.send(BodyChunk::Last("end".into())).unwrap();
            }
            drop(reply);
            let client = Reader::of(Arc::new(Connection::new(None)));
            let (mut compressed, mut chunks, mut ended) = (Vec::new(), 0, false);
            let mut answer = gzip(answer, &UnsentBytes::default(), client).await.unwrap();
            while let Some(chunk) = std::future::poll_fn(|context| answer.poll(context)).await {
                chunks += 1;
                ended = matches!(chunk, BodyChunk::Last(_));
                let (BodyChunk::More(bytes) | BodyChunk::Last(bytes)) = chunk else { panic!("it is compressed") };
                compressed.extend_from_slice(&bytes);
            }
            assert_eq!(ended, whole);
            assert!(chunks >= 2, "{chunks} chunks: it does not wait for the end");
            if whole {
                let mut text = Vec::new();
                GzDecoder::new(&compressed[..]).read_to_end(&mut text).unwrap();
                assert!(text == [texts.concat(), b"end".to_vec()].concat());
            }
        }
    }

    /// Text in pieces of random lengths, and blocks that are compressed already between them, a million boundaries in all.
    #[test]
    fn a_stream_is_the_same_text_wherever_it_is_divided() {
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut below = move |limit: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % limit
        };
        let mut expected = Vec::new();
        let mut stream = GzipStream::new();
        let mut compressed = Vec::new();
        for boundary in 0..1_000_000u64 {
            let text = format!("calls{{id=\"{}\"}} {boundary}\n", below(300));
            let text = &text.as_bytes()[..below(text.len() as u64 + 1) as usize];
            expected.extend_from_slice(text);
            if below(500) > 0 {
                stream.text(text).unwrap();
                continue;
            }
            let deflated = deflated(text);
            stream.deflated(&deflated).unwrap();
            compressed.append(&mut stream.bytes);
            compressed.extend_from_slice(&deflated.blocks);
        }
        compressed.extend_from_slice(&stream.finish().unwrap());
        let mut text = Vec::new();
        GzDecoder::new(&compressed[..]).read_to_end(&mut text).unwrap();
        assert!(text == expected);
    }

    /// Text as blocks that refer to nothing before them and end at a byte.
    fn deflated(text: &[u8]) -> DeflatedBytes {
        let mut blocks = Vec::with_capacity(text.len() + 64);
        let mut compress = Compress::new(Compression::fast(), false);
        compress.compress_vec(text, &mut blocks, FlushCompress::Sync).unwrap();
        let mut crc = Hasher::new();
        crc.update(text);
        DeflatedBytes { blocks: blocks.into(), crc: crc.finalize(), text_bytes: text.len() as u64 }
    }

    #[test]
    fn an_answer_without_text_is_an_empty_file() {
        let compressed = GzipStream::new().finish().unwrap();
        let mut text = Vec::new();
        GzDecoder::new(&compressed[..]).read_to_end(&mut text).unwrap();
        assert!(text.is_empty());
    }
}
