//! A start of an instance that no scrape waits for, in a thread of its own.
//!
//! A scraper that waits for a second leaves half a second for guests, and an interpreter may need more than that to start. After its
//! instance failed such a component could never be started within a scrape, and what was new stayed without labels. Here the start goes
//! on while the scrape is answered, and a later scrape finds the instance ready.

use std::{
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use crate::{
    clock,
    contract::declared::Manifest,
    engine::CompiledComponent,
    guest::{CallError, Instance, StartParameters},
};

/// A start that is going on. Dropping it drops the instance when that is ready.
pub(super) struct BackgroundStart(mpsc::Receiver<Started>);

pub(super) enum StartState {
    Going,
    Ended(Box<Started>),
    /// Its thread panicked, which the log says.
    Lost,
}

/// A start that ended.
pub(super) struct Started {
    pub(super) outcome: Result<(Instance, Manifest), CallError>,
    pub(super) took: Duration,
    pub(super) ended: Instant,
}

impl BackgroundStart {
    /// None: no thread could be started.
    pub(super) fn begin(
        compiled: Arc<CompiledComponent>,
        config: String,
        memory_limit: u64,
        time_limit: Duration,
    ) -> Option<Self> {
        let (ended, outcome) = mpsc::sync_channel(1);
        let start = move || {
            let began = clock::now();
            let parameters = StartParameters { config: &config, memory_limit, time_limit };
            let outcome = Instance::start(&compiled, parameters);
            let now = clock::now();
            // The plugin may be gone by now.
            let _ = ended.send(Started { outcome, took: now.saturating_duration_since(began), ended: now });
        };
        let thread = ebhost_confine::spawn("guest start", ebhost_confine::NONE, ebhost_confine::Abandon, start);
        thread.ok().map(|_| Self(outcome))
    }

    pub(super) fn state(&self) -> StartState {
        match self.0.try_recv() {
            Ok(started) => StartState::Ended(Box::new(started)),
            Err(mpsc::TryRecvError::Empty) => StartState::Going,
            Err(mpsc::TryRecvError::Disconnected) => StartState::Lost,
        }
    }
}
