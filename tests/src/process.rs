//! Runs other programs: to completion, or next to the test and killed with it.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{folder::built, sys::die_with_us};

/// A lock for tests of one test program that would count or slow down the activity of the others.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The shortest bound of a wait: a shorter one would fail when other programs keep every CPU busy, or when the hypervisor gives the machine little
/// of its own. A wait that succeeds ends at once.
const LEAST_PATIENCE: Duration = Duration::from_secs(180);

/// Calls `found` until it returns a value; panics with `what` if it does not within `time`, or within [`LEAST_PATIENCE`] if that is longer.
pub fn wait_until<T>(what: &str, time: Duration, found: impl FnMut() -> Option<T>) -> T {
    wait_at_most(what, time.max(LEAST_PATIENCE), found)
}

/// The same with exactly this bound, for a test that asserts the time.
pub fn wait_at_most<T>(what: &str, time: Duration, mut found: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + time;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < end, "{what}: not within {time:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Runs a program and returns its standard output; panics with its standard error if it fails.
pub fn output(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}: {said}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The path of the program that causes a known number of events on command.
pub fn toucher() -> PathBuf {
    built("toucher")
}

/// The beginning of a command line that runs a command under a seccomp filter, which answers these system calls (`bpf`, `perf_event_open`,
/// `landlock`, with commas between them) with an error.
pub fn filtered(errno: &str, calls: &str) -> [String; 3] {
    [built("filtered").display().to_string(), errno.to_owned(), calls.to_owned()]
}

/// Puts this thread before all others of ordinary priority: it plays a device, which does not wait for a CPU. It needs root.
pub(crate) fn run_first() {
    // Without the right it only waits longer.
    let _ = rustix::process::setpriority_process(None, -20);
}

/// Waits until a process is in a state, by its letter in `/proc/PID/stat`: `S` asleep, `T` stopped.
pub fn wait_for_state(pid: u32, state: char) {
    wait_until(&format!("state {state} of process {pid}"), LEAST_PATIENCE, || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
        stat.rsplit_once(") ").is_some_and(|(_, fields)| fields.starts_with(state)).then_some(())
    });
}

/// Waits until a program that traces the process (`strace -f -p`) holds each of its threads.
pub fn wait_until_traced(pid: u32) {
    let is_traced = |task: PathBuf| {
        // A thread that has just ended has no file.
        fs::read_to_string(task.join("status")).is_ok_and(|status| !status.contains("TracerPid:\t0\n"))
    };
    wait_until("strace to hold the host", LEAST_PATIENCE, || {
        let mut tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs").flatten();
        tasks.all(|task| is_traced(task.path())).then_some(())
    });
}

/// A program that runs next to the test. Killed on drop.
#[derive(Debug)]
pub struct Running(Child);

impl Running {
    pub fn start(command: &mut Command) -> Self {
        Self(die_with_us(command).stdin(Stdio::null()).spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    /// The same, for a program that reads what the test writes to it.
    pub fn listening(command: &mut Command) -> Self {
        Self(die_with_us(command).stdin(Stdio::piped()).spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// The exit status; none if it still runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().expect("our own child can be waited for")
    }

    /// Waits until it exits; panics if it does not within `time`.
    pub fn wait(&mut self, time: Duration) -> ExitStatus {
        wait_until("the end of a process", time, || self.ended())
    }

    pub fn terminate(&self) {
        self.tell(Signal::TERM);
    }

    /// Sends SIGINT, as Ctrl-C does.
    pub fn interrupt(&self) {
        self.tell(Signal::INT);
    }

    pub fn tell(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).expect("our own child takes signals");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it has already exited.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
