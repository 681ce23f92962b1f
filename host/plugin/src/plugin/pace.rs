//! Whether time counts: a scrape waits for the guest, a replay does not.

use std::time::Duration;

use super::{PluginLimits, start_policy::StartPolicy};
use ebhost_limits as limits;

/// Whether a plugin is held to time limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// A scrape waits: calls and starts have their limits, and a component that fails as a whole backs off.
    Scrape,
    /// Nobody waits, and the answers must not depend on how fast the machine is. Nothing backs off, and a call ends only after
    /// [`limits::REPLAY`]: then the component hangs, and the replay has failed.
    Replay,
}

impl PluginLimits {
    /// Time of one `decode` call.
    pub(super) fn call_limit(&self) -> Duration {
        match self.pace {
            Pace::Scrape => self.decode,
            Pace::Replay => limits::REPLAY,
        }
    }

    /// Time of the first start and `describe`.
    pub(super) fn first_start_limit(&self) -> Duration {
        match self.pace {
            Pace::Scrape => limits::DESCRIBE,
            Pace::Replay => limits::REPLAY,
        }
    }

    /// Time of a later start, of which a scrape leaves so much.
    pub(super) fn later_start_limit(&self, policy: StartPolicy, left: Duration) -> Duration {
        match self.pace {
            Pace::Scrape => policy.time_limit().min(left),
            Pace::Replay => limits::REPLAY,
        }
    }
}
