//! The body of a response, which keeps its connection at work until it has been handed to the protocol.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::AtWork;

/// A response body. The connection is at work until it is dropped; from then on the [`StallGuard`](super::StallGuard) knows whether
/// bytes are left to be sent.
pub(crate) struct ResponseBody {
    pub(crate) body: axum::body::Body,
    pub(crate) _at_work: AtWork,
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
