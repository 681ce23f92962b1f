//! A network namespace for one test: no traffic but the test's own, and counters that begin at 0.

use std::{collections::HashMap, fs, process::Command, sync::mpsc, thread};

use crate::{output, sys::leave_network_namespace};

type Job = Box<dyn FnOnce() + Send>;

/// A thread in a network namespace of its own, whose loopback interface is up. The namespace is gone when this is dropped and the last
/// thread and socket in it are.
#[derive(Debug)]
pub struct Namespace {
    jobs: mpsc::Sender<Job>,
}

impl Namespace {
    pub fn new() -> Self {
        let (jobs, received) = mpsc::channel::<Job>();
        thread::spawn(move || {
            leave_network_namespace().expect("root creates network namespaces");
            received.into_iter().for_each(|job| job());
        });
        let namespace = Self { jobs };
        namespace.run(|| ip(&["link", "set", "lo", "up"]));
        namespace
    }

    /// Runs a function in the namespace. Threads and processes that it starts are there, too.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (result, received) = mpsc::sync_channel(1);
        let job = move || result.send(job()).expect("the test waits for the result");
        self.jobs.send(Box::new(job)).expect("the thread of the namespace runs");
        received.recv().expect("the job did not panic")
    }

    /// The kernel's counters of this namespace and of the thread that asks: of all traffic that the test and the host have.
    pub fn counters(&self) -> NetworkCounters {
        self.run(NetworkCounters::read).plus(&NetworkCounters::read())
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self::new()
    }
}

/// Runs `ip` in the network namespace of this thread.
pub(crate) fn ip(arguments: &[&str]) {
    output(Command::new("ip").args(arguments));
}

/// `/proc/net/snmp` and `/proc/net/netstat`: the kernel's own counters, such as `Tcp RetransSegs`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkCounters(HashMap<String, i64>);

impl NetworkCounters {
    /// Those of the network namespace of this thread.
    pub fn read() -> Self {
        let files = ["snmp", "netstat"].map(|name| {
            let path = format!("/proc/thread-self/net/{name}");
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
        });
        let mut counters = HashMap::new();
        for text in &files {
            let lines: Vec<_> = text.lines().collect();
            for pair in lines.chunks_exact(2) {
                let (protocol, names) = pair[0].split_once(": ").expect("a line of names");
                let (_, numbers) = pair[1].split_once(": ").expect("a line of numbers");
                let numbers = numbers.split(' ').map(|number| number.parse().expect("a number"));
                counters.extend(names.split(' ').map(|name| format!("{protocol} {name}")).zip(numbers));
            }
        }
        Self(counters)
    }

    /// The counter of this name, such as `TcpExt TCPTimeouts`.
    pub fn get(&self, name: &str) -> i64 {
        *self.0.get(name).unwrap_or_else(|| panic!("the kernel has no counter `{name}`"))
    }

    /// How much a counter grew since `before`.
    pub fn since(&self, before: &Self, name: &str) -> i64 {
        self.get(name) - before.get(name)
    }

    fn plus(mut self, other: &Self) -> Self {
        for (name, number) in &mut self.0 {
            *number += other.0.get(name).unwrap_or(&0);
        }
        self
    }
}
