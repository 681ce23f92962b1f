//! Limits on open files: a low soft limit is raised, and a hard one that is too low is named.

use std::{fs, net::TcpStream};

use ebhost_tests::{Folder, Start, needs};

fn limited(soft: u64, hard: u64) -> String {
    format!("--nofile={soft}:{hard}")
}

/// systemd's soft limit is 1024, which connections and perf events exceed on a large machine. 64 files are exceeded on any.
#[test]
fn a_host_with_a_soft_limit_of_64_open_files_serves_a_hundred_clients() {
    needs!(Root, Tool("prlimit"));
    let folder = Folder::with_biolatency();
    let host = Start::by(&["prlimit", &limited(64, 4096)], folder.path()).args(&["--strict"]).listening();
    let clients: Vec<TcpStream> = (0..100).map(|_| host.begin("/-/healthy")).collect();
    assert!(host.scrape().value("ebhost_plugin_up", &[("plugin", "biolatency")]) == Some(1.0));
    let open = fs::read_dir(format!("/proc/{}/fd", host.pid())).expect("it runs").count();
    assert!(open > 64, "{open} files are open");
    drop(clients);
    let log = host.stop();
    assert!(!log.text().contains("Too many open files"), "{}", log.text());
}

#[test]
fn a_limit_of_eight_open_files_is_an_error_that_says_what_to_raise() {
    needs!(Root, Tool("prlimit"));
    let folder = Folder::with_biolatency();
    // With fewer than 6 the libraries that it is linked with cannot be opened.
    for limit in [6, 7, 8, 13, 31] {
        let ended = Start::by(&["prlimit", &limited(limit, limit)], folder.path()).ended();
        let log = ended.log.text();
        assert_eq!(ended.status.code(), Some(1), "{limit}: {log}");
        assert!(log.contains(&format!("found a limit of {limit} open files, expected at least 32")), "{limit}: {log}");
        assert!(!log.contains("panicked"), "{limit}: {log}");
    }
}

/// The kernel answers that no file can be opened after the verifier was content: that is not the verifier's refusal.
#[test]
fn a_program_that_finds_no_free_file_is_not_said_to_be_refused_by_the_verifier() {
    needs!(Root, Tool("prlimit"));
    let folder = Folder::with_biolatency();
    for limit in 32..36 {
        let ended = Start::by(&["prlimit", &limited(limit, limit)], folder.path()).args(&["--strict"]).ended();
        let log = ended.log.text();
        assert!(
            log.contains("too many open files: raise the limit (`ulimit -n`, or LimitNOFILE= in the unit)"),
            "{log}"
        );
        assert!(!log.contains("verifier") && !log.contains("panicked"), "{limit}: {log}");
    }
}
