//! A stream that gives up a peer that takes nothing.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

use super::Connection;
use ebhost_limits as limits;

/// A stream whose writes fail when the peer has read nothing for a while: a stalled reader holds an answer in memory.
///
/// When it is closed, bytes that the peer still sends are read for a moment and discarded. Otherwise the kernel would reset the
/// connection, and the peer would lose a response that it has not read yet, such as the one that says why its request was refused.
pub(crate) struct StallGuard<S> {
    stream: S,
    /// Told of every byte that the peer takes, and that it takes none.
    connection: Arc<Connection>,
    timeout: Duration,
    deadline: Pin<Box<Sleep>>,
    is_waiting: bool,
    /// Bytes that may still be discarded; `None` until it is closed.
    lingers: Option<usize>,
}

impl<S> StallGuard<S> {
    pub(crate) fn new(stream: S, connection: Arc<Connection>) -> Self {
        let timeout = limits::CLIENT_STALL;
        Self { stream, connection, timeout, deadline: Box::pin(sleep(timeout)), is_waiting: false, lingers: None }
    }

    /// Tells the connection what the peer has taken.
    fn count(&self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = written {
            self.connection.progress(*bytes);
        }
    }

    /// Returns the outcome of a write, or a timeout if the peer has stalled for too long.
    fn watch<T>(&mut self, outcome: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.is_waiting = false;
            return outcome;
        }
        if !self.is_waiting {
            self.is_waiting = true;
            self.connection.block();
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
        self.count(&outcome);
        self.watch(outcome, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.count(&outcome);
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

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use tokio::{net::UnixStream, time::timeout};

    use super::*;

    /// Whether the connection is closed within this time.
    async fn closes(guard: &mut StallGuard<UnixStream>, within: Duration) -> bool {
        let closed = std::future::poll_fn(|context| Pin::new(&mut *guard).poll_shutdown(context));
        timeout(within, closed).await.is_ok()
    }

    /// The kernel resets a connection that is closed while unread bytes wait, and the client never saw why it was refused.
    #[tokio::test]
    async fn a_client_that_is_still_sending_reads_its_answer_to_the_end() {
        let (own, mut peer) = std::os::unix::net::UnixStream::pair().unwrap();
        own.set_nonblocking(true).unwrap();
        let mut guard = StallGuard::new(UnixStream::from_std(own).unwrap(), Arc::new(Connection::new(None)));
        let answered = std::future::poll_fn(|context| Pin::new(&mut guard).poll_write(context, b"refused")).await;
        assert_eq!(answered.unwrap(), 7);
        peer.write_all(&[0; 3 << 10]).unwrap();
        assert!(!closes(&mut guard, Duration::from_millis(100)).await, "the client has not closed its side");
        let mut answer = Vec::new();
        peer.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, b"refused");
        drop(peer);
        assert!(closes(&mut guard, Duration::from_secs(60)).await);
    }

    #[tokio::test]
    async fn bytes_that_a_client_takes_count_as_progress_of_its_connection() {
        let (own, _peer) = UnixStream::pair().unwrap();
        let connection = Arc::new(Connection::new(None));
        connection.block();
        let mut guard = StallGuard::new(own, connection.clone());
        std::future::poll_fn(|context| Pin::new(&mut guard).poll_write(context, b"answer")).await.unwrap();
        assert!(connection.rate(Instant::now()) > 0.0 && connection.blocked_since().is_none());
    }

    /// A client that sends for ever, and how much of that was read.
    struct Endless {
        read: usize,
    }

    impl AsyncRead for Endless {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            self.read += buffer.remaining();
            assert!(self.read <= 2 * limits::LINGER_BYTES, "it is read for as long as it sends");
            buffer.put_slice(&vec![0; buffer.remaining()]);
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Endless {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn a_client_that_goes_on_sending_is_given_up_after_a_bounded_number_of_bytes() {
        let mut guard = StallGuard::new(Endless { read: 0 }, Arc::new(Connection::new(None)));
        std::future::poll_fn(|context| Pin::new(&mut guard).poll_shutdown(context)).await.unwrap();
        assert_eq!(guard.stream.read, limits::LINGER_BYTES);
    }
}
