//! Threads: [`spawn`] is the only way to start one.
//!
//! Each has a name, the capabilities that its work needs and no others, and a [`Supervision`] that says what a panic does. A
//! panic is never silent: it is logged, counted, and shows in [`threads`] until the thread works again.

mod registry;
mod supervision;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{Builder, JoinHandle},
};

use tracing::error;

use crate::{
    capabilities::{Capabilities, keep_only},
    process,
};
use registry::Listed;
pub use registry::{Listing, ThreadStatus, first_failed_thread, threads};
pub use supervision::{Abandon, EndProcess, Restart, Supervision};

/// A started thread. Dropping the handle lets the thread run on.
#[derive(Debug)]
pub struct Thread {
    handle: JoinHandle<()>,
    is_joined: Arc<AtomicBool>,
}

/// A thread that was not started, or ended before its function ran.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    #[error("the thread `{name}` cannot be started: {source}; found too many threads or too little memory?")]
    Start { name: String, source: io::Error },
    #[error("the thread `{name}` cannot drop its capabilities, and was not started: {source}")]
    Capabilities { name: String, source: io::Error },
}

/// Starts a thread that drops every capability but `capabilities` as its first act, and then runs `run` under `supervision`.
///
/// A capability that the calling thread does not have is not gained. When this returns, the thread has dropped the others.
///
/// # Errors
/// A [`SpawnError`], as [`io::Error`] of the kind of its cause.
pub fn spawn<S, F>(name: &str, capabilities: Capabilities, supervision: S, run: F) -> io::Result<Thread>
where
    S: Supervision<F> + Send + 'static,
    F: Send + 'static,
{
    let (name, is_joined) = (name.to_owned(), Arc::new(AtomicBool::new(false)));
    let (started, outcome) = mpsc::sync_channel(1);
    let (own_name, joined) = (name.clone(), is_joined.clone());
    let body = move || {
        let dropped = keep_only(capabilities);
        let thread = dropped.is_ok().then(|| Supervised::new(own_name, S::LISTING, joined));
        // `spawn` waits for it.
        let _ = started.send(dropped);
        if let Some(thread) = thread {
            supervision.supervise(&thread, run);
        }
    };
    let wrap = |error: io::Error, wrapped: fn(String, io::Error) -> SpawnError| {
        io::Error::new(error.kind(), wrapped(name.clone(), error))
    };
    #[expect(clippy::disallowed_methods, reason = "every thread is started here")]
    let handle = Builder::new().name(name.clone()).spawn(body);
    let handle = handle.map_err(|error| wrap(error, |name, source| SpawnError::Start { name, source }))?;
    let dropped = outcome.recv().unwrap_or_else(|_| Err(io::Error::other("it ended at once")));
    dropped.map_err(|error| wrap(error, |name, source| SpawnError::Capabilities { name, source }))?;
    Ok(Thread { handle, is_joined })
}

/// For `on_thread_start` of an async runtime, which creates its threads itself: drops every capability but these, and ends the
/// process if that fails.
pub fn runtime_thread(capabilities: Capabilities) -> impl Fn() + Send + Sync + 'static {
    move || {
        if let Err(error) = keep_only(capabilities) {
            error!("a thread of the HTTP server cannot drop its capabilities, ebhost ends: {error}");
            process::end();
        }
    }
}

impl Thread {
    /// Wakes the thread from [`std::thread::park`].
    pub fn unpark(&self) {
        self.handle.thread().unpark();
    }

    /// A handle that only wakes the thread.
    pub fn waker(&self) -> std::thread::Thread {
        self.handle.thread().clone()
    }

    /// Wakes the thread and waits for its end. The caller has told its function to return; if it waits to be restarted after a
    /// panic, it is not restarted.
    pub fn join(self) {
        self.is_joined.store(true, Ordering::Release);
        self.unpark();
        // Its panics are caught and reported in the thread.
        let _ = self.handle.join();
    }
}

/// A thread as its supervision sees it, from within.
#[derive(Debug)]
pub struct Supervised {
    listed: Listed,
    is_joined: Arc<AtomicBool>,
}

impl Supervised {
    fn new(name: String, listing: Listing, is_joined: Arc<AtomicBool>) -> Self {
        Self { listed: Listed::new(name, listing), is_joined }
    }

    fn is_joined(&self) -> bool {
        self.is_joined.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests;
