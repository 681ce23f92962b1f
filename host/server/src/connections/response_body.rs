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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::connections::Connection;

    /// The protocol sends no body, and no chunk, for one that has ended.
    #[test]
    fn a_body_without_text_has_ended_before_it_is_read() {
        let body = |body: axum::body::Body| ResponseBody { body, _at_work: Arc::new(Connection::new(None)).begin() };
        let (empty, text) = (body(axum::body::Body::empty()), body("text".into()));
        assert_eq!((empty.is_end_stream(), empty.size_hint().exact()), (true, Some(0)));
        assert_eq!((text.is_end_stream(), text.size_hint().exact()), (false, Some(4)));
    }
}
