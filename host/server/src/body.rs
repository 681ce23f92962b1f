//! Response bodies: the chunks of an answer, which leave as they come.
//!
//! An answer of one chunk has its length in its header; a longer one is sent in chunks while the rest is encoded. One that is given
//! up on the way ends in an error, which closes the connection: no client takes half an answer for a whole one.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::{
    chunks::{BodyChunk, BodyChunks},
    gzip::GzipChunks,
};

/// The chunks of an answer as they are sent.
pub(super) enum SentChunks {
    /// As they are, or compressed on another thread.
    Ready(BodyChunks),
    /// Compressed as they are taken.
    Gzip(Box<GzipChunks>),
}

impl SentChunks {
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<BodyChunk>> {
        match self {
            Self::Ready(chunks) => chunks.poll_recv(context),
            Self::Gzip(chunks) => chunks.poll(context),
        }
    }
}

/// What is still to be sent.
enum ChunkedBody {
    /// This chunk, and more to come.
    More(Bytes, SentChunks),
    /// The chunks to come.
    Coming(SentChunks),
    /// This chunk, and that is all.
    Last(Bytes),
    Nothing,
}

/// A body of these chunks, as soon as the first is there; `None` if the answer was given up before.
pub(super) async fn from_chunks(chunks: SentChunks) -> Option<Body> {
    ChunkedBody::begin(chunks).await.map(Body::new)
}

impl ChunkedBody {
    async fn begin(mut chunks: SentChunks) -> Option<Self> {
        Some(match poll_fn(|context| chunks.poll(context)).await? {
            BodyChunk::More(first) => Self::More(first, chunks),
            BodyChunk::Deflated(_) => return None,
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
            Self::Coming(mut chunks) => match chunks.poll(context) {
                Poll::Pending => {
                    *self = Self::Coming(chunks);
                    return Poll::Pending;
                }
                Poll::Ready(Some(BodyChunk::More(chunk))) => (chunk, Self::Coming(chunks)),
                Poll::Ready(Some(BodyChunk::Last(last))) => (last, Self::Nothing),
                // An answer that is not compressed has nothing that is.
                Poll::Ready(None | Some(BodyChunk::Deflated(_))) => {
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

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

    /// The frames of the body that these chunks give, and the length that it announces.
    async fn sent(chunks: &[BodyChunk]) -> (Vec<io::Result<Bytes>>, Option<u64>) {
        let (reply, answer) = unbounded_channel();
        chunks.iter().for_each(|chunk| reply.send(chunk.clone()).unwrap());
        drop(reply);
        let mut body = Box::pin(ChunkedBody::begin(SentChunks::Ready(answer)).await.unwrap());
        let length = http_body::Body::size_hint(&*body).exact();
        let mut frames = Vec::new();
        while let Some(frame) = poll_fn(|context| http_body::Body::poll_frame(body.as_mut(), context)).await {
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
        assert!(from_chunks(SentChunks::Ready(answer)).await.is_none());
    }
}
