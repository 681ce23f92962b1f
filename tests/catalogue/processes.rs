//! The package processes against /proc/stat, and against a program whose children end in known ways.

use std::{process::Command, thread, time::Duration};

use ebhost_tests::{Cgroup, alone, needs, output, wait_until};

use crate::source::{Package, numbers, sum};

#[test]
fn processes_and_threads_are_those_of_proc_stat() {
    needs!(Root);
    let _alone = alone();
    let package = Package::start("processes", "");
    let kernel = || vec![("processes".to_owned(), numbers("/proc/stat", "processes")[0] as f64)];
    let load = || {
        for _ in 0..100 {
            output(&mut Command::new("true"));
            thread::spawn(|| {}).join().expect("it does nothing");
        }
    };
    package.assert_increases_equal(kernel, |served, _| sum(served, "ebhost_process_forks_total", |_| true), 4.0, load);
    package.host.stop();
}

/// 20 children that succeed, 7 that fail, 5 that are killed, 3 that live for a tenth of a second, 4 programs that are executed, and one
/// process that ends with 10 threads.
const SCRIPT: &str = r"
import os, subprocess, threading, time
def child(act):
    pid = os.fork()
    if pid == 0:
        act()
        os._exit(0)
    os.waitpid(pid, 0)
for _ in range(20): child(lambda: None)
for _ in range(7): child(lambda: os._exit(3))
for _ in range(5): child(lambda: os.kill(os.getpid(), 9))
for _ in range(3): child(lambda: time.sleep(0.1))
for _ in range(4): child(lambda: os.execv('/bin/true', ['true']))
def threads():
    ready = threading.Barrier(11)
    for _ in range(10):
        threading.Thread(target=lambda: (ready.wait(), time.sleep(60)), daemon=True).start()
    ready.wait()
child(threads)
";

#[test]
fn children_are_counted_by_how_they_end() {
    needs!(Root, Cgroup2, File("/usr/bin/python3"));
    let _alone = alone();
    for by in ["cgroup", "unit"] {
        let package = Package::start("processes", &format!("cg: {by}"));
        let name = format!("ebhost-processes-{}.service", std::process::id());
        let cgroup = Cgroup::new(&name);
        output(cgroup.starter().args(["/usr/bin/python3", "-S", "-c", SCRIPT]));
        let label = if by == "unit" { name.as_str() } else { cgroup.path() };
        let value = |name: &str, more: Option<(&str, &str)>| {
            let labels: Vec<_> = [(by, label)].into_iter().chain(more).collect();
            package.value(name, &labels)
        };
        wait_until("the name of the cgroup", Duration::from_secs(10), || {
            (value("ebhost_process_execs_total", None) > 0.0).then_some(())
        });
        // The shell that becomes Python is a process of the test, and was there before it entered the cgroup.
        let exits = ["success", "failure", "signal"]
            .map(|reason| value("ebhost_process_exits_total", Some(("reason", reason))));
        assert_eq!(exits, [20.0 + 3.0 + 4.0 + 1.0 + 1.0, 7.0, 5.0], "success, failure, signal");
        let forks = ["process", "thread"].map(|kind| value("ebhost_process_forks_total", Some(("kind", kind))));
        assert_eq!(forks, [40.0, 10.0], "processes, threads");
        assert_eq!(value("ebhost_process_execs_total", None), 5.0);
        let lifetimes = package.host.scrape().histogram("ebhost_process_lifetime_seconds", &[(by, label)]);
        let lifetimes = lifetimes.expect("a histogram");
        assert_eq!(lifetimes.count, 41);
        assert!(
            lifetimes.at_most(0.065_536) <= 37 && lifetimes.count - lifetimes.at_most(0.065_536) >= 4,
            "{lifetimes:?}"
        );
        package.host.stop();
    }
}
