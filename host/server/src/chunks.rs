//! An answer in chunks, which leave for those who asked while the next one is encoded, and whose memory is used again.
//!
//! A buffer returns to the pool when its last reader has sent it. Fresh memory for each answer would cost as much again as
//! encoding: at a million series the kernel would have to clear 70 MB of pages per scrape. The writer never waits for a reader: for a
//! slow one the chunks are kept, each once, however many readers there are, and counted as [unsent](super::unsent).

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use ebhost_metrics::{ChunkSink, Deflated};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use super::unsent::{AnswerBytes, CountedBytes, Reader, UnsentBytes};

/// A part of an answer's body. A body that ends without a last chunk was given up.
#[derive(Debug, Clone)]
pub(super) enum BodyChunk {
    More(Bytes),
    /// Text that is compressed already: in answers that are compressed, before they are.
    Deflated(DeflatedBytes),
    Last(Bytes),
}

/// [`Deflated`] that its readers share.
#[derive(Debug, Clone)]
pub(super) struct DeflatedBytes {
    pub(super) blocks: Bytes,
    pub(super) crc: u32,
    pub(super) text_bytes: u64,
}

/// The chunks of an answer, in order, as they are encoded.
pub(super) type BodyChunks = UnboundedReceiver<BodyChunk>;

/// The other end of [`BodyChunks`].
pub(super) type ChunkSender = UnboundedSender<BodyChunk>;

/// Buffers that no reader needs any more.
#[derive(Debug, Clone, Default)]
pub(super) struct BufferPool {
    free: Arc<Mutex<Vec<Vec<u8>>>>,
    unsent: UnsentBytes,
}

/// A client that waits for an answer: where its chunks go, and its connection.
#[derive(Debug)]
pub(super) struct ChunkReader {
    pub(super) chunks: ChunkSender,
    pub(super) client: Reader,
}

/// An answer that is being written, to all who asked for it.
#[derive(Debug)]
pub(super) struct ResponseWriter {
    pool: BufferPool,
    readers: Vec<ChunkSender>,
    unsent: Arc<AnswerBytes>,
    /// The latest chunk, which may be the last.
    held: Bytes,
    /// Chunks before it that are not worth a wake-up yet, and their bytes.
    waiting: Vec<BodyChunk>,
    waiting_bytes: usize,
    bytes: u64,
    /// The least number of buffers that were free while this was written: so many were not needed.
    unused_buffers: usize,
}

/// Bytes that leave together: each time a client's task is woken, which takes as long as sending some ten thousand bytes does. With several times as
/// many, an answer would be sent after it is printed and not meanwhile.
const SENT_TOGETHER: usize = 256 << 10;

impl BufferPool {
    /// Begins an answer to all of `readers`.
    pub(super) fn writer(&self, readers: Vec<ChunkReader>) -> ResponseWriter {
        let (readers, clients) = readers.into_iter().map(|reader| (reader.chunks, reader.client)).unzip();
        let unsent = self.unsent.begin(clients);
        ResponseWriter {
            pool: self.clone(),
            readers,
            unsent,
            held: Bytes::new(),
            waiting: Vec::new(),
            waiting_bytes: 0,
            bytes: 0,
            unused_buffers: usize::MAX,
        }
    }

    /// The bytes of all answers that clients have not taken yet.
    pub(super) fn unsent(&self) -> &UnsentBytes {
        &self.unsent
    }

    fn with<T>(&self, act: impl FnOnce(&mut Vec<Vec<u8>>) -> T) -> T {
        act(&mut self.free.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ResponseWriter {
    /// Sends the last chunk and returns the length of the answer. Buffers that the answer did not need are freed, except for one: so
    /// the memory of one large answer is not kept for ever.
    pub(super) fn finish(mut self) -> u64 {
        self.send_waiting();
        for reader in &self.readers {
            let _ = reader.send(BodyChunk::Last(self.held.clone())); // a reader that went away needs no end
        }
        let excess = self.unused_buffers.saturating_sub(1);
        self.pool.with(|free| free.truncate(free.len().saturating_sub(excess)));
        self.unsent.finish(self.bytes);
        self.bytes
    }
}

impl ChunkSink for ResponseWriter {
    fn buffer(&mut self) -> Vec<u8> {
        let (buffer, left) = self.pool.with(|free| (free.pop(), free.len()));
        self.unused_buffers = self.unused_buffers.min(left);
        let mut buffer = buffer.unwrap_or_default();
        buffer.clear();
        buffer
    }

    /// # Errors
    /// [`io::ErrorKind::BrokenPipe`] when no reader is left.
    fn send(&mut self, chunk: Vec<u8>) -> io::Result<()> {
        let counted = self.unsent.count(chunk.len());
        self.hold(Bytes::from_owner(PooledBuf { bytes: chunk, pool: self.pool.clone(), _counted: counted }))
    }

    /// # Errors
    /// [`io::ErrorKind::BrokenPipe`] when no reader is left.
    fn send_shared(&mut self, text: Arc<Vec<u8>>) -> io::Result<()> {
        let counted = self.unsent.count(text.len());
        self.hold(Bytes::from_owner(SharedText { text, _counted: counted }))
    }

    /// # Errors
    /// [`io::ErrorKind::BrokenPipe`] when no reader is left.
    fn send_deflated(&mut self, Deflated { blocks, crc, text_bytes }: Deflated) -> io::Result<()> {
        let before = std::mem::take(&mut self.held);
        if !before.is_empty() {
            self.send_to_all(before.len(), BodyChunk::More(before))?;
        }
        self.bytes += text_bytes;
        let blocks = self.unsent.counted(blocks);
        self.send_to_all(blocks.len(), BodyChunk::Deflated(DeflatedBytes { blocks, crc, text_bytes }))
    }
}

impl ResponseWriter {
    /// Holds a chunk, which may be the last, and sends the one before it.
    fn hold(&mut self, chunk: Bytes) -> io::Result<()> {
        self.bytes += chunk.len() as u64;
        let before = std::mem::replace(&mut self.held, chunk);
        if before.is_empty() { self.check_readers() } else { self.send_to_all(before.len(), BodyChunk::More(before)) }
    }

    /// Sends a chunk of this length, with those that wait, once that is worth it.
    fn send_to_all(&mut self, bytes: usize, chunk: BodyChunk) -> io::Result<()> {
        self.waiting.push(chunk);
        self.waiting_bytes += bytes;
        if self.waiting_bytes >= SENT_TOGETHER {
            self.send_waiting();
        }
        self.check_readers()
    }

    fn send_waiting(&mut self) {
        self.waiting_bytes = 0;
        for chunk in self.waiting.drain(..) {
            self.readers.retain(|reader| reader.send(chunk.clone()).is_ok());
        }
    }

    fn check_readers(&mut self) -> io::Result<()> {
        self.readers.retain(|reader| !reader.is_closed());
        if self.readers.is_empty() { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    }
}

/// Text that is kept for the next answer, too.
struct SharedText {
    text: Arc<Vec<u8>>,
    _counted: CountedBytes,
}

impl AsRef<[u8]> for SharedText {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

/// A buffer that returns to its pool when it is dropped.
struct PooledBuf {
    bytes: Vec<u8>,
    pool: BufferPool,
    _counted: CountedBytes,
}

impl AsRef<[u8]> for PooledBuf {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for PooledBuf {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.pool.with(|free| free.push(bytes));
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::unsent::tests::reader;

    fn write(writer: &mut ResponseWriter, text: &str) -> io::Result<()> {
        let mut buffer = writer.buffer();
        buffer.extend_from_slice(text.as_bytes());
        writer.send(buffer)
    }

    fn received(chunks: &mut BodyChunks) -> Vec<Bytes> {
        let chunks = std::iter::from_fn(|| chunks.try_recv().ok());
        let bytes = |chunk| match chunk {
            BodyChunk::More(bytes) | BodyChunk::Last(bytes) => bytes,
            BodyChunk::Deflated(deflated) => deflated.blocks,
        };
        chunks.map(bytes).collect()
    }

    #[test]
    fn a_chunk_leaves_when_the_next_one_comes_and_every_reader_gets_it() {
        let ((one, mut first), (other, mut second)) = (unbounded_channel(), unbounded_channel());
        let mut writer = BufferPool::default().writer(vec![reader(one), reader(other)]);
        let long = "a chunk".repeat(SENT_TOGETHER / 7 + 1);
        write(&mut writer, &long).unwrap();
        assert!(first.try_recv().is_err(), "it may be the last");
        write(&mut writer, "another").unwrap();
        assert!(matches!(first.try_recv(), Ok(BodyChunk::More(chunk)) if chunk == long));
        drop(first);
        write(&mut writer, "the end").unwrap();
        assert_eq!(writer.finish(), 14 + long.len() as u64);
        let chunks: Vec<_> = std::iter::from_fn(|| second.try_recv().ok()).collect();
        assert!(
            matches!(&chunks[..], [BodyChunk::More(_), BodyChunk::More(_), BodyChunk::Last(end)] if end == "the end"),
            "{chunks:?}"
        );
    }

    /// A heading of a hundred bytes woke the client's task, which sent it in a packet of its own.
    #[test]
    fn short_chunks_leave_with_those_that_follow() {
        let (sender, mut chunks) = unbounded_channel();
        let mut writer = BufferPool::default().writer(vec![reader(sender)]);
        write(&mut writer, "heading").unwrap();
        writer.send_deflated(Deflated { blocks: vec![1, 2, 3], crc: 0, text_bytes: 100 }).unwrap();
        assert!(chunks.try_recv().is_err());
        write(&mut writer, &"x".repeat(SENT_TOGETHER)).unwrap();
        assert!(chunks.try_recv().is_err(), "it may be the last");
        write(&mut writer, "end").unwrap();
        let lengths: Vec<usize> = received(&mut chunks).iter().map(Bytes::len).collect();
        assert_eq!(lengths, [7, 3, SENT_TOGETHER]);
        writer.finish();
        assert_eq!(received(&mut chunks), ["end"]);
    }

    #[test]
    fn nothing_is_encoded_for_nobody() {
        let (sender, chunks) = unbounded_channel();
        let mut writer = BufferPool::default().writer(vec![reader(sender)]);
        write(&mut writer, "first").unwrap();
        drop(chunks);
        let fault = write(&mut writer, "second").unwrap_err();
        assert_eq!(fault.kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn an_answer_that_is_given_up_has_no_end() {
        let (sender, mut chunks) = unbounded_channel();
        let mut writer = BufferPool::default().writer(vec![reader(sender)]);
        write(&mut writer, "first").unwrap();
        drop(writer);
        assert!(chunks.try_recv().is_err() && chunks.is_closed());
    }

    #[test]
    fn memory_goes_from_answer_to_answer() {
        let pool = BufferPool::default();
        let answer = |texts: &[&str]| {
            let (sender, mut chunks) = unbounded_channel();
            let mut writer = pool.writer(vec![reader(sender)]);
            texts.iter().for_each(|text| write(&mut writer, text).unwrap());
            writer.finish();
            received(&mut chunks)
        };
        let one = answer(&["first answer", "its end"]);
        let addresses = [one[0].as_ptr(), one[1].as_ptr()];
        let kept = one[0].clone();
        drop(one);
        let other = answer(&["2nd", "answer"]);
        assert_eq!(kept, "first answer", "as long as anyone reads it");
        assert_eq!(other[0], "2nd");
        assert_eq!(other[0].as_ptr(), addresses[1]);
        drop((other, kept));
        assert_eq!(pool.with(|free| free.len()), 3);
        drop(answer(&["3rd"]));
        assert_eq!(pool.with(|free| free.len()), 2, "one more than the last answer needed");
    }

    /// Text that did not change is kept from answer to answer; its length is part of the answer's.
    #[test]
    fn kept_text_and_prepared_blocks_are_sent_whole_and_count_with_their_length_as_text() {
        let (sender, mut chunks) = unbounded_channel();
        let mut writer = BufferPool::default().writer(vec![reader(sender)]);
        writer.send_shared(Arc::new(b"kept".to_vec())).unwrap();
        writer.send_deflated(Deflated { blocks: vec![1, 2, 3], crc: 0, text_bytes: 100 }).unwrap();
        writer.send_deflated(Deflated { blocks: vec![4], crc: 0, text_bytes: 10 }).unwrap();
        write(&mut writer, "end").unwrap();
        assert_eq!(writer.finish(), 117);
        assert_eq!(received(&mut chunks), [b"kept".as_slice(), &[1, 2, 3], &[4], b"end"]);
    }
}
