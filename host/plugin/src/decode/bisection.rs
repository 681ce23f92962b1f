//! Finds the entries that a guest fails at: a failed part of a batch is halved until the entries at fault are alone.
//!
//! A failure does not say whether the entry or the component is at fault. So while nothing was answered in this scrape, the first failure
//! is followed by a control: one entry that was answered before. If it fails too, the component is broken and no entry is blamed. Where
//! no such entry is known, [`limits::SUSPECTS`] entries that fail alone are taken for a broken component.
//!
//! [`Bisection`] calls no guest and reads no clock: it says what to do next, and is told what came of it. So its rules are tested
//! without a component.

use super::Progress;
use ebhost_limits as limits;

/// Consecutive entries of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    /// Index of the first entry.
    pub(crate) first: usize,
    /// Number of entries, 1 or more.
    pub(crate) count: usize,
}

/// The weight against the component of an entry that ran out of time and was answered at its second try: the machine may have been slow.
const OUT_OF_TIME: u32 = 1;

/// Whether an entry is known that was answered before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ControlEntry {
    Known,
    Unknown,
}

/// The next step of a bisection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Ask about these entries, if there is time: then [`Bisection::answered`] or [`Bisection::failed`], else
    /// [`Bisection::out_of_time`].
    Decode(Part),
    /// Ask about the control entry: then [`Bisection::control_answered`] or [`Bisection::control_failed`].
    AskControl,
    /// The batch is done, or has to be given up.
    Stop,
}

/// The result of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict<E> {
    /// Every entry was asked about. The listed ones fail by themselves, with these errors.
    Complete(Vec<(usize, E)>),
    /// Time ran out, or no instance could be started: the entries without an answer are to be asked again. The listed ones fail by
    /// themselves.
    Partial(Vec<(usize, E)>),
    /// The component failed as a whole, and no entry is blamed.
    Broken,
}

/// State that is kept from batch to batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BisectionHistory {
    /// Entries in the first parts of the next batch; fewer after bisection ran out of time.
    part_entries: usize,
    /// Whether something was answered in this scrape: then failures are the entries' fault.
    is_answering: bool,
    /// Whether something failed in this scrape.
    has_failed: bool,
    /// Entries of the smallest part that failed in this scrape.
    smallest_failed: usize,
    /// The first entry of the next batch failed when it was asked about alone, and there was no time for its second try.
    second_try_due: bool,
    /// The weight of this scrape's calls against the component although it answers, in units of [`limits::UNSTEADY_SCRAPES`].
    unsteadiness: u32,
}

impl BisectionHistory {
    pub(crate) fn new() -> Self {
        Self {
            part_entries: limits::BATCH_ENTRIES,
            is_answering: false,
            has_failed: false,
            smallest_failed: usize::MAX,
            second_try_due: false,
            unsteadiness: 0,
        }
    }

    /// The weight of this scrape's calls against a component that answers: an entry failed alone, and was answered in a new instance. `None`:
    /// nothing was answered, so that nothing is known.
    pub(crate) fn unsteadiness(&self) -> Option<u32> {
        self.is_answering.then_some(self.unsteadiness)
    }

    /// Forgets the last scrape's evidence. The size of first parts is kept.
    pub(crate) fn begin_scrape(&mut self) {
        *self = Self { part_entries: self.part_entries, second_try_due: self.second_try_due, ..Self::new() };
    }
}

/// The state of one batch. `E` is the error of a call.
#[derive(Debug)]
pub(crate) struct Bisection<E> {
    history: BisectionHistory,
    control: ControlEntry,
    /// Parts that are still to be asked about, the first one last.
    pending: Vec<Part>,
    /// A failed part, while the control entry is asked about.
    on_hold: Option<(Part, E)>,
    /// Entries that failed alone.
    suspects: Vec<(usize, E)>,
    /// The entry that failed alone and is asked about once more, and what its answer would say against the component.
    second_try: Option<(usize, u32)>,
    progress: Progress,
}

impl<E> Bisection<E> {
    /// Begins a batch of `count` entries.
    pub(crate) fn new(count: usize, control: ControlEntry, history: BisectionHistory) -> Self {
        let most = history.part_entries;
        let parts = (0..count).step_by(most).map(|first| Part { first, count: most.min(count - first) });
        let pending = parts.rev().collect();
        let second_try = history.second_try_due.then_some((0, OUT_OF_TIME));
        let history = BisectionHistory { second_try_due: false, ..history };
        Self { history, control, pending, on_hold: None, suspects: Vec::new(), second_try, progress: Progress::Done }
    }

    /// The next step. The same step is returned until one of the methods below reports its outcome.
    pub(crate) fn step(&self) -> Step {
        match (self.progress, &self.on_hold, self.pending.last()) {
            (Progress::Deferred, ..) | (Progress::Done, None, None) => Step::Stop,
            (Progress::Done, Some(_), _) => Step::AskControl,
            (Progress::Done, None, Some(part)) => Step::Decode(*part),
        }
    }

    /// The part of the present step was answered.
    pub(crate) fn answered(&mut self) {
        let part = self.pending.pop();
        if let (Some(part), Some((entry, evidence))) = (part, self.second_try)
            && part.first == entry
        {
            self.history.unsteadiness = self.history.unsteadiness.max(evidence);
        }
        self.history.is_answering = true;
        self.history.part_entries = (self.history.part_entries * 2).min(limits::BATCH_ENTRIES);
        self.control = ControlEntry::Known;
    }

    /// The call about the part of the present step failed.
    pub(crate) fn failed(&mut self, error: E) {
        let Some(part) = self.pending.pop() else { return };
        self.note_failure(part.count);
        if !self.history.is_answering && self.control == ControlEntry::Known {
            self.on_hold = Some((part, error));
        } else {
            self.narrow(part, error);
        }
    }

    /// The call about the part of the present step ran out of time. That may be the machine's fault, so an entry alone is asked about once
    /// more before it is blamed.
    pub(crate) fn timed_out(&mut self, error: E) {
        self.failed_once(error, OUT_OF_TIME);
    }

    /// The call about the part of the present step failed, and was not the first one in its instance, which may have been in a bad state.
    /// So an entry alone is asked about once more, in a new instance, before it is blamed.
    pub(crate) fn failed_in_used_instance(&mut self, error: E) {
        self.failed_once(error, limits::UNSTEADY_SCRAPES);
    }

    fn failed_once(&mut self, error: E, evidence: u32) {
        match self.pending.last() {
            Some(&Part { first, count: 1 }) if self.second_try.is_none_or(|(entry, _)| entry != first) => {
                self.second_try = Some((first, evidence));
                self.note_failure(1);
            }
            _ => self.failed(error),
        }
    }

    /// No instance could be started for the present step.
    pub(crate) fn start_failed(&mut self) {
        let Some(part) = self.pending.pop() else { return };
        self.note_failure(part.count);
        self.progress = Progress::Deferred;
    }

    /// The control entry was answered: the component works, and what failed is at fault itself.
    pub(crate) fn control_answered(&mut self) {
        self.history.is_answering = true;
        if let Some((part, error)) = self.on_hold.take() {
            self.narrow(part, error);
        }
    }

    /// The control entry failed: the component is broken.
    pub(crate) fn control_failed(&mut self) {
        self.note_failure(1);
        self.progress = Progress::Deferred;
    }

    /// There is no time to ask about the control entry, so that nothing is known about the component.
    pub(crate) fn no_time_for_control(&mut self) {
        self.history.has_failed = false;
        self.progress = Progress::Deferred;
    }

    /// There is no time for the present step. The next batch begins with smaller parts, so that an entry that costs a whole time limit
    /// each time is found within a few scrapes.
    pub(crate) fn out_of_time(&mut self) {
        if let Some(next) = self.pending.last().filter(|_| self.history.has_failed) {
            let most = self.history.smallest_failed.min(next.count);
            self.history.part_entries = self.history.part_entries.min(most).max(1);
            self.history.second_try_due = self.second_try.is_some_and(|(entry, _)| entry == next.first);
        }
        self.progress = Progress::Deferred;
    }

    /// Ends the batch: its verdict, and what the next one is to know.
    pub(crate) fn finish(self) -> (Verdict<E>, BisectionHistory) {
        let is_broken = !self.history.is_answering && self.history.has_failed;
        let verdict = match self.progress {
            _ if is_broken => Verdict::Broken,
            Progress::Deferred => Verdict::Partial(self.suspects),
            Progress::Done => Verdict::Complete(self.suspects),
        };
        (verdict, self.history)
    }

    /// Halves a failed part, or blames its only entry.
    fn narrow(&mut self, part: Part, error: E) {
        let Part { first, count } = part;
        if count > 1 {
            let half = count / 2;
            self.pending.push(Part { first: first + half, count: count - half });
            self.pending.push(Part { first, count: half });
            return;
        }
        self.suspects.push((first, error));
        if !self.history.is_answering && self.suspects.len() >= limits::SUSPECTS {
            self.progress = Progress::Deferred;
        }
    }

    fn note_failure(&mut self, entries: usize) {
        self.history.has_failed = true;
        self.history.smallest_failed = self.history.smallest_failed.min(entries);
    }
}

#[cfg(test)]
mod tests;
