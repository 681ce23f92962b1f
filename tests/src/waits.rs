//! How long processes waited for a CPU, by the scheduler's own accounting.

use std::{fs, thread, time::Duration};

use rustix::process::Signal;

use crate::{Running, process::wait_for_state};

/// Time in seconds that processes waited for a CPU, and how often they got one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Waits {
    pub seconds: f64,
    pub count: f64,
}

impl Waits {
    /// The waits of a process so far.
    pub fn of(pid: u32) -> Self {
        let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).expect("it runs, and the kernel has schedstat");
        let numbers: Vec<f64> = text.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        Self { seconds: numbers[1] / 1e9, count: numbers[2] }
    }

    fn since(self, before: Self) -> Self {
        Self { seconds: self.seconds - before.seconds, count: self.count - before.count }
    }
}

/// The waits of processes in this time, as `served` has them and as the kernel has, when `agree` takes them, and otherwise after the fifth
/// try: the kernel hides some switches from every program (see tests/kernel/counts.rs), and the wait that such a switch ends is seen with
/// the next one. All processes stand still while they are looked at; the first look leaves out what they did in the cgroup in which they
/// were started. They are stopped afterwards.
pub fn waits_served_and_of_kernel(
    processes: &[Running],
    time: Duration,
    agree: impl Fn(&[Waits; 2]) -> bool,
    served: impl Fn() -> Waits,
) -> [Waits; 2] {
    let tell = |signal| processes.iter().for_each(|process| process.tell(signal));
    let stop_and_look = || {
        tell(Signal::STOP);
        processes.iter().for_each(wait_until_stopped);
        let waits = processes.iter().map(|process| Waits::of(process.pid()));
        let sum = |sum: Waits, one: Waits| Waits { seconds: sum.seconds + one.seconds, count: sum.count + one.count };
        [served(), waits.fold(Waits { seconds: 0.0, count: 0.0 }, sum)]
    };
    thread::sleep(Duration::from_millis(500));
    let mut before = stop_and_look();
    let mut tries = 0;
    loop {
        tell(Signal::CONT);
        thread::sleep(time);
        let after = stop_and_look();
        let grown = [after[0].since(before[0]), after[1].since(before[1])];
        eprintln!("{:?}; schedstat: {:?}", grown[0], grown[1]);
        tries += 1;
        if agree(&grown) || tries == 5 {
            return grown;
        }
        before = after;
    }
}

/// Waits until a process that was told to stop stands still: it does so when it gets a CPU.
pub fn wait_until_stopped(process: &Running) {
    wait_for_state(process.pid(), 'T');
}

/// Asserts that what `served` says of processes that want one CPU grows in this time as schedstat does: by no more than a hundredth above, and
/// by no more than a twentieth below, as waits whose beginning or end the kernel hides are missing from what a program sees.
pub fn assert_waits_are_counted(processes: &[Running], time: Duration, served: impl Fn() -> Waits) {
    let is_close = |found: f64, expected: f64| (expected * 0.95..=expected * 1.01).contains(&found);
    let agree = |[found, expected]: &[Waits; 2]| is_close(found.seconds, expected.seconds);
    let [found, expected] = waits_served_and_of_kernel(processes, time, agree, served);
    assert!(expected.seconds > 1.0, "{} processes on one CPU wait for it: {expected:?}", processes.len());
    assert!(agree(&[found, expected]), "{found:?}, schedstat: {expected:?}");
    assert!(is_close(found.count, expected.count), "{found:?}, schedstat: {expected:?}");
}
