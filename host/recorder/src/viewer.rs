//! A viewer: a bounded queue of frames between the feed and a connection.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use ebhost_limits as limits;
use ebhost_telemetry::feed;
use tokio::sync::mpsc;

/// The feed's end of a viewer.
pub(crate) struct Viewer {
    frames: mpsc::Sender<Vec<Bytes>>,
    is_dropped: Arc<AtomicBool>,
}

/// Why nobody else may look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ViewerRefused {
    #[error("{} viewers look already; close another page, or ask for /metrics", limits::VIEWERS)]
    TooMany,
    #[error("ebhost is stopping")]
    Stopping,
}

/// The frames for one viewer, from a header on.
pub struct Frames {
    incoming: mpsc::Receiver<Vec<Bytes>>,
    pending: VecDeque<Bytes>,
    is_dropped: Arc<AtomicBool>,
}

/// The two ends of a viewer's queue.
pub(crate) fn viewer() -> (Viewer, Frames) {
    let (frames, incoming) = mpsc::channel(limits::VIEWER_FRAMES);
    let is_dropped = Arc::new(AtomicBool::new(false));
    let viewer = Viewer { frames, is_dropped: is_dropped.clone() };
    (viewer, Frames { incoming, pending: VecDeque::new(), is_dropped })
}

impl Viewer {
    /// Whether nobody listens any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.frames.is_closed()
    }

    /// False if it went away, or does not take its frames: then it is dropped.
    pub(crate) fn send(&self, frames: Vec<Bytes>) -> bool {
        match self.frames.try_send(frames) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Closed(_)) => false,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.is_dropped.store(true, Ordering::Relaxed);
                feed().viewers_dropped.increment();
                false
            }
        }
    }
}

impl Frames {
    /// The next bytes; `None` at the end: the host stops, or the viewer was too slow.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if self.is_dropped.load(Ordering::Relaxed) {
                self.pending.clear();
                return Poll::Ready(None);
            }
            if let Some(bytes) = self.pending.pop_front() {
                return Poll::Ready(Some(bytes));
            }
            match ready!(self.incoming.poll_recv(context)) {
                Some(frames) => self.pending.extend(frames),
                None => return Poll::Ready(None),
            }
        }
    }
}
