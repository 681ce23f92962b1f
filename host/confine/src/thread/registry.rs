//! All threads of the process by name: whether they run, and how often they panicked.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Threads of one name. Names of packages' threads end with the source's name and may stand for several at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadStatus {
    pub name: String,
    /// Threads of this name that run, including those that wait to be restarted.
    pub running: usize,
    /// Those that panicked and do not work now.
    pub failed: usize,
    /// Panics since the start of the process; never falls.
    pub panics: u64,
    /// The message of the last panic.
    pub last_panic: Option<String>,
}

#[derive(Debug, Default)]
struct Entry {
    running: usize,
    failed: usize,
    panics: u64,
    last_panic: Option<String>,
}

static THREADS: Mutex<BTreeMap<String, Entry>> = Mutex::new(BTreeMap::new());

/// The state of every thread that [`spawn`](crate::spawn) started and that lasts or has panicked, sorted by name. A [`Listing`] says which last.
pub fn threads() -> Vec<ThreadStatus> {
    let status = |(name, entry): (&String, &Entry)| ThreadStatus {
        name: name.clone(),
        running: entry.running,
        failed: entry.failed,
        panics: entry.panics,
        last_panic: entry.last_panic.clone(),
    };
    entries().iter().map(status).collect()
}

/// A thread that panicked and does not work now, for health checks; none: all work.
pub fn first_failed_thread() -> Option<String> {
    entries().iter().find(|(_, entry)| entry.failed > 0).map(|(name, _)| name.clone())
}

fn entries() -> MutexGuard<'static, BTreeMap<String, Entry>> {
    THREADS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From when on threads are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// From its start to its end.
    WhileItRuns,
    /// Once it has panicked. A thread that comes and goes would have a series that comes and goes.
    OnceItPanicked,
}

/// A running thread's line in the registry; dropped when the thread ends.
#[derive(Debug)]
pub(super) struct Listed {
    name: String,
    listing: Listing,
}

impl Listed {
    pub(super) fn new(name: String, listing: Listing) -> Self {
        if listing == Listing::WhileItRuns {
            entries().entry(name.clone()).or_default().running += 1;
        }
        Self { name, listing }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn count_panic(&self, message: &str) {
        let mut entries = entries();
        let entry = entries.entry(self.name.clone()).or_default();
        entry.panics += 1;
        entry.last_panic = Some(message.to_owned());
    }

    pub(super) fn set_failed(&self) {
        self.with(|entry| entry.failed += 1);
    }

    pub(super) fn set_running(&self) {
        self.with(|entry| entry.failed = entry.failed.saturating_sub(1));
    }

    fn with(&self, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = entries().get_mut(&self.name) {
            change(entry);
        }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        if self.listing == Listing::OnceItPanicked {
            return;
        }
        let mut entries = entries();
        let Some(entry) = entries.get_mut(&self.name) else { return };
        entry.running = entry.running.saturating_sub(1);
        entry.failed = entry.failed.min(entry.running);
        // A count of panics must not fall, so it stays.
        if entry.running == 0 && entry.panics == 0 {
            entries.remove(&self.name);
        }
    }
}
