//! Bodies: chunks that leave one after the other, each freed when it is sent.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io::Write as _,
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http_body::{Frame, SizeHint};

/// A body whose length is known and whose parts are not joined.
struct Chunks(VecDeque<Bytes>);

impl http_body::Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|chunk| Ok(Frame::data(chunk))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|chunk| chunk.len() as u64).sum())
    }
}

/// Sends the chunks as they are.
pub(super) fn of_chunks(chunks: Vec<Bytes>) -> Body {
    Body::new(Chunks(chunks.into()))
}

/// The chunks as one gzip stream. Level 1 costs a seventh of level 6 for 8 % more bytes.
pub(super) fn gzip(chunks: &[Bytes]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let written = chunks.iter().try_for_each(|chunk| encoder.write_all(chunk)).and_then(|()| encoder.finish());
    // Writing to memory does not fail; an empty body would be refused by the client, which is right if it ever did.
    written.unwrap_or_default()
}
