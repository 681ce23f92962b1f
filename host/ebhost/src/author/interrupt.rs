//! Waiting while a package counts: for some time, or until Ctrl-C.

use std::time::Duration;

use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
    time::timeout,
};

use super::AuthorError;

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WaitEnd {
    Elapsed,
    /// Ctrl-C was pressed, during this wait or since the one before.
    Interrupted,
}

/// Handles Ctrl-C: from its creation on Ctrl-C ends a wait and no longer the process.
pub(super) struct InterruptibleWait {
    runtime: Runtime,
    ctrl_c: Signal,
}

impl InterruptibleWait {
    pub(super) fn new() -> Result<Self, AuthorError> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(AuthorError::Signals)?;
        let ctrl_c = runtime.block_on(async { signal(SignalKind::interrupt()) }).map_err(AuthorError::Signals)?;
        Ok(Self { runtime, ctrl_c })
    }

    pub(super) fn wait(&mut self, time: Duration) -> WaitEnd {
        let ctrl_c = &mut self.ctrl_c;
        let waited = self.runtime.block_on(async { timeout(time, ctrl_c.recv()).await });
        if waited.is_ok() { WaitEnd::Interrupted } else { WaitEnd::Elapsed }
    }
}
