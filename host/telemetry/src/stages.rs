//! The cost of each stage of a scrape: CPU time of the agent's thread, so that waiting for others does not count.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A stage of a scrape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Lookup,
    Read,
    Label,
    Count,
    Print,
}

impl Stage {
    pub const ALL: [Self; 5] = [Self::Lookup, Self::Read, Self::Label, Self::Count, Self::Print];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::Read => "read",
            Self::Label => "label",
            Self::Count => "count",
            Self::Print => "print",
        }
    }
}

/// CPU time by stage since the start, of the thread that calls it.
#[derive(Debug, Default)]
pub struct StageClock {
    since: Duration,
    spent: [Duration; Stage::ALL.len()],
}

impl StageClock {
    /// Starts a lap.
    pub fn start(&mut self) {
        self.since = now();
    }

    /// Ends a lap: the CPU time since the last lap or start is added to this stage.
    pub fn lap(&mut self, stage: Stage) {
        let now = now();
        self.spent[stage as usize] += now.saturating_sub(self.since);
        self.since = now;
    }

    /// CPU time in the order of [`Stage::ALL`].
    pub fn spent(&self) -> [Duration; Stage::ALL.len()] {
        self.spent
    }
}

fn now() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}
