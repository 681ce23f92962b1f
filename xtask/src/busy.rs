//! `cargo xtask busy`: runs the tests while other programs keep every CPU busy. A test that asserts that the machine is idle fails here.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::error::{Error, Result};
use crate::test;

/// How often all tests run in a row.
const ROUNDS: usize = 2;

/// A loop without an end, of ordinary priority; it ends by itself if this program is killed.
const LOOP: &str = "while kill -0 \"$1\" 2>/dev/null; do i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done; done";

/// Runs all tests, or those whose name contains `filter`, twice while one loop for each CPU runs.
///
/// # Errors
/// The tests do not compile, or one of them failed.
pub(crate) fn busy(root: &Path, filter: Option<&str>) -> Result<()> {
    // Before the loops: compiling tests nothing, and would take three times as long.
    let skipped = test::prepare(root)?;
    let loops = Loops::start()?;
    println!("{} busy loops run", loops.0.len());
    let mut failed = BTreeSet::new();
    for round in 1..=ROUNDS {
        let began = Instant::now();
        let found = failures(root, filter)?;
        println!("round {round} of {ROUNDS}: {} failures in {} s", found.len(), began.elapsed().as_secs());
        failed.extend(found.into_iter().map(|test| format!("round {round}: {test}")));
    }
    drop(loops);
    skipped.iter().for_each(|tests| println!("skipped  {tests}"));
    failed.iter().for_each(|test| println!("FAILED   {test}"));
    if failed.is_empty() { Ok(()) } else { Err(Error::BusyFailed { count: failed.len() }) }
}

/// The loops, which end with this value.
struct Loops(Vec<Child>);

impl Loops {
    fn start() -> Result<Self> {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let mut loops = Self(Vec::new());
        for _ in 0..cpus {
            let mut command = Command::new("sh");
            command.args(["-c", LOOP, "busy", &std::process::id().to_string()]).stdin(Stdio::null());
            loops.0.push(command.spawn().map_err(|why| Error::Start { program: "sh".into(), why })?);
        }
        Ok(loops)
    }
}

impl Drop for Loops {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // Both fail only if it has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Runs the tests, shows what they print, and returns the failed ones by suite and name.
fn failures(root: &Path, filter: Option<&str>) -> Result<Vec<String>> {
    let cargo = test::command(root);
    // One stream, so that the lines that name suites stand before those of their tests.
    let mut command = Command::new("sh");
    command.current_dir(root).args(["-c", "exec \"$@\" 2>&1", "sh"]).arg(cargo.get_program());
    command.args(cargo.get_args()).args(filter).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|why| Error::Start { program: "sh".into(), why })?;
    let output = child.stdout.take().into_iter().flat_map(|output| BufReader::new(output).split(b'\n'));
    let mut found = Failures::default();
    for line in output.map_while(std::result::Result::ok) {
        let line = String::from_utf8_lossy(&line);
        // The reader of our own output may be gone; the tests go on.
        let _ = writeln!(std::io::stdout(), "{line}");
        found.read(&line);
    }
    let status = child.wait().map_err(|why| Error::Start { program: "sh".into(), why })?;
    // A suite that crashed or did not compile names no test.
    if found.tests.is_empty() && !status.success() {
        found.tests.push(format!("cargo test ended with {status} and named no test"));
    }
    Ok(found.tests)
}

/// The failures that the output of `cargo test` names.
#[derive(Debug, Default)]
struct Failures {
    suite: String,
    tests: Vec<String>,
}

impl Failures {
    fn read(&mut self, line: &str) {
        if let Some(suite) = line.trim_start().strip_prefix("Running ") {
            self.suite = suite.split(" (").next().unwrap_or(suite).to_owned();
        } else if let Some(suite) = line.trim_start().strip_prefix("Doc-tests ") {
            self.suite = format!("documentation of {suite}");
        } else if let Some((test, _)) = line
            .strip_prefix("test ")
            .and_then(|rest| rest.split_once(" ... "))
            .filter(|(_, end)| end.contains("FAILED"))
        {
            self.tests.push(format!("{} {test}", self.suite));
        } else if let Some(error) = line.strip_prefix("error: ").filter(|error| error.contains("signal: ")) {
            self.tests.push(format!("{} {error}", self.suite));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_tests_are_named_with_their_suite() {
        let mut failures = Failures::default();
        let output = "     Running unittests src/lib.rs (target/release/deps/ebhost_series-0)\ntest a::is_right ... ok\n\
                      test a::is_wrong ... FAILED\n     Running tests/web/main.rs (target/release/deps/web-0)\n\
                      test flood::ends ... ignored, long\ntest flood::is_late ... FAILED\ntest result: FAILED. 1 passed; 1 failed";
        output.lines().for_each(|line| failures.read(line));
        assert_eq!(failures.tests, ["unittests src/lib.rs a::is_wrong", "tests/web/main.rs flood::is_late"]);
    }

    #[test]
    fn the_loops_end_with_their_owner() {
        let loops = Loops::start().unwrap();
        let pids: Vec<u32> = loops.0.iter().map(Child::id).collect();
        assert!(!pids.is_empty());
        drop(loops);
        assert!(pids.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()));
    }
}
