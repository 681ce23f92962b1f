//! The cost of each stage of a scrape: CPU time of the agent's thread, so that waiting for others does not count.

use std::time::Duration;

use serde::Serialize;

use super::thread_cpu_time;

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

    /// The value of the label `stage`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::Read => "read",
            Self::Label => "label",
            Self::Count => "count",
            Self::Print => "print",
        }
    }
}

/// CPU time by stage since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct StageTimes([Duration; Stage::ALL.len()]);

impl StageTimes {
    /// CPU time of a stage.
    pub fn of(&self, stage: Stage) -> Duration {
        self.0[stage as usize]
    }

    /// Adds CPU time to a stage.
    pub fn add(&mut self, stage: Stage, time: Duration) {
        self.0[stage as usize] += time;
    }

    /// Adds the CPU time of the version before this one.
    pub fn inherit(&mut self, before: &Self) {
        for (time, earlier) in self.0.iter_mut().zip(before.0) {
            *time += earlier;
        }
    }
}

/// CPU time by stage since the start, of the thread that calls it.
#[derive(Debug, Default)]
pub struct StageClock {
    since: Duration,
    spent: StageTimes,
}

impl StageClock {
    /// Starts a lap.
    pub fn start(&mut self) {
        self.since = thread_cpu_time();
    }

    /// Ends a lap: the CPU time since the last lap or start is added to this stage, and returned.
    pub fn lap(&mut self, stage: Stage) -> Duration {
        let now = thread_cpu_time();
        let lap = now.saturating_sub(self.since);
        self.spent.add(stage, lap);
        self.since = now;
        lap
    }

    /// CPU time of all laps.
    pub fn spent(&self) -> StageTimes {
        self.spent
    }
}
