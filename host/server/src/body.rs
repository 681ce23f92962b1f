//! Response bodies: the chunks of an answer, which leave as they come.
//!
//! An answer of one chunk has its length in its header; a longer one is sent in chunks while the rest is encoded. One that is given
//! up on the way ends in an error, which closes the connection: no client takes half an answer for a whole one.

use std::{
    io::{self, Write as _},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http_body::{Frame, SizeHint};
use tokio::sync::mpsc::unbounded_channel;

use super::{
    chunks::{BodyChunk, BodyChunks, ChunkSender},
    unsent::{AnswerBytes, CountedBytes, Reader, UnsentBytes},
};

/// Compressed bytes that are worth a chunk.
const GZIP_CHUNK_BYTES: usize = 32 << 10;

/// What is still to be sent.
enum ChunkedBody {
    /// This chunk, and more to come.
    More(Bytes, BodyChunks),
    /// The chunks to come.
    Coming(BodyChunks),
    /// This chunk, and that is all.
    Last(Bytes),
    Nothing,
}

/// A body of these chunks, as soon as the first is there; `None` if the answer was given up before.
pub(super) async fn from_chunks(chunks: BodyChunks) -> Option<Body> {
    ChunkedBody::begin(chunks).await.map(Body::new)
}

impl ChunkedBody {
    async fn begin(mut chunks: BodyChunks) -> Option<Self> {
        Some(match chunks.recv().await? {
            BodyChunk::More(first) => Self::More(first, chunks),
            BodyChunk::Last(only) => Self::Last(only),
        })
    }
}

impl http_body::Body for ChunkedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let (sent, rest) = match std::mem::replace(&mut *self, Self::Nothing) {
            Self::Nothing => return Poll::Ready(None),
            Self::Last(last) => (last, Self::Nothing),
            Self::More(chunk, chunks) => (chunk, Self::Coming(chunks)),
            Self::Coming(mut chunks) => match chunks.poll_recv(context) {
                Poll::Pending => {
                    *self = Self::Coming(chunks);
                    return Poll::Pending;
                }
                Poll::Ready(Some(BodyChunk::More(chunk))) => (chunk, Self::Coming(chunks)),
                Poll::Ready(Some(BodyChunk::Last(last))) => (last, Self::Nothing),
                Poll::Ready(None) => {
                    let error = io::Error::new(io::ErrorKind::UnexpectedEof, "the answer was given up");
                    return Poll::Ready(Some(Err(error)));
                }
            },
        };
        *self = rest;
        Poll::Ready(Some(Ok(Frame::data(sent))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Nothing => SizeHint::with_exact(0),
            Self::Last(last) => SizeHint::with_exact(last.len() as u64),
            Self::More(..) | Self::Coming(_) => SizeHint::default(),
        }
    }
}

/// The chunks as one gzip stream, compressed on a thread that may block; `None` if the answer was given up before. Level 1 costs a
/// seventh of level 6 for 8 % more bytes. The compressed bytes are the client's own, and counted as `unsent` until it has taken them.
pub(super) async fn gzip(mut chunks: BodyChunks, unsent: &UnsentBytes, client: Reader) -> Option<BodyChunks> {
    let first = chunks.recv().await?; // the thread is needed from now on only, not while waiting for the agent
    let (compressed, answer) = unbounded_channel();
    let unsent = unsent.begin(vec![client]);
    // If it fails, there is no last chunk, and the reader sees that the answer was given up.
    tokio::task::spawn_blocking(move || {
        let compressed = compress(first, chunks, &compressed, &unsent);
        unsent.finish_compressed();
        compressed
    });
    Some(answer)
}

/// Compressed bytes of one client's answer.
struct Compressed {
    bytes: Vec<u8>,
    _counted: CountedBytes,
}

impl Compressed {
    fn chunk(bytes: Vec<u8>, unsent: &Arc<AnswerBytes>) -> Bytes {
        let counted = unsent.count(bytes.len());
        Bytes::from_owner(Self { bytes, _counted: counted })
    }
}

impl AsRef<[u8]> for Compressed {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

fn compress(
    first: BodyChunk,
    mut chunks: BodyChunks,
    compressed: &ChunkSender,
    unsent: &Arc<AnswerBytes>,
) -> Option<()> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let mut chunk = first;
    while let BodyChunk::More(text) = chunk {
        encoder.write_all(&text).ok()?;
        if encoder.get_ref().len() >= GZIP_CHUNK_BYTES {
            let bytes = std::mem::take(encoder.get_mut());
            compressed.send(BodyChunk::More(Compressed::chunk(bytes, unsent))).ok()?;
        }
        chunk = chunks.blocking_recv()?;
    }
    let BodyChunk::Last(text) = chunk else { return None };
    encoder.write_all(&text).ok()?;
    compressed.send(BodyChunk::Last(Compressed::chunk(encoder.finish().ok()?, unsent))).ok()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;
    use crate::connections::Connection;

    /// The frames of the body that these chunks give, and the length that it announces.
    async fn sent(chunks: &[BodyChunk]) -> (Vec<io::Result<Bytes>>, Option<u64>) {
        let (reply, answer) = unbounded_channel();
        chunks.iter().for_each(|chunk| reply.send(chunk.clone()).unwrap());
        drop(reply);
        let mut body = Box::pin(ChunkedBody::begin(answer).await.unwrap());
        let length = http_body::Body::size_hint(&*body).exact();
        let mut frames = Vec::new();
        while let Some(frame) =
            std::future::poll_fn(|context| http_body::Body::poll_frame(body.as_mut(), context)).await
        {
            frames.push(frame.map(|frame| frame.into_data().unwrap()));
        }
        (frames, length)
    }

    #[tokio::test]
    async fn an_answer_of_one_chunk_says_how_long_it_is() {
        let (frames, length) = sent(&[BodyChunk::Last("whole".into())]).await;
        assert_eq!((frames.len(), length), (1, Some(5)));
        let (frames, length) = sent(&[BodyChunk::More("a".into()), BodyChunk::Last("b".into())]).await;
        assert_eq!((frames.len(), length), (2, None));
    }

    #[tokio::test]
    async fn half_an_answer_is_an_error() {
        let (frames, _) = sent(&[BodyChunk::More("a".into()), BodyChunk::More("b".into())]).await;
        assert!(matches!(&frames[..], [Ok(_), Ok(_), Err(_)]), "{frames:?}");
        let (reply, answer) = unbounded_channel();
        drop(reply);
        assert!(from_chunks(answer).await.is_none());
    }

    #[tokio::test]
    async fn compressed_chunks_are_one_stream_and_half_of_one_has_no_end() {
        let noise = |seed: u64| {
            (1..100_000u64)
                .map(move |at| ((at << 8 | seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31) ^ at.pow(3)) as u8)
        };
        let texts: Vec<Vec<u8>> = (0..3).map(|seed| noise(seed).collect()).collect();
        for whole in [true, false] {
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
            while let Some(chunk) = answer.recv().await {
                chunks += 1;
                ended = matches!(chunk, BodyChunk::Last(_));
                let (BodyChunk::More(bytes) | BodyChunk::Last(bytes)) = chunk;
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
}
