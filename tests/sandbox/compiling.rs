//! The process that compiles a component, killed from outside, or left alone by an ebhost that was killed.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use ebhost_tests::{Folder, Running, binary, needs, wait_at_most, wait_until};
use rustix::process::{Pid, Signal, kill_process};

use crate::loading::{around, time_bomb_module};

const PATIENCE: Duration = Duration::from_secs(30);

/// A host that compiles a component for as long as it may, with its log in a file of the folder.
fn compiling(folder: &Folder) -> Running {
    let package = folder.add("slow");
    fs::write(package.join("biolatency.wasm"), around(&time_bomb_module())).expect("our own folder");
    let log = fs::File::create(folder.path().join("log")).expect("our own folder");
    let mut command = Command::new(binary());
    command.args(["--web.listen-address", "127.0.0.1:0", "--plugins"]).arg(folder.path());
    command.arg("--cache.dir").arg(folder.path().join("cache"));
    command.stdout(Stdio::null()).stderr(log);
    Running::start(&mut command)
}

/// The parent of a process and its name.
fn parent_and_name(pid: u32) -> Option<(u32, String)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let is_running = fields.next()? != "Z";
    Some((fields.next()?.parse().ok().filter(|_| is_running)?, name.to_owned()))
}

/// The process below the compiler's process of this host: it compiles a component, or the reference by which the machine's speed is measured.
fn compiler_of(host: u32) -> Option<u32> {
    let is_one = |pid: &u32| {
        let (parent, _) = parent_and_name(*pid)?;
        let (grandparent, name) = parent_and_name(parent)?;
        (grandparent == host && name == "ebhost-compiler").then_some(*pid)
    };
    let pids = fs::read_dir("/proc").expect("it is mounted").flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find_map(|pid| is_one(&pid))
}

fn kill(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process");
    // It may have ended by itself.
    let _ = kill_process(pid, Signal::KILL);
}

/// The kernel kills what takes most memory when there is none left; that was called too much CPU time.
#[test]
fn a_compiler_that_was_killed_is_not_called_slow() {
    needs!(Root);
    let folder = Folder::new();
    let host = compiling(&folder);
    let said = wait_until("the reason", PATIENCE, || {
        compiler_of(host.pid()).into_iter().for_each(kill);
        let text = fs::read_to_string(folder.path().join("log")).expect("our own file");
        text.contains("package left out").then_some(text)
    });
    assert!(said.contains("it was killed by SIGKILL, as the kernel does when"), "{said}");
    assert!(!said.contains("CPU time"), "{said}");
}

/// It went on for its whole limit of CPU time.
#[test]
fn a_compiler_ends_with_the_host() {
    needs!(Root);
    let folder = Folder::new();
    let host = compiling(&folder);
    let compiler = wait_until("a component to be compiled", PATIENCE, || compiler_of(host.pid()));
    kill(host.pid());
    wait_at_most("the compiler's end", Duration::from_secs(10), || {
        let is_gone = !Path::new(&format!("/proc/{compiler}")).exists() || parent_and_name(compiler).is_none();
        is_gone.then_some(())
    });
}
