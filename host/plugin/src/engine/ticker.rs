//! The thread that moves the engine's epoch while guests run.
//!
//! It sleeps while none does, so that an idle host causes no wake-ups.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// How often the epoch moves while a guest runs: the resolution of every time limit.
const TICK: Duration = Duration::from_millis(5);

/// A handle of the thread.
#[derive(Clone)]
pub(super) struct Ticker {
    /// Guest calls that run now.
    running: Arc<AtomicUsize>,
    thread: thread::Thread,
}

/// A guest call that runs: the epoch moves until this is dropped.
pub(super) struct Ticking<'a>(&'a AtomicUsize);

impl Ticker {
    pub(super) fn start(engine: wasmtime::Engine) -> io::Result<Self> {
        let running = Arc::new(AtomicUsize::new(0));
        // Weak references let the thread end with the engine: the last drop or its next tick wakes it.
        let (seen, weak) = (Arc::downgrade(&running), engine.weak());
        drop(engine);
        let ticks = move || {
            while let (Some(running), Some(engine)) = (seen.upgrade(), weak.upgrade()) {
                if running.load(Ordering::Acquire) == 0 {
                    drop((running, engine));
                    thread::park();
                } else {
                    engine.increment_epoch();
                    drop((running, engine));
                    thread::sleep(TICK);
                }
            }
        };
        let thread = ebhost_confine::spawn("epoch", ebhost_confine::NONE, ebhost_confine::Restart, ticks)?;
        Ok(Self { running, thread: thread.waker() })
    }

    /// Moves the epoch while the returned value lives.
    pub(super) fn run(&self) -> Ticking<'_> {
        if self.running.fetch_add(1, Ordering::AcqRel) == 0 {
            self.thread.unpark();
        }
        Ticking(&self.running)
    }
}

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
