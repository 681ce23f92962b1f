//! Bisection of batches by components that fail at chosen entries, or at all.

use proptest::prelude::*;

use super::*;

/// A component that fails at some entries, or at all.
struct Component {
    faulty: Vec<usize>,
    is_broken: bool,
}

/// The outcome of a batch.
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

#[test]
fn an_entry_that_ran_out_of_time_once_is_not_blamed() {
    let mut bisection = Bisection::new(1, ControlEntry::Known, BisectionHistory::new());
    bisection.timed_out(());
    assert_eq!(bisection.step(), Step::Decode(Part { first: 0, count: 1 }), "asked once more");
    bisection.answered();
    assert_eq!(bisection.finish().0, Verdict::Complete(vec![]));
}

#[test]
fn an_entry_that_runs_out_of_time_twice_is_blamed_though_each_scrape_has_time_for_one_call() {
    let mut history = BisectionHistory::new();
    for _ in 0..2 {
        let mut bisection = Bisection::new(3, ControlEntry::Known, history);
        assert_eq!(
            bisection.step(),
            Step::Decode(Part { first: 0, count: if history.part_entries == 1 { 1 } else { 3 } })
        );
        bisection.timed_out(());
        if bisection.step() == Step::AskControl {
            bisection.control_answered();
        }
        bisection.out_of_time();
        history = bisection.finish().1;
        history.begin_scrape();
    }
    let mut bisection = Bisection::new(3, ControlEntry::Known, history);
    assert_eq!(bisection.step(), Step::Decode(Part { first: 0, count: 1 }));
    bisection.timed_out(());
    if bisection.step() == Step::AskControl {
        bisection.control_answered();
    }
    bisection.out_of_time();
    assert_eq!(bisection.finish().0, Verdict::Partial(vec![(0, ())]));
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
    let outcome = Component::faulty_at(&[1_000]).decode(4_096, ControlEntry::Known, BisectionHistory::new(), FOREVER);
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

/// A component whose every second call trapped stayed `running`, and cost two instances for each new entry.
#[test]
fn an_entry_that_a_new_instance_answers_speaks_against_the_component() {
    let mut bisection = Bisection::new(1, ControlEntry::Known, BisectionHistory::new());
    bisection.failed_in_used_instance(());
    assert_eq!(bisection.step(), Step::Decode(Part { first: 0, count: 1 }), "asked once more before the control");
    bisection.answered();
    let (verdict, history) = bisection.finish();
    assert_eq!(verdict, Verdict::Complete(vec![]));
    assert_eq!(history.unsteadiness(), Some(limits::UNSTEADY_SCRAPES), "that is enough at once");

    let mut bisection = Bisection::new(1, ControlEntry::Known, BisectionHistory::new());
    bisection.timed_out(());
    bisection.answered();
    assert_eq!(bisection.finish().1.unsteadiness(), Some(1), "once, the machine may have been slow");

    let mut bisection = Bisection::new(1, ControlEntry::Known, BisectionHistory::new());
    bisection.failed_in_used_instance(());
    bisection.failed(());
    assert_eq!(bisection.step(), Step::AskControl, "an entry that fails twice may be at fault");
    bisection.control_answered();
    let (verdict, history) = bisection.finish();
    assert_eq!(verdict, Verdict::Complete(vec![(0, ())]));
    assert_eq!(history.unsteadiness(), Some(0));
}

#[test]
fn a_component_is_not_called_broken_when_there_is_no_time_for_the_control() {
    let mut bisection = Bisection::new(8, ControlEntry::Known, BisectionHistory::new());
    bisection.failed(());
    assert_eq!(bisection.step(), Step::AskControl);
    bisection.no_time_for_control();
    assert_eq!(bisection.step(), Step::Stop);
    let (verdict, history) = bisection.finish();
    assert_eq!(verdict, Verdict::Partial(vec![]));
    assert_eq!(history.unsteadiness(), None);
}

#[test]
fn a_scrape_begins_with_parts_of_the_size_that_the_last_one_ended_with() {
    let outcome = Component::faulty_at(&[0]).decode(8, ControlEntry::Unknown, BisectionHistory::new(), 1);
    let mut history = outcome.history;
    history.begin_scrape();
    let next = Bisection::<()>::new(8, ControlEntry::Unknown, history);
    assert_eq!(next.step(), Step::Decode(Part { first: 0, count: 4 }));
}
