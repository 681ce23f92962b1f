//! The warm floor: the best of some batched reads of a map by a process that does nothing else.
//!
//! The floor between two scrapes ([`Round::floor`](crate::report::Round)) is read with caches that the scrape and its client have filled with other
//! memory. This one is what the kernel's read costs at its best, so it is the stricter of the two.

use std::process::Command;
use std::time::{Duration, Instant};

use ebhost_tests::{Entries, KernelMap};

use crate::{host::timed, report::tenth};

/// The first argument of the process that measures.
pub(crate) const ARGUMENT: &str = "--warm-floor";

/// Reads of which the best counts.
const READS: u32 = 25;

/// The CPU time of one warm read of the map `name` of a process.
pub(crate) fn warm(pid: u32, name: &str) -> Duration {
    let own = std::env::current_exe().expect("the benchmark has a file");
    let output = Command::new(own).args([ARGUMENT, &pid.to_string(), name]).output().expect("it starts again");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let nanoseconds = text.trim().parse();
    Duration::from_nanos(nanoseconds.unwrap_or_else(|_| panic!("found `{text}`, expected nanoseconds: {output:?}")))
}

/// Measures within this process; the arguments are those that [`warm`] gives. Returns nanoseconds.
pub(crate) fn measure(arguments: &[String]) -> u128 {
    let [pid, name] = arguments else { panic!("found {arguments:?}, expected a process and the name of a map") };
    let map = KernelMap::of(pid.parse().expect("the id of a process"), name);
    let mut entries = Entries::default();
    let read = |_| {
        let began = Instant::now();
        let spent = timed(|| map.read(&mut entries));
        (spent, began.elapsed())
    };
    let reads: Vec<(Duration, Duration)> = (0..READS).map(read).collect();
    // The time of a read that was interrupted is not exact: virtual machines sometimes take more from it than others had.
    let exact = reads.iter().filter(|(spent, elapsed)| *elapsed < *spent + *spent / 50).map(|(spent, _)| *spent);
    exact.min().unwrap_or_else(|| tenth(reads.iter().map(|(spent, _)| *spent))).as_nanos()
}
