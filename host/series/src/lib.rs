//! The arithmetic of a package: labels kept beside entries, raw numbers added up into the cells of its series.
//!
//! One [`Table`] a package. It is given snapshots and answers and does no I/O, runs no guest and interprets no byte
//! that the package's schema does not name; so a recorded snapshot replays to the same series.
//!
//! A scrape is these calls, in this order (views in any order between the bars):
//!
//! ```text
//! table.begin()
//!   table.ask_again(view, |identity| …)        only when looked-up names have changed
//!   table.observe(view, &snapshot)             counts what is labelled, remembers what is not
//!   for id in table.unseen(view)               in batches:
//!       table.identity_bytes(view, id)             what the plugin is asked about
//!       table.answer(view, id, Answer::…)          its answer; none: it is offered again next scrape
//!   table.settle(view, &snapshot)              counts what has just been labelled, of the same snapshot
//! table.finish()                               ends series that nothing feeds, folds gauges
//! table.families()                             for the exposition
//! ```
//!
//! What counts and what does not is written at [`Table`]; how it stays cheap at [`entries`], where rows meet the
//! entries of the last scrape.

mod bits;
mod counting;
mod entries;
mod events;
mod families;
mod family;
mod gauges;
mod identities;
mod index;
mod labels;
mod layout;
mod number;
mod placing;
mod plan;
mod rows;
pub mod schema;
mod short;
mod table;
mod values;
mod view;

#[cfg(test)]
mod model_test;
#[cfg(test)]
mod table_test;

pub use table::{Misfit, Table};
pub use values::{Labels, Values};

/// What a table may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableLimits {
    /// Series of all families together. New label sets beyond it are folded into series with `other` in their columns.
    pub series: usize,
    /// Bytes of a label value, before escaping; longer ones are cut at a character's end.
    pub label_bytes: usize,
    /// Distinct identities (times CPUs, where they are told apart) that an event view remembers.
    pub event_entries: usize,
}

impl Default for TableLimits {
    fn default() -> Self {
        Self { series: 10_000, label_bytes: 1024, event_entries: 65_536 }
    }
}

/// One identity of one view. Good until the view's next `observe`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdentityId(u32);

/// What a plugin said about an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer<'a> {
    /// Values for the view's columns; the bucket in views that have them.
    Series { labels: Labels<'a>, bucket: Option<u32> },
    /// No series, on purpose.
    Skip,
    /// No series, because it was not understood; also an answer of a wrong shape.
    Unknown,
}

/// Sizes now and tallies since the start, for the host's own metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Series that something feeds; those named `other` by the limit included.
    pub series: usize,
    pub series_limit: usize,
    pub entries: usize,
    pub identities: usize,
    /// Identities that wait for an answer.
    pub unseen: usize,
    /// Label sets folded into `other`, since the start.
    pub folded: u64,
    /// Identities answered `Unknown`, since the start.
    pub refused: u64,
    /// Label values cut at the limit, since the start.
    pub trimmed: u64,
    /// Label values with U+FFFD in them, which stands for bytes that are not UTF-8, since the start.
    pub replaced: u64,
    /// Events not counted because `event_entries` was reached, since the start.
    pub lost_events: u64,
}

/// Gives back what a burst took: a buffer is kept at the size that an ordinary scrape needs.
fn shed<T>(buffer: &mut Vec<T>) {
    if buffer.capacity() > (buffer.len() * 2).max(ORDINARY_BYTES / size_of::<T>()) {
        buffer.shrink_to_fit();
    }
}

/// Of a buffer that is worth keeping whatever is in it: with fresh memory for each burst, a new key would cost a tenth more.
const ORDINARY_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bursts_memory_is_given_back_and_an_ordinary_ones_kept() {
        let ordinary = ORDINARY_BYTES / size_of::<u32>();
        for (capacity, len, kept) in
            [(ordinary, 0, ordinary), (ordinary + 1, 0, 0), (4 * ordinary, 2 * ordinary, 4 * ordinary)]
        {
            let mut buffer = vec![0u32; len];
            buffer.reserve_exact(capacity - len);
            shed(&mut buffer);
            assert_eq!((buffer.capacity(), buffer.len()), (kept, len), "{capacity}");
        }
    }
}
