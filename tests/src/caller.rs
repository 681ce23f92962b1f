//! A process that calls getppid(2) on demand, in whichever cgroup it is.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use crate::folder::built;

/// The process. It exits when its standard input ends, at the latest with the test.
#[derive(Debug)]
pub struct Caller {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Caller {
    pub fn start() -> Self {
        let mut command = Command::new(built("toucher"));
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it was built beside the tests");
        let orders = process.stdin.take().expect("stdin is a pipe");
        let answers = BufReader::new(process.stdout.take().expect("stdout is a pipe"));
        let mut caller = Self { process, orders, answers };
        caller.wait();
        caller
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Makes it call getppid(2) so many times, and waits for the last call.
    pub fn call(&mut self, times: u64) {
        writeln!(self.orders, "getppid {times}").expect("it reads");
        self.wait();
    }

    fn wait(&mut self) {
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("it answers");
        assert_eq!(answer, "done\n");
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        // Both fail only if it has already exited.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
