//! Connections: their number is bounded, and so is the time that a client may stall.
//!
//! A connection is *busy* from the end of a request's header to the end of its response. When there are too many, the oldest one that
//! is not busy is closed for a new one, so that clients that only hold connections open keep nobody out.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::AbortHandle,
    time::{Instant, Sleep, sleep},
};

use super::routes::InFlight;
use ebhost_limits as limits;

/// The open connections.
#[derive(Debug, Clone, Default)]
pub(super) struct Connections(Arc<Mutex<VecDeque<Open>>>);

#[derive(Debug)]
struct Open {
    task: AbortHandle,
    busy: Busy,
}

/// Whether a connection is busy.
#[derive(Debug, Clone, Default)]
pub(super) struct Busy(Arc<AtomicBool>);

/// A connection is busy while this is held.
#[derive(Debug)]
pub(super) struct AtWork(Busy);

impl Busy {
    pub(super) fn begin(&self) -> AtWork {
        self.0.store(true, Ordering::Relaxed);
        AtWork(self.clone())
    }

    fn is(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Relaxed);
    }
}

impl Connections {
    /// Makes room for one more; false if the limit is reached and all connections are busy.
    pub(super) fn make_room(&self) -> bool {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= limits::CONNECTIONS {
            open.retain(|connection| !connection.task.is_finished());
        }
        if open.len() < limits::CONNECTIONS {
            return true;
        }
        let Some(idle) = open.iter().position(|connection| !connection.busy.is()) else { return false };
        if let Some(closed) = open.remove(idle) {
            closed.task.abort();
        }
        true
    }

    pub(super) fn add(&self, task: AbortHandle, busy: Busy) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(Open { task, busy });
    }

    /// Closes the connections that are not busy.
    pub(super) fn close_idle(&self) {
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.iter().filter(|connection| !connection.busy.is()).for_each(|connection| connection.task.abort());
    }
}

/// A response body. The connection is busy, and the scrape in flight, until it is dropped.
pub(super) struct ResponseBody {
    pub(super) body: axum::body::Body,
    pub(super) _at_work: AtWork,
    pub(super) _in_flight: Option<InFlight>,
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

/// A stream whose writes fail when the peer has read nothing for a while: a stalled reader holds an answer in memory.
///
/// When it is closed, bytes that the peer still sends are read for a moment and discarded. Otherwise the kernel would reset the
/// connection, and the peer would lose a response that it has not read yet, such as the one that says why its request was refused.
pub(super) struct StallGuard<S> {
    stream: S,
    timeout: Duration,
    deadline: Pin<Box<Sleep>>,
    is_waiting: bool,
    /// Bytes that may still be discarded; `None` until it is closed.
    lingers: Option<usize>,
}

impl<S> StallGuard<S> {
    pub(super) fn new(stream: S) -> Self {
        let timeout = limits::CLIENT_STALL;
        Self { stream, timeout, deadline: Box::pin(sleep(timeout)), is_waiting: false, lingers: None }
    }

    /// Returns the outcome of a write, or a timeout if the peer has stalled for too long.
    fn watch<T>(&mut self, outcome: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.is_waiting = false;
            return outcome;
        }
        if !self.is_waiting {
            self.is_waiting = true;
            self.deadline.as_mut().reset(Instant::now() + self.timeout);
        }
        match self.deadline.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> StallGuard<S> {
    /// Reads and discards until the peer has closed its side, or has sent too much or for too long.
    fn linger(&mut self, mut room: usize, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut bytes = [0; 8 << 10];
        while room > 0 && self.deadline.as_mut().poll(context).is_pending() {
            let mut read = ReadBuf::new(&mut bytes);
            let outcome = Pin::new(&mut self.stream).poll_read(context, &mut read);
            self.lingers = Some(room);
            match outcome {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if !read.filled().is_empty() => room = room.saturating_sub(read.filled().len()),
                Poll::Ready(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for StallGuard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for StallGuard<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(outcome, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.watch(outcome, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(context);
        self.watch(outcome, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let room = match self.lingers {
            Some(room) => room,
            None => {
                let outcome = Pin::new(&mut self.stream).poll_shutdown(context);
                ready!(self.watch(outcome, context))?;
                self.deadline.as_mut().reset(Instant::now() + limits::LINGER);
                limits::LINGER_BYTES
            }
        };
        self.linger(room, context)
    }
}
