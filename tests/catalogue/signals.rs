//! The package signals against a program that sends a known number of them to itself.

use std::process::Command;

use ebhost_tests::{alone, needs, output};

use crate::source::Package;

/// Signals that nothing else on a machine sends: the real-time signal 41, SIGPWR, and SIGSTKFLT, which is 16.
const SCRIPT: &str = r#"
use POSIX;
my $pid = $$;
$SIG{NUM41} = sub {};
kill 41, $pid for 1..1000;
$SIG{PWR} = 'IGNORE';
kill 'PWR', $pid for 1..50;
$SIG{STKFLT} = sub {};
sigprocmask(SIG_BLOCK, POSIX::SigSet->new(16));
kill 16, $pid for 1..7;
sigprocmask(SIG_UNBLOCK, POSIX::SigSet->new(16));
"#;

#[test]
fn signals_are_counted_by_what_became_of_them() {
    needs!(Root, Tool("perl"));
    let _alone = alone();
    let package = Package::start("signals", "");
    let results = ["delivered", "ignored", "pending", "queue_full"];
    let all = || {
        let value =
            |signal, result| package.value("ebhost_signals_sent_total", &[("signal", signal), ("result", result)]);
        ["41", "SIGPWR", "SIGSTKFLT"].map(|signal| results.map(|result| value(signal, result)))
    };
    let before = all();
    output(Command::new("perl").args(["-e", SCRIPT]));
    let after = all();
    let increase = |signal: usize, result: usize| after[signal][result] - before[signal][result];
    let increases = [0, 1, 2].map(|signal| [0, 1, 2, 3].map(|result| increase(signal, result)));
    let expected = [[1000.0, 0.0, 0.0, 0.0], [0.0, 50.0, 0.0, 0.0], [1.0, 0.0, 6.0, 0.0]];
    assert_eq!(increases, expected, "of {results:?}");
    package.host.stop();
}
