//! The state of one connection, as far as others decide on it.

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tokio::{task::AbortHandle, time::Instant};

use ebhost_telemetry::http;

/// One connection: who its client is, and how its current request is getting on.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The client's address; `None` on a Unix socket.
    peer: Option<IpAddr>,
    task: OnceLock<AbortHandle>,
    /// Whether a request on it was ever allowed.
    was_admitted: AtomicBool,
    /// Whether a request is being served, from the end of its header until the last byte of the answer's body is encoded.
    is_at_work: AtomicBool,
    is_cut: AtomicBool,
    /// Requests so far.
    requests: AtomicU64,
    /// Bytes sent since the current request began.
    sent: AtomicU64,
    times: Mutex<Times>,
}

#[derive(Debug)]
struct Times {
    /// When the current request began.
    began: Instant,
    /// Since when the client takes nothing of what is to be sent.
    blocked: Option<Instant>,
}

/// Counts as an open connection while it is held.
#[derive(Debug)]
pub(crate) struct Open(());

/// A request is being served on the connection while this is held.
#[derive(Debug)]
pub(crate) struct AtWork(Arc<Connection>);

impl Connection {
    pub(crate) fn new(peer: Option<IpAddr>) -> Self {
        Self {
            peer,
            task: OnceLock::new(),
            was_admitted: AtomicBool::new(false),
            is_at_work: AtomicBool::new(false),
            is_cut: AtomicBool::new(false),
            requests: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            times: Mutex::new(Times { began: Instant::now(), blocked: None }),
        }
    }

    /// Names the task that serves it, so that it can be closed.
    pub(crate) fn runs_as(&self, task: AbortHandle) {
        let _ = self.task.set(task); // set once, by whoever spawned the task
    }

    pub(crate) fn peer(&self) -> Option<IpAddr> {
        self.peer
    }

    /// Begins a request.
    pub(crate) fn begin(self: &Arc<Self>) -> AtWork {
        self.is_at_work.store(true, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.sent.store(0, Ordering::Relaxed);
        self.with_times(|times| times.began = Instant::now());
        AtWork(self.clone())
    }

    /// Closes the connection, whatever is going on.
    pub(crate) fn cut(&self) {
        self.is_cut.store(true, Ordering::Relaxed);
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Relaxed)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.task.get().is_some_and(AbortHandle::is_finished)
    }

    pub(super) fn was_admitted(&self) -> bool {
        self.was_admitted.load(Ordering::Relaxed)
    }

    /// Whether no request is being served and nothing of an answer is left to be sent.
    pub(super) fn is_idle(&self) -> bool {
        !self.is_at_work.load(Ordering::Relaxed) && self.blocked_since().is_none()
    }

    /// The number of its current request.
    pub(crate) fn request(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Whether the answer to that request still has bytes that the client has not taken.
    pub(crate) fn holds_answer_to(&self, request: u64) -> bool {
        !self.is_cut() && self.request() == request && !self.is_idle()
    }

    /// Since when the client takes nothing.
    pub(super) fn blocked_since(&self) -> Option<Instant> {
        self.with_times(|times| times.blocked)
    }

    /// Bytes a second that the client has taken since its request.
    pub(crate) fn rate(&self, now: Instant) -> f64 {
        let elapsed = self.with_times(|times| now.saturating_duration_since(times.began));
        self.sent.load(Ordering::Relaxed) as f64 / elapsed.as_secs_f64().max(1e-3)
    }

    /// The client has taken bytes.
    pub(crate) fn progress(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
        self.with_times(|times| times.blocked = None);
    }

    /// The client takes nothing at the moment.
    pub(super) fn block(&self) {
        self.with_times(|times| _ = times.blocked.get_or_insert_with(Instant::now));
    }

    fn with_times<T>(&self, act: impl FnOnce(&mut Times) -> T) -> T {
        act(&mut self.times.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Open {
    pub(crate) fn new() -> Self {
        http().connections.increment();
        Self(())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        http().connections.subtract(1);
    }
}

impl AtWork {
    /// The request is allowed.
    pub(crate) fn admit(&self) {
        self.0.was_admitted.store(true, Ordering::Relaxed);
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.is_at_work.store(false, Ordering::Relaxed);
    }
}
