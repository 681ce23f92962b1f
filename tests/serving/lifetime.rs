//! SIGTERM: scrapes in flight are answered, and nothing of the host remains.

use std::{
    collections::BTreeSet,
    fs, io,
    net::{SocketAddr, TcpStream},
    path::Path,
    thread,
    time::Duration,
};

use ebhost_tests::{Ebhost, Exposition, Folder, Format, Response, Start, committed, needs, program_exists, wait_until};

/// The host's responses leave a second late (strace delays the calls that send them), so one is in flight when the
/// signal comes. It is sent completely; then nothing remains, and a second host can start at the same address at once.
#[test]
fn sigterm_lets_a_scrape_in_flight_finish() {
    needs!(Root, Tool("strace"));
    let late = "inject=sendto,sendmsg,writev:delay_enter=1000000";
    let strace = [
        "strace",
        "--daemonize",
        "--follow-forks",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=sendto,sendmsg,writev",
        "-e",
        late,
    ];
    let host = Start::by(&strace, &committed()).listening();
    let programs = programs(host.pid());
    assert!(programs.len() >= 3, "issue, completion and requeue: {programs:?}");
    let mut scrape = host.begin("/metrics");
    thread::sleep(Duration::from_millis(400));
    scrape.set_nonblocking(true).expect("a socket takes it");
    let early = scrape.peek(&mut [0]).map_err(|error| error.kind());
    assert_eq!(early, Err(io::ErrorKind::WouldBlock), "the answer is not late, so this test shows nothing");
    scrape.set_nonblocking(false).expect("a socket takes it");

    host.terminate();
    let address = host.address();
    wait_until("the port to be closed", Duration::from_secs(5), || TcpStream::connect(address).is_err().then_some(()));
    let answer = Response::read(&mut scrape).expect("an answer that is whole");
    assert_eq!(answer.status, 200);
    let served = Exposition::parse(answer.text(), Format::Text).expect("text 0.0.4, whole");
    assert!(served.families.contains_key("ebhost_bio_latency_lost_total"), "{}", answer.text());
    let ended = host.wait();
    assert!(ended.status.success(), "{}; the log:\n{}", ended.status, ended.log.text());
    starts_again(&committed(), address);
    gone(&programs);
}

/// A second host finds the port free.
fn starts_again(plugins: &Path, address: SocketAddr) {
    let again = Start::with(plugins).args(&["--web.listen-address", &address.to_string()]).listening();
    let ready = ebhost_tests::get(address, "/-/ready", &[]).expect("it listens there too");
    assert_eq!(ready.status, 200);
    again.stop();
}

/// The kernel frees programs a moment after their last close.
fn gone(programs: &BTreeSet<u32>) {
    let gone = || (!programs.iter().any(|id| program_exists(*id))).then_some(());
    wait_until("the programs to be gone", Duration::from_secs(5), gone);
}

/// A client that never completes its request does not keep the host from exiting.
#[test]
fn sigterm_does_not_wait_for_an_incomplete_request() {
    needs!(Root);
    let host = Ebhost::start(&committed());
    let mut half = TcpStream::connect(host.address()).expect("ebhost listens");
    io::Write::write_all(&mut half, b"GET /metrics HTTP/1.1\r\nHost: x\r\n").expect("ebhost reads");
    thread::sleep(Duration::from_millis(200));
    host.stop();
}

#[test]
fn after_the_end_programs_are_gone_and_the_port_is_free() {
    needs!(Root);
    let folder = Folder::with_biolatency();
    let host = Ebhost::start(folder.path());
    let (address, programs) = (host.address(), programs(host.pid()));
    assert!(programs.len() >= 3, "issue, completion and requeue: {programs:?}");
    assert!(programs.iter().all(|id| program_exists(*id)), "{programs:?}");
    let log = host.stop();
    assert!(log.lines().iter().all(|line| line.level == "INFO"), "{}", log.text());
    gone(&programs);
    starts_again(folder.path(), address);
}

/// The ids of the BPF programs that a process holds, directly or through links.
fn programs(pid: u32) -> BTreeSet<u32> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fdinfo")).expect("it runs");
    let texts = descriptors.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok());
    let id = |text: String| text.lines().find_map(|line| line.strip_prefix("prog_id:")?.trim().parse().ok());
    texts.filter_map(id).collect()
}
