//! The way of one signal to its receiver: the client, when the host ends, and the log of how pushes end.

use std::{
    sync::mpsc::{self, RecvTimeoutError},
    time::Instant,
};

use opentelemetry_proto::tonic::resource::v1::Resource;
use tracing::{info, warn};

use crate::{
    OtlpOptions,
    client::{Client, PushError},
};
use ebhost_handle::Handle;

pub(crate) struct Link {
    pub(crate) options: OtlpOptions,
    pub(crate) client: Client,
    pub(crate) handle: Handle,
    pub(crate) resource: Resource,
    /// The name of the signal in the log.
    pub(crate) pushed: &'static str,
    pub(crate) stopped: mpsc::Receiver<()>,
    /// The outcome of the last push; none before the first. The log says each change.
    pub(crate) last: Option<Outcome>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Taken,
    Failed,
}

/// The host ends.
pub(crate) struct Stopped;

impl Link {
    /// Waits until then, or until the host ends.
    pub(crate) fn wait(&self, until: Instant) -> Result<(), Stopped> {
        match self.stopped.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => Err(Stopped),
        }
    }

    pub(crate) fn note_taken(&mut self) {
        if self.last.replace(Outcome::Taken) != Some(Outcome::Taken) {
            info!(receiver = %self.options.endpoint, "the OTLP receiver takes {}", self.pushed);
        }
    }

    pub(crate) fn note_failed(&mut self, error: &PushError) {
        if self.last.replace(Outcome::Failed) != Some(Outcome::Failed) {
            warn!(receiver = %self.options.endpoint, "{} are not pushed: {error}", self.pushed);
        }
    }
}
