//! Sizes and tallies of a table, for the host's own metrics.

use crate::store::LabelTallies;
use crate::views::View;

/// Sizes now, and tallies since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Series that something feeds, including those named `other` by the limit.
    pub series: usize,
    /// [`TableLimits::series`](crate::TableLimits::series).
    pub series_limit: usize,
    /// Entries of all views.
    pub entries: usize,
    /// Identities of all views.
    pub identities: usize,
    /// Identities that an answer is requested for.
    pub unlabelled: usize,
    /// Rows of the last readings that were left out, because `memory_bytes` was reached.
    pub rows_left_out: usize,
    /// Bytes that entries, identities and baselines take.
    pub memory_bytes: usize,
    /// [`TableLimits::memory_bytes`](crate::TableLimits::memory_bytes).
    pub memory_limit_bytes: usize,
    /// The most bytes that the series take in an answer, in its longest format and without start times.
    pub exposition_bytes: usize,
    /// [`TableLimits::exposition_bytes`](crate::TableLimits::exposition_bytes).
    pub exposition_limit_bytes: usize,
    /// Label sets folded into `other`, since the start.
    pub folded: u64,
    /// Those of them that were folded because they would have made an answer longer than `exposition_limit_bytes`.
    pub folded_for_exposition: u64,
    /// Answers [`Unknown`](crate::Answer::Unknown) or of a wrong shape, since the start.
    pub refused: u64,
    /// Label values cut at the limit, since the start.
    pub trimmed: u64,
    /// Label values with U+FFFD in place of bytes that are not UTF-8, since the start.
    pub replaced: u64,
    /// Events that were not counted because their entry made way before it had an answer, or because there was no room for one; since
    /// the start.
    pub lost_events: u64,
    /// Event entries that made way for others, since the start.
    pub evicted: u64,
    /// Event entries that were not seen for their time to live, since the start.
    pub expired: u64,
}

/// The part of [`Stats`] that is counted since the start and outlives the table.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tallies {
    folded: u64,
    folded_for_exposition: u64,
    refused: u64,
    trimmed: u64,
    replaced: u64,
    lost_events: u64,
    evicted: u64,
    expired: u64,
}

impl Tallies {
    /// Adds what a table counted itself.
    pub(super) fn with(mut self, labels: LabelTallies, views: &[View]) -> Self {
        self.folded += labels.folded;
        self.folded_for_exposition += labels.folded_for_exposition;
        self.trimmed += labels.trimmed;
        self.replaced += labels.replaced;
        for view in views {
            self.refused += view.labels().refused();
            if let View::Events(view) = view {
                self.lost_events += view.tallies().lost;
                self.evicted += view.tallies().evicted;
                self.expired += view.tallies().expired;
            }
        }
        self
    }

    pub(super) fn write_to(self, stats: &mut Stats) {
        stats.folded = self.folded;
        stats.folded_for_exposition = self.folded_for_exposition;
        stats.refused = self.refused;
        stats.trimmed = self.trimmed;
        stats.replaced = self.replaced;
        stats.lost_events = self.lost_events;
        stats.evicted = self.evicted;
        stats.expired = self.expired;
    }
}
