//! Processes killed for lack of memory, against the kernel's count of the cgroup whose limit they hit.

use std::process::{Command, Stdio};

use ebhost_tests::{Cgroup, Ebhost, Folder, MemoryLimit, alone, committed, needs};

/// Runs processes that take more memory than the limit allows.
fn run_out_of_memory(limit: &MemoryLimit<'_>, processes: u32) {
    for _ in 0..processes {
        let mut command: Command = limit.starter();
        let script = "my $memory = 'x' x (200 << 20); print length $memory";
        let status = command.args(["perl", "-e", script]).stdout(Stdio::null()).status();
        assert!(!status.expect("a shell").success(), "it has more memory than its limit");
    }
}

/// A counter that appears with its first kill shows no increase, and no alert fires.
#[test]
fn the_first_kill_is_an_increase() {
    needs!(Root, Cgroup2, MemoryLimit, Tool("perl"));
    let _alone = alone();
    let folder = Folder::new();
    folder.copy(&committed().join("oom"));
    let host = Ebhost::start(folder.path());
    let kills = || host.scrape().value("ebhost_oom_kills_total", &[]).expect("it is there from the start");
    let before = kills();
    let cgroup = Cgroup::new(&format!("ebhost-oom-{}", std::process::id()));
    run_out_of_memory(&MemoryLimit::below(&cgroup, 32 << 20), 1);
    assert_eq!(kills() - before, 1.0);
    host.stop();
}

#[test]
fn a_process_that_is_killed_at_its_cgroups_limit_is_counted_for_its_cgroup() {
    needs!(Root, Cgroup2, MemoryLimit, Tool("perl"));
    let _alone = alone();
    let folder = Folder::new();
    folder.copy(&committed().join("oom"));
    folder.set("plugins: { oom: { cg: cgroup } }\n");
    let host = Ebhost::start(folder.path());
    let cgroup = Cgroup::new(&format!("ebhost-oom-{}", std::process::id()));
    let limit = MemoryLimit::below(&cgroup, 32 << 20);
    run_out_of_memory(&limit, 3);
    let served = host.scrape();
    let killed = served.value("ebhost_oom_kills_total", &[("cgroup", limit.path())]);
    assert_eq!(killed, Some(limit.killed() as f64));
    assert_eq!(killed, Some(3.0));
    host.stop();
}
