//! Bodies of frames: a stream that goes on, and a dump whose length is known.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use ebhost_recorder::{Dump, Frames};
use http_body::{Body, Frame, SizeHint};

/// Bytes that are shared with the feed and leave without being copied.
pub(super) enum ChunkStream {
    /// Goes on until the host stops, or the viewer is too slow.
    Frames(Frames),
    Dump(VecDeque<Bytes>),
}

impl ChunkStream {
    pub(super) fn of(frames: Frames) -> Self {
        Self::Frames(frames)
    }

    pub(super) fn of_dump(dump: Dump) -> Self {
        Self::Dump(dump.chunks.into())
    }
}

impl Body for ChunkStream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match &mut *self {
            Self::Frames(frames) => frames.poll_next(context),
            Self::Dump(chunks) => Poll::Ready(chunks.pop_front()),
        };
        next.map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk))))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Frames(_) => SizeHint::default(),
            Self::Dump(chunks) => SizeHint::with_exact(chunks.iter().map(|chunk| chunk.len() as u64).sum()),
        }
    }
}
