//! Bodies: the parts of an answer, which leave as they come.
//!
//! An answer of one part has its length in its header; a longer one is sent in chunks while the agent prints the rest. One that
//! is given up on the way ends in an error, which closes the connection: no client takes half an answer for a whole one.

use std::{
    io::{self, Write as _},
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http_body::{Frame, SizeHint};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{Part, Reply};

/// The parts of an answer.
pub(super) type Parts = UnboundedReceiver<Part>;

/// Zipped text that is worth sending on.
const ZIPPED_BYTES: usize = 32 << 10;

/// What is still to be sent.
enum Streamed {
    /// This part, and more to come.
    More(Bytes, Parts),
    /// What comes.
    Coming(Parts),
    /// This part, and that is all.
    Last(Bytes),
    Nothing,
}

/// A body of these parts, as soon as there is one; none: the answer was given up before.
pub(super) async fn of_parts(parts: Parts) -> Option<Body> {
    Streamed::begin(parts).await.map(Body::new)
}

impl Streamed {
    async fn begin(mut parts: Parts) -> Option<Self> {
        Some(match parts.recv().await? {
            Part::More(first) => Self::More(first, parts),
            Part::Last(only) => Self::Last(only),
        })
    }
}

impl http_body::Body for Streamed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let (sent, rest) = match std::mem::replace(&mut *self, Self::Nothing) {
            Self::Nothing => return Poll::Ready(None),
            Self::Last(last) => (last, Self::Nothing),
            Self::More(part, parts) => (part, Self::Coming(parts)),
            Self::Coming(mut parts) => match parts.poll_recv(context) {
                Poll::Pending => {
                    *self = Self::Coming(parts);
                    return Poll::Pending;
                }
                Poll::Ready(Some(Part::More(part))) => (part, Self::Coming(parts)),
                Poll::Ready(Some(Part::Last(last))) => (last, Self::Nothing),
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

/// The parts as one gzip stream, zipped in a thread that may block; none: the answer was given up before. Level 1 costs a seventh
/// of level 6 for 8 % more bytes.
pub(super) async fn gzip(mut parts: Parts) -> Option<Parts> {
    let first = parts.recv().await?; // a thread only from now on, not for the time of waiting
    let (zipped, answer) = unbounded_channel();
    // Without a last part the reader sees that it was given up.
    tokio::task::spawn_blocking(move || zip(first, parts, &zipped));
    Some(answer)
}

fn zip(first: Part, mut parts: Parts, zipped: &Reply) -> Option<()> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let mut part = first;
    while let Part::More(text) = part {
        encoder.write_all(&text).ok()?;
        if encoder.get_ref().len() >= ZIPPED_BYTES {
            zipped.send(Part::More(std::mem::take(encoder.get_mut()).into())).ok()?;
        }
        part = parts.blocking_recv()?;
    }
    let Part::Last(text) = part else { return None };
    encoder.write_all(&text).ok()?;
    zipped.send(Part::Last(encoder.finish().ok()?.into())).ok()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;

    /// The frames of the body that these parts give, and the length that it announces.
    async fn sent(parts: &[Part]) -> (Vec<io::Result<Bytes>>, Option<u64>) {
        let (reply, answer) = unbounded_channel();
        parts.iter().for_each(|part| reply.send(part.clone()).unwrap());
        drop(reply);
        let mut body = Box::pin(Streamed::begin(answer).await.unwrap());
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
    async fn an_answer_of_one_part_says_how_long_it_is() {
        let (frames, length) = sent(&[Part::Last("whole".into())]).await;
        assert_eq!((frames.len(), length), (1, Some(5)));
        let (frames, length) = sent(&[Part::More("a".into()), Part::Last("b".into())]).await;
        assert_eq!((frames.len(), length), (2, None));
    }

    #[tokio::test]
    async fn half_an_answer_is_an_error() {
        let (frames, _) = sent(&[Part::More("a".into()), Part::More("b".into())]).await;
        assert!(matches!(&frames[..], [Ok(_), Ok(_), Err(_)]), "{frames:?}");
        let (reply, answer) = unbounded_channel();
        drop(reply);
        assert!(of_parts(answer).await.is_none());
    }

    #[tokio::test]
    async fn zipped_parts_are_one_stream_and_half_of_one_has_no_end() {
        let noise = |seed: u64| {
            (1..100_000u64)
                .map(move |at| ((at << 8 | seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31) ^ at.pow(3)) as u8)
        };
        let pieces: Vec<Vec<u8>> = (0..3).map(|seed| noise(seed).collect()).collect();
        for whole in [true, false] {
            let (reply, answer) = unbounded_channel();
            for piece in &pieces {
                reply.send(Part::More(piece.clone().into())).unwrap();
            }
            if whole {
                reply.send(Part::Last("end".into())).unwrap();
            }
            drop(reply);
            let (mut zipped, mut parts, mut ended) = (Vec::new(), 0, false);
            let mut answer = gzip(answer).await.unwrap();
            while let Some(part) = answer.recv().await {
                parts += 1;
                ended = matches!(part, Part::Last(_));
                let (Part::More(bytes) | Part::Last(bytes)) = part;
                zipped.extend_from_slice(&bytes);
            }
            assert_eq!(ended, whole);
            assert!(parts >= 2, "{parts} parts: it does not wait for the end");
            if whole {
                let mut text = Vec::new();
                GzDecoder::new(&zipped[..]).read_to_end(&mut text).unwrap();
                assert!(text == [pieces.concat(), b"end".to_vec()].concat());
            }
        }
    }
}
