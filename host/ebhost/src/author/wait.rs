//! Waiting while a package counts: so long, or until Ctrl-C.

use std::time::Duration;

use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
    time::timeout,
};

use super::AuthorError;

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    InTime,
    /// By Ctrl-C, during this wait or since the one before.
    Asked,
}

/// Takes Ctrl-C from when it is made: it no longer ends the process.
pub(super) struct Waiting {
    runtime: Runtime,
    ctrl_c: Signal,
}

impl Waiting {
    pub(super) fn new() -> Result<Self, AuthorError> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(AuthorError::Signals)?;
        let ctrl_c = runtime.block_on(async { signal(SignalKind::interrupt()) }).map_err(AuthorError::Signals)?;
        Ok(Self { runtime, ctrl_c })
    }

    pub(super) fn wait(&mut self, time: Duration) -> Ended {
        let ctrl_c = &mut self.ctrl_c;
        let waited = self.runtime.block_on(async { timeout(time, ctrl_c.recv()).await });
        if waited.is_ok() { Ended::Asked } else { Ended::InTime }
    }
}
