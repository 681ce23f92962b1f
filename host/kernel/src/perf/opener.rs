//! Opens perf events, and keeps the privilege for that away from the threads that read them.
//!
//! Perf events are opened again whenever a CPU comes online, long after the threads that read them have dropped their
//! capabilities. So one thread, "perf events", keeps what opening takes and does nothing else: it never reads a counter, and a scrape
//! waits for it only when something has to be opened. It is started by the first source that needs it.
//!
//! While the packages of the start are loaded, events are opened by the thread that loads, which still has everything the process
//! was started with: some distributions' kernels (`kernel.perf_event_paranoid` above 2) ask for CAP_SYS_ADMIN.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
    mpsc,
};

use tracing::warn;

use ebhost_confine::{Capabilities, LOADING, Restart};

type Job = Box<dyn FnOnce() + Send>;

/// Hands work that takes privileges to a thread that has them.
#[derive(Debug, Clone)]
pub(crate) struct Opener {
    jobs: mpsc::Sender<Job>,
    start: Start,
}

/// Whether the packages of the start are still being loaded, shared with everything that was opened then.
#[derive(Debug, Clone, Default)]
pub(crate) struct Start {
    is_over: Arc<AtomicBool>,
}

/// The thread could not be started, or panicked in the middle of the work.
#[derive(Debug, thiserror::Error)]
#[error("the thread `perf events` that opens them does not run; the log says why")]
pub(crate) struct OpenerGone;

impl Start {
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::Release);
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }
}

impl Opener {
    /// Starts the thread with what opening takes and `keep`, as far as the calling thread has it.
    pub(crate) fn start(keep: Capabilities, start: Start) -> Self {
        let (jobs, waiting) = mpsc::channel::<Job>();
        let opens = move || {
            while let Ok(job) = waiting.recv() {
                job();
            }
        };
        if let Err(error) = ebhost_confine::spawn("perf events", LOADING | keep, Restart, opens) {
            warn!("perf events of CPUs that come online later will not be opened: {error}");
        }
        Self { jobs, start }
    }

    /// Does `job` in this thread while the start lasts, and then in the thread "perf events". Returns when it is done.
    pub(crate) fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, OpenerGone> {
        if self.start.is_over() { self.run_in_thread(job) } else { Ok(job()) }
    }

    /// Does `job` in the thread "perf events": for threads that never had a privilege. Returns when it is done.
    pub(crate) fn run_in_thread<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, OpenerGone> {
        let (done, result) = mpsc::sync_channel(1);
        // The caller waits for the result, or for the sender to be dropped by a panic.
        let job = Box::new(move || _ = done.send(job()));
        self.jobs.send(job).map_err(|_| OpenerGone)?;
        result.recv().map_err(|_| OpenerGone)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn name() -> String {
        thread::current().name().unwrap_or_default().to_owned()
    }

    #[test]
    fn events_are_opened_by_the_caller_during_the_start_and_by_the_thread_afterwards() {
        let start = Start::default();
        let opener = Opener::start(ebhost_confine::NONE, start.clone());
        assert_eq!(opener.run(name).unwrap(), name());
        assert_eq!(opener.run_in_thread(name).unwrap(), "perf events");
        start.end();
        assert_eq!(opener.run(name).unwrap(), "perf events");
    }

    #[test]
    fn a_panic_in_the_thread_is_an_error_to_the_caller() {
        let opener = Opener::start(ebhost_confine::NONE, Start::default());
        assert!(opener.run_in_thread(|| panic!("in a test")).is_err());
        assert_eq!(opener.run_in_thread(|| 7).unwrap(), 7, "the thread is started again");
    }
}
