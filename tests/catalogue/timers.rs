//! The package timers against a program that starts a known number of them.

use std::process::Command;

use ebhost_tests::{alone, needs, output};

use crate::source::Package;

#[test]
fn alarms_are_timers_of_the_function_that_sends_the_signal() {
    needs!(Root, Tool("perl"));
    let _alone = alone();
    let package = Package::start("timers", "");
    let alarms = || package.value("ebhost_timer_starts_total", &[("function", "it_real_fn"), ("type", "hrtimer")]);
    let before = alarms();
    // Each call starts the timer anew; the last one stops it.
    output(Command::new("perl").args(["-e", "use Time::HiRes 'ualarm'; ualarm(60_000_000) for 1..1000; ualarm(0);"]));
    let started = alarms() - before;
    // Other programs of the machine may set an alarm, too.
    assert!((1000.0..1010.0).contains(&started), "found {started}, expected 1000");
    package.host.stop();
}
