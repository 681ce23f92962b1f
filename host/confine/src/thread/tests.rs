use std::{
    env, fs,
    process::Command,
    sync::mpsc,
    time::{Duration, Instant},
};

use super::*;
use crate::{LOADING, NONE};

fn status(name: &str) -> Option<ThreadStatus> {
    threads().into_iter().find(|thread| thread.name == name)
}

fn effective() -> u64 {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    u64::from_str_radix(set.trim(), 16).unwrap()
}

#[test]
fn a_thread_has_the_capabilities_that_it_was_given_and_its_parent_had() {
    let had = effective();
    for set in [NONE, LOADING] {
        let (tell, told) = mpsc::channel();
        spawn("sets", set, EndProcess, move || tell.send(effective()).unwrap()).unwrap().join();
        assert_eq!(told.recv().unwrap(), had & set.bits(), "{set:?}");
    }
    assert_eq!(effective(), had, "the caller keeps its own");
}

#[test]
fn a_thread_that_panicked_is_restarted_and_counted() {
    let mut runs = 0;
    let (tell, told) = mpsc::channel();
    let thread = spawn("restarted", NONE, Restart, move || {
        runs += 1;
        assert!(runs > 1, "the first run fails");
        tell.send(()).unwrap();
    });
    let start = Instant::now();
    while status("restarted").is_none_or(|status| status.failed == 0) {
        assert!(start.elapsed() < Duration::from_secs(60), "{:?}", threads());
        std::thread::sleep(Duration::from_millis(1));
    }
    told.recv_timeout(Duration::from_secs(60)).expect("it runs again");
    thread.unwrap().join();
    let status = status("restarted").expect("its panics stay counted");
    assert_eq!((status.running, status.failed, status.panics), (0, 0, 1));
    assert_eq!(status.last_panic.as_deref(), Some("the first run fails"));
}

#[test]
fn joining_does_not_wait_for_a_restart() {
    let runs = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = runs.clone();
    let thread = spawn("joined", NONE, Restart, move || {
        counted.fetch_add(1, Ordering::Relaxed);
        panic!("at once");
    });
    while runs.load(Ordering::Relaxed) == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    thread.unwrap().join();
    assert_eq!(runs.load(Ordering::Relaxed), 1);
}

#[test]
fn threads_are_listed_while_they_run() {
    let (end, ended) = mpsc::channel::<()>();
    let thread = spawn("listed", NONE, Restart, move || _ = ended.recv()).unwrap();
    assert_eq!(status("listed").map(|status| (status.running, status.panics)), Some((1, 0)));
    drop(end);
    thread.join();
    assert_eq!(status("listed"), None);
}

/// Threads that come and go had series that came and went.
#[test]
fn a_thread_that_does_not_last_is_listed_once_it_panicked() {
    let (end, ended) = mpsc::channel::<()>();
    let thread = spawn("passing", NONE, Abandon, move || _ = ended.recv()).unwrap();
    assert_eq!(status("passing"), None);
    drop(end);
    thread.join();
    spawn("passing", NONE, Abandon, || panic!("it fails")).unwrap().join();
    let status = status("passing").expect("its panics stay counted");
    assert_eq!((status.running, status.failed, status.panics), (0, 0, 1));
}

/// Runs itself in a process of its own, since that process ends.
#[test]
fn a_panic_of_a_thread_that_is_needed_ends_the_process() {
    const CHILD: &str = "EBHOST_TEST_ENDS";
    if env::var_os(CHILD).is_some() {
        let _thread = spawn("needed", NONE, EndProcess, || panic!("no way on")).unwrap();
        std::thread::sleep(Duration::from_secs(60));
        return;
    }
    let name = "thread::tests::a_panic_of_a_thread_that_is_needed_ends_the_process";
    let status = Command::new(env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    assert_eq!(status.status.code(), Some(1), "{status:?}");
    assert!(String::from_utf8_lossy(&status.stderr).contains("no way on"), "{status:?}");
}
