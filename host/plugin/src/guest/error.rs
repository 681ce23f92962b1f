//! Failures of calls into a guest.

use std::time::Duration;

use wasmtime::{Store, Trap};

use super::Guest;
use ebhost_limits as limits;

/// Why a call into a guest failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The answer is larger than [`limits::ANSWER_BYTES`], or the manifest than [`limits::MANIFEST_BYTES`].
    #[error("copied out more than {limit} bytes in one call")]
    Copied {
        /// Bytes.
        limit: usize,
    },
    /// The call took longer than it may.
    #[error("ran past its {limit_ms} ms ({})", last_line(.last))]
    Deadline {
        /// Milliseconds.
        limit_ms: u128,
        /// The last line that the guest logged.
        last: Option<String>,
    },
    /// The guest's memory was not allowed to grow, and the guest could not do without.
    #[error("wanted {wanted} bytes of memory, limits.memory is {limit}")]
    Memory {
        /// Bytes of all its memories.
        wanted: usize,
        /// Bytes.
        limit: usize,
    },
    /// The guest's native stack overflowed.
    #[error("called itself too deep: it ran over the end of its {limit} bytes of stack ({})", last_line(.last))]
    Stack {
        /// Bytes.
        limit: usize,
        /// The last line that the guest logged.
        last: Option<String>,
    },
    /// The guest trapped.
    #[error("trapped: {why} ({})", last_line(.last))]
    Trap {
        /// The engine's name of the trap.
        why: String,
        /// The last line that the guest logged.
        last: Option<String>,
    },
    /// `describe` returned an error, which is the guest's own text.
    #[error("refuses its config: {0}")]
    ConfigRefused(String),
    /// A later instance returned another manifest than the first.
    #[error("describes itself otherwise than before: the same config must give the same manifest")]
    ManifestChanged,
}

/// The limits of one call.
#[derive(Debug, Clone, Copy)]
pub(super) struct CallLimits {
    time: Duration,
    /// Bytes that may be copied out.
    copied: usize,
}

impl CallLimits {
    pub(super) fn of_describe(time: Duration) -> Self {
        Self { time, copied: limits::MANIFEST_BYTES }
    }

    pub(super) fn of_decode(time: Duration) -> Self {
        Self { time, copied: limits::ANSWER_BYTES }
    }
}

impl CallError {
    /// Finds out why the engine ended a call.
    pub(super) fn new(store: &mut Store<Guest>, error: &wasmtime::Error, call: CallLimits) -> Self {
        let guest = store.data_mut();
        let last = guest.log.last_line().map(str::to_owned);
        match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => Self::Deadline { limit_ms: call.time.as_millis(), last },
            Some(Trap::StackOverflow) => {
                guest.watch.stack_overflowed();
                Self::Stack { limit: limits::GUEST_STACK_BYTES, last }
            }
            _ if root_cause(error).contains("fuel allocated for hostcalls") => Self::Copied { limit: call.copied },
            _ => match guest.refused_growth {
                Some(wanted) => Self::Memory { wanted, limit: guest.memory_limit },
                None => Self::Trap { why: root_cause(error), last },
            },
        }
    }
}

fn last_line(last: &Option<String>) -> String {
    last.as_ref().map_or_else(|| "it logged nothing".to_owned(), |line| format!("its last log line: {line}"))
}

/// The innermost cause; the outer ones only list the guest's frames.
fn root_cause(error: &wasmtime::Error) -> String {
    error.root_cause().to_string()
}
