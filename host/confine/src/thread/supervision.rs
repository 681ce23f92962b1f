//! The consequences of a panic, one type for each.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    thread::park_timeout,
    time::{Duration, Instant},
};

use ebhost_limits as limits;
use tracing::{error, warn};

use super::{Supervised, registry::Listing};
use crate::process;

/// Runs a thread's function and decides what a panic in it does. Implemented by [`Restart`], [`EndProcess`] and [`Abandon`].
pub trait Supervision<F> {
    /// Whether its threads last.
    const LISTING: Listing;

    /// Runs `run`; returns when the thread is to end.
    fn supervise(self, thread: &Supervised, run: F);
}

/// The function is run again after a pause: [`limits::THREAD_RESTART`], doubled at each further panic up to
/// [`limits::LONGEST_THREAD_RESTART`]. Until then the thread counts as failed.
#[derive(Debug, Clone, Copy)]
pub struct Restart;

/// The process ends with a message and a non-zero status, so that the service manager starts it again.
#[derive(Debug, Clone, Copy)]
pub struct EndProcess;

/// The thread ends. For work that others do themselves when they find it not done.
#[derive(Debug, Clone, Copy)]
pub struct Abandon;

impl<F: FnMut()> Supervision<F> for Restart {
    const LISTING: Listing = Listing::WhileItRuns;

    fn supervise(self, thread: &Supervised, mut run: F) {
        let mut pauses = Pauses::default();
        loop {
            let started = Instant::now();
            if catch(thread, &mut run) == Ended::Normally {
                return;
            }
            let pause = pauses.after(started.elapsed());
            error!(thread = thread.listed.name(), "a thread panicked, and is started again in {pause:?}");
            thread.listed.set_failed();
            if wait(thread, pause) == Wait::Joined {
                return;
            }
            thread.listed.set_running();
        }
    }
}

impl<F: FnOnce()> Supervision<F> for EndProcess {
    const LISTING: Listing = Listing::WhileItRuns;

    fn supervise(self, thread: &Supervised, run: F) {
        if catch(thread, run) == Ended::ByPanic {
            thread.listed.set_failed();
            error!(thread = thread.listed.name(), "a thread panicked that ebhost cannot do without, ebhost ends");
            process::end();
        }
    }
}

impl<F: FnOnce()> Supervision<F> for Abandon {
    const LISTING: Listing = Listing::OnceItPanicked;

    fn supervise(self, thread: &Supervised, run: F) {
        if catch(thread, run) == Ended::ByPanic {
            warn!(thread = thread.listed.name(), "a thread panicked; ebhost goes on without it");
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Normally,
    ByPanic,
}

/// Runs `run`; a panic is counted and its message kept.
fn catch(thread: &Supervised, run: impl FnOnce()) -> Ended {
    // State that a panic left half done is owned by `run`, which is dropped, or `run` can resume from any state (see its caller).
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(()) => Ended::Normally,
        Err(payload) => {
            thread.listed.count_panic(process::message(&*payload));
            Ended::ByPanic
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    Over,
    /// Somebody waits for the thread's end.
    Joined,
}

fn wait(thread: &Supervised, pause: Duration) -> Wait {
    let end = Instant::now() + pause;
    while !thread.is_joined() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Wait::Over;
        }
        park_timeout(left);
    }
    Wait::Joined
}

/// The pauses of one thread: exponential back-off that starts again after a healthy run.
#[derive(Debug, Default)]
struct Pauses {
    next: Option<Duration>,
}

impl Pauses {
    /// The pause after a run that took `ran` and ended by a panic.
    fn after(&mut self, ran: Duration) -> Duration {
        let pause = match self.next {
            Some(next) if ran < limits::THREAD_HEALTHY_AFTER => next,
            _ => limits::THREAD_RESTART,
        };
        self.next = Some((2 * pause).min(limits::LONGEST_THREAD_RESTART));
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_start_again_after_a_healthy_run() {
        let mut pauses = Pauses::default();
        let short = Duration::from_millis(1);
        let row: Vec<_> = (0..7).map(|_| pauses.after(short).as_secs()).collect();
        assert_eq!(row, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(pauses.after(limits::THREAD_HEALTHY_AFTER), limits::THREAD_RESTART);
    }
}
