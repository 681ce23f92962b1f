//! The process that causes events, and the kernel's counts of it.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use ebhost_tests::wait_for_state;

/// The process. It exits when its standard input ends, at the latest with the test.
pub(crate) struct Toucher {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// The kernel's counts of a process since its start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Kernel {
    pub(crate) faults: u64,
    pub(crate) switches: u64,
    pub(crate) runtime_ns: u64,
}

impl Toucher {
    pub(crate) fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_toucher"));
        // Otherwise the allocator would keep freed pages, and the next ones would not fault.
        let command = command.env("MALLOC_MMAP_THRESHOLD_", "65536");
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("a program that was built beside the tests");
        let orders = process.stdin.take();
        let answers = process.stdout.take().expect("stdout is a pipe");
        let mut toucher = Self { process, orders: orders.expect("stdin is a pipe"), answers: BufReader::new(answers) };
        toucher.done();
        toucher
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Gives it a command, and waits until it sleeps again.
    pub(crate) fn order(&mut self, order: &str) {
        writeln!(self.orders, "{order}").expect("it reads");
        self.done();
    }

    fn done(&mut self) {
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("it answers");
        assert_eq!(answer, "done\n");
        wait_for_state(self.process.id(), 'S');
    }

    /// The kernel's counts of the process.
    pub(crate) fn kernel(&self) -> Kernel {
        let stat = self.read("stat");
        let (_, fields) = stat.rsplit_once(") ").expect("a comm in brackets");
        let fields: Vec<_> = fields.split(' ').collect();
        let number = |text: &str| text.trim().parse::<u64>().expect("a number");
        let status = self.read("status");
        let switches = status.lines().filter(|line| line.contains("voluntary_ctxt_switches:"));
        Kernel {
            faults: number(fields[7]) + number(fields[9]),
            switches: switches.map(|line| number(line.split(':').nth(1).unwrap_or_default())).sum(),
            runtime_ns: number(self.read("schedstat").split(' ').next().unwrap_or_default()),
        }
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.pid())).expect("our own child is there")
    }
}

impl Drop for Toucher {
    fn drop(&mut self) {
        // Both fail only if it has already exited.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl std::ops::Sub for Kernel {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            faults: self.faults - before.faults,
            switches: self.switches - before.switches,
            runtime_ns: self.runtime_ns - before.runtime_ns,
        }
    }
}
