//! The package runqlen against a known number of busy loops on one CPU.

use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

use ebhost_tests::{Running, alone, needs, wait_until};

use crate::source::Package;

#[test]
fn busy_loops_on_one_cpu_are_the_length_of_its_queue() {
    needs!(Root, Tool("taskset"), Tool("perl"));
    let _alone = alone();
    let package = Package::start("runqlen", "");
    let busy = || Running::start(Command::new("taskset").args(["-c", "0", "perl", "-e", "while (1) {}"]));
    let loops = [busy(), busy(), busy(), busy(), busy()];
    thread::sleep(Duration::from_millis(500));
    // The moments between which the counts were read, because a scrape takes its time on a busy machine.
    let lengths = || {
        let began = Instant::now();
        let served = package.host.scrape();
        let lengths = served.histogram("ebhost_runqueue_length", &[("cpu", "0")]).expect("a CPU has a histogram");
        (began, lengths, Instant::now())
    };
    let (earliest, before, began) = lengths();
    thread::sleep(Duration::from_secs(3));
    let (ended, after, latest) = lengths();
    let (shortest, longest) = ((ended - began).as_secs_f64(), (latest - earliest).as_secs_f64());
    let samples = after.count - before.count;
    let shorter = after.at_most(4.0) - before.at_most(4.0);
    let mean = (after.sum - before.sum) / samples as f64;
    eprintln!("{samples} samples, {shorter} of less than five tasks, {mean} tasks on average");
    let (least, most) = (99.0 * shortest * 0.85, 99.0 * longest * 1.15);
    assert!((least..most).contains(&(samples as f64)), "99 samples a second: {samples}, expected {least} to {most}");
    assert!(shorter * 50 <= samples, "five tasks are always on the CPU: {shorter} of {samples} samples show less");
    assert!((5.0..9.0).contains(&mean), "{mean} tasks on average");
    drop(loops);
    package.host.stop();
}

#[test]
fn one_series_for_all_cpus_is_an_option() {
    needs!(Root);
    let _alone = alone();
    let package = Package::start("runqlen", "by_cpu: false");
    wait_until("samples", Duration::from_secs(60), || {
        let lengths = package.host.scrape().histogram("ebhost_runqueue_length", &[]).expect("one histogram");
        (lengths.count > 20).then_some(())
    });
    package.host.stop();
}
