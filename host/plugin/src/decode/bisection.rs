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

/// Whether an entry is known that was answered before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ControlEntry {
    Known,
    Unknown,
}

/// What to do next.
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

/// What is remembered from batch to batch.
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
}

impl BisectionHistory {
    pub(crate) fn new() -> Self {
        Self {
            part_entries: limits::BATCH_ENTRIES,
            is_answering: false,
            has_failed: false,
            smallest_failed: usize::MAX,
        }
    }

    /// Forgets the last scrape's evidence. The size of first parts is kept.
    pub(crate) fn begin_scrape(&mut self) {
        *self = Self { part_entries: self.part_entries, ..Self::new() };
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
    progress: Progress,
}

impl<E> Bisection<E> {
    /// Begins a batch of `count` entries.
    pub(crate) fn new(count: usize, control: ControlEntry, history: BisectionHistory) -> Self {
        let most = history.part_entries;
        let parts = (0..count).step_by(most).map(|first| Part { first, count: most.min(count - first) });
        let pending = parts.rev().collect();
        Self { history, control, pending, on_hold: None, suspects: Vec::new(), progress: Progress::Done }
    }

    /// What to do next. Calling this again without telling what came of it repeats the step.
    pub(crate) fn step(&self) -> Step {
        match (self.progress, &self.on_hold, self.pending.last()) {
            (Progress::Deferred, ..) | (Progress::Done, None, None) => Step::Stop,
            (Progress::Done, Some(_), _) => Step::AskControl,
            (Progress::Done, None, Some(part)) => Step::Decode(*part),
        }
    }

    /// The part of the present step was answered.
    pub(crate) fn answered(&mut self) {
        self.pending.pop();
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

    /// There is no time for the present step. The next batch begins with smaller parts, so that an entry that costs a whole time limit
    /// each time is found within a few scrapes.
    pub(crate) fn out_of_time(&mut self) {
        self.history.part_entries = self.history.part_entries.min(self.history.smallest_failed).max(1);
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A component that fails at some entries, or at all.
    struct Component {
        faulty: Vec<usize>,
        is_broken: bool,
    }

    /// What became of a batch.
    struct Outcome {
        verdict: Verdict<()>,
        answered: Vec<usize>,
        calls: usize,
        history: BisectionHistory,
    }

    impl Component {
        fn faulty_at(faulty: &[usize]) -> Self {
            Self { faulty: faulty.to_vec(), is_broken: false }
        }

        fn broken() -> Self {
            Self { faulty: vec![], is_broken: true }
        }

        /// Decodes a batch, with time for so many calls.
        fn decode(&self, count: usize, control: ControlEntry, history: BisectionHistory, time: usize) -> Outcome {
            let mut bisection = Bisection::new(count, control, history);
            let (mut answered, mut calls) = (Vec::new(), 0);
            loop {
                match bisection.step() {
                    Step::Decode(_) if calls >= time => bisection.out_of_time(),
                    Step::Decode(Part { first, count }) => {
                        calls += 1;
                        if self.is_broken || self.faulty.iter().any(|entry| (first..first + count).contains(entry)) {
                            bisection.failed(());
                        } else {
                            answered.extend(first..first + count);
                            bisection.answered();
                        }
                    }
                    Step::AskControl => {
                        calls += 1;
                        if self.is_broken { bisection.control_failed() } else { bisection.control_answered() }
                    }
                    Step::Stop => break,
                }
            }
            let (verdict, history) = bisection.finish();
            Outcome { verdict, answered, calls, history }
        }
    }

    const FOREVER: usize = usize::MAX;

    proptest! {
        #[test]
        fn exactly_the_entries_at_fault_are_blamed(
            count in 1..5_000usize,
            faulty in prop::collection::btree_set(0..5_000usize, 0..20),
        ) {
            let faulty: Vec<_> = faulty.into_iter().filter(|entry| *entry < count).collect();
            let outcome =
                Component::faulty_at(&faulty).decode(count, ControlEntry::Known, BisectionHistory::new(), FOREVER);
            let sound: Vec<_> = (0..count).filter(|entry| !faulty.contains(entry)).collect();
            prop_assert_eq!(outcome.answered, sound);
            prop_assert_eq!(outcome.verdict, Verdict::Complete(faulty.into_iter().map(|entry| (entry, ())).collect()));
        }
    }

    #[test]
    fn one_entry_at_fault_costs_a_logarithm_of_calls() {
        let outcome =
            Component::faulty_at(&[1_000]).decode(4_096, ControlEntry::Known, BisectionHistory::new(), FOREVER);
        // One call for the whole, one for the control entry, two for each halving.
        assert_eq!((outcome.verdict, outcome.calls), (Verdict::Complete(vec![(1_000, ())]), 2 + 2 * 12));
    }

    #[test]
    fn a_component_that_fails_at_its_control_entry_is_broken_after_two_calls() {
        let outcome = Component::broken().decode(4_096, ControlEntry::Known, BisectionHistory::new(), FOREVER);
        assert_eq!((outcome.verdict, outcome.calls), (Verdict::Broken, 2));
    }

    #[test]
    fn a_component_that_never_answered_is_broken_after_so_many_entries() {
        let outcome = Component::broken().decode(4_096, ControlEntry::Unknown, BisectionHistory::new(), FOREVER);
        assert_eq!(outcome.verdict, Verdict::Broken);
        assert!(outcome.calls >= limits::SUSPECTS && outcome.calls < limits::SUSPECTS * 4, "{}", outcome.calls);
    }

    #[test]
    fn entries_that_failed_before_the_first_answer_are_blamed_after_it() {
        let outcome = Component::faulty_at(&[0, 1]).decode(8, ControlEntry::Unknown, BisectionHistory::new(), FOREVER);
        assert_eq!(outcome.verdict, Verdict::Complete(vec![(0, ()), (1, ())]));
    }

    #[test]
    fn a_batch_without_time_blames_nobody() {
        let outcome = Component::broken().decode(8, ControlEntry::Known, BisectionHistory::new(), 0);
        assert_eq!((outcome.verdict, outcome.calls), (Verdict::Partial(vec![]), 0));
    }

    #[test]
    fn an_entry_that_costs_all_time_is_found_within_a_few_scrapes() {
        let mut history = BisectionHistory::new();
        let mut unlabelled: Vec<usize> = (0..4_096).collect();
        for scrape in 1.. {
            assert!(scrape < 12, "found within a few scrapes");
            let faulty = unlabelled.iter().position(|entry| *entry == 3_000).unwrap();
            history.begin_scrape();
            let outcome = Component::faulty_at(&[faulty]).decode(unlabelled.len(), ControlEntry::Known, history, 6);
            history = outcome.history;
            let (Verdict::Complete(suspects) | Verdict::Partial(suspects)) = outcome.verdict else {
                panic!("it answers its control entry")
            };
            if !suspects.is_empty() {
                assert_eq!(suspects, [(faulty, ())]);
                break;
            }
            let answered: Vec<_> = outcome.answered.iter().map(|index| unlabelled[*index]).collect();
            unlabelled.retain(|entry| !answered.contains(entry));
        }
    }

    #[test]
    fn an_answer_in_an_earlier_batch_of_the_scrape_needs_no_control() {
        let sound = Component::faulty_at(&[]).decode(8, ControlEntry::Unknown, BisectionHistory::new(), FOREVER);
        let outcome = Component::faulty_at(&[5]).decode(8, ControlEntry::Known, sound.history, FOREVER);
        assert_eq!((outcome.verdict, outcome.calls), (Verdict::Complete(vec![(5, ())]), 1 + 2 * 3));
    }

    #[test]
    fn an_instance_that_cannot_be_started_makes_the_component_broken() {
        let mut bisection = Bisection::<()>::new(8, ControlEntry::Unknown, BisectionHistory::new());
        bisection.start_failed();
        assert_eq!(bisection.step(), Step::Stop);
        assert_eq!(bisection.finish().0, Verdict::Broken);
    }
}
