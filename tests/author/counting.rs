//! Fixture for `ebhost record` and `ebhost run`, which count until they are stopped.

use std::{
    ffi::OsStr,
    io::{BufRead as _, BufReader, Read as _},
    process::{ChildStdout, Command, Stdio},
    time::Duration,
};

use ebhost_tests::{Running, binary};

/// A command that has begun to count.
pub(crate) struct Counting {
    process: Running,
    out: BufReader<ChildStdout>,
}

impl Counting {
    pub(crate) fn start(args: &[&OsStr]) -> Self {
        let mut command = Command::new(binary());
        command.args(args).args(["--for", "120s"]).stdout(Stdio::piped());
        let mut process = Running::start(&mut command);
        let mut out = BufReader::new(process.child().stdout.take().expect("stdout is a pipe"));
        let mut said = String::new();
        out.read_line(&mut said).expect("its first line is text");
        assert!(said.contains(" counts for 120 s; Ctrl-C ends it before"), "{said}");
        Self { process, out }
    }

    /// Stops it with SIGINT; returns what it printed since it began to count.
    pub(crate) fn end(mut self) -> String {
        self.process.interrupt();
        let mut said = String::new();
        self.out.read_to_string(&mut said).expect("text");
        assert!(self.process.wait(Duration::from_secs(60)).success(), "{said}");
        said
    }
}
