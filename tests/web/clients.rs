//! Hostile clients of every kind at once, beside a scraper that keeps its connection and one that connects anew.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use ebhost_tests::{Ebhost, Folder, Kept, SILENT, Start, get, needs, wait_until, wait_until_traced};
use socket2::{Domain, Socket, Type};

use crate::flood::{SERIES, fill, many_series, memory};

/// The bcrypt hash of `secret` at the usual cost.
const HASH: &str = "$2b$10$abcdefghijklmnopqrstuuqflPDzB6gcMhKa1rZqKiun2YGL5sa2u";
/// `ada:secret` for an `Authorization` header.
const ADA: &str = "Basic YWRhOnNlY3JldA==";

/// A host with a user and 100 000 series.
fn host() -> (Ebhost, Folder, Folder) {
    let (packages, config) = (many_series(), Folder::new());
    let file = config.path().join("web.yml");
    fs::write(&file, format!("basic_auth_users: {{ ada: {HASH} }}\n")).expect("our own folder");
    let host = Start::with(packages.path()).args(&["--web.config.file", &file.display().to_string()]).listening();
    (host, packages, config)
}

/// Threads that go on until they are told to stop.
struct Attack {
    stop: Arc<AtomicBool>,
    rounds: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Attack {
    fn new() -> Self {
        Self { stop: Arc::default(), rounds: Arc::default(), threads: Vec::new() }
    }

    fn repeat(&mut self, round: impl Fn() + Send + 'static) {
        let (stop, rounds) = (self.stop.clone(), self.rounds.clone());
        self.threads.push(thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                round();
                rounds.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }

    fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().expect("an attacker only sends"));
        self.rounds.load(Ordering::Relaxed)
    }
}

fn request(headers: &str) -> String {
    format!("GET /metrics HTTP/1.1\r\nHost: x\r\n{headers}\r\n")
}

/// A connection that takes little, on which a request was sent.
fn send(address: SocketAddr, request: &str) -> Option<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).ok()?;
    socket.set_recv_buffer_size(4 << 10).ok()?;
    socket.connect_timeout(&address.into(), Duration::from_secs(5)).ok()?;
    let mut stream = TcpStream::from(socket);
    stream.write_all(request.as_bytes()).ok()?;
    Some(stream)
}

/// 512 wrong passwords at once, another one on each connection.
fn guess_passwords(address: SocketAddr) {
    let guess = |number: usize| {
        // In base64: `eve:99` and three bytes that four digits stand for.
        send(address, &request(&format!("Authorization: Basic ZXZlOjk5{number:04}\r\n")))
    };
    let connections: Vec<_> = (0..512).map(guess).collect();
    for mut connection in connections.into_iter().flatten() {
        let _ = connection.set_read_timeout(Some(Duration::from_secs(1)));
        let _ = connection.read(&mut [0; 512]);
    }
}

/// 128 clients that read nothing of their answers, for two seconds.
fn stall(address: SocketAddr) {
    let request = request(&format!("Authorization: {ADA}\r\n"));
    let connections: Vec<_> = (0..128).map(|_| send(address, &request)).collect();
    thread::sleep(Duration::from_secs(2));
    drop(connections);
}

/// A client that gives no time, and one that goes away at once.
fn hurry(address: SocketAddr) {
    let tiny = request(&format!("Authorization: {ADA}\r\nX-Prometheus-Scrape-Timeout-Seconds: 0.0000001\r\n"));
    if let Some(mut connection) = send(address, &tiny) {
        let _ = connection.set_read_timeout(Some(Duration::from_secs(1)));
        let _ = connection.read(&mut [0; 512]);
    }
    for _ in 0..10 {
        drop(send(address, &request(&format!("Authorization: {ADA}\r\n"))));
    }
}

/// The answer has every series and its end.
fn assert_whole(text: &str) {
    let series = text.matches("\nebhost_hash_calls_total{").count() as u64;
    assert_eq!(series, SERIES, "{} bytes", text.len());
    assert!(text.contains("\nprocess_start_time_seconds "), "the last family");
}

/// A minute of it: `EBHOST_CLIENTS_SECONDS=60`, which then also asks for answers within two seconds.
#[test]
fn hostile_clients_of_every_kind_keep_no_scraper_out() {
    needs!(Root, Tool("curl"));
    let seconds = std::env::var("EBHOST_CLIENTS_SECONDS").ok().and_then(|text| text.parse().ok());
    // The clients of the short one and other tests may take the CPUs from the host: then only the answers count, not when they come.
    let patience = seconds.map_or(SILENT, |_| Duration::from_secs(2));
    let (host, _packages, _config) = host();
    let address = host.address();
    let authorization = [("Authorization", ADA)];
    fill(&host, &authorization);
    let mut kept = Kept::connect(address).expect("ebhost listens");
    for _ in 0..5 {
        assert_whole(kept.get("/metrics", &authorization).expect("an answer").text());
    }
    let before = memory(&host);

    let mut attack = Attack::new();
    attack.repeat(move || guess_passwords(address));
    attack.repeat(move || stall(address));
    attack.repeat(move || hurry(address));
    attack.repeat(move || hurry(address));
    let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(8));
    let (mut most_memory, mut slowest, mut scrapes) = (0, [Duration::ZERO; 2], 0);
    while Instant::now() < end {
        let started = Instant::now();
        let answer = kept.get("/metrics", &authorization).expect("an answer on the kept connection");
        slowest[0] = slowest[0].max(started.elapsed());
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_whole(answer.text());

        let started = Instant::now();
        let mut curl = Command::new("curl");
        // From an address of its own, as scrapers have: of many connections from one address the oldest without a request makes way for the
        // next, and the machine may take the CPU from curl between its connection and its request.
        curl.args(["-sS", "-u", "ada:secret", "--max-time", "60", "--interface", "127.0.0.2"]);
        curl.arg(format!("http://{address}/metrics"));
        let fresh = curl.output().expect("curl starts");
        slowest[1] = slowest[1].max(started.elapsed());
        assert!(fresh.status.success(), "{}", String::from_utf8_lossy(&fresh.stderr));
        assert_whole(&String::from_utf8_lossy(&fresh.stdout));
        assert!(slowest.iter().all(|took| *took < patience), "{slowest:?} on the kept connection and on a fresh one");

        most_memory = most_memory.max(memory(&host).saturating_sub(before));
        scrapes += 2;
        thread::sleep(Duration::from_millis(100));
    }
    let rounds = attack.end();
    assert!(most_memory < 64, "{most_memory} MiB more");
    // However slow the machine is, one wrong password is looked at when the queue is empty.
    wait_until("a wrong password to be checked", Duration::from_secs(180), || {
        let _ = get(address, "/metrics", &[("Authorization", "Basic ZXZlOmd1ZXNz")]);
        let served = host.get("/metrics", &authorization);
        value(served.text(), "ebhost_http_password_checks_total{result=\"wrong\"}").filter(|checks| *checks >= 1.0)
    });
    // The metrics show what happened, and that it ends.
    let served = wait_until("what was unsent to be given up", Duration::from_secs(40), || {
        let served = host.get("/metrics", &authorization);
        let unsent = value(served.text(), "ebhost_http_unsent_bytes")?;
        (unsent < 8e6).then_some(served)
    });
    let shown = |name: &str| value(served.text(), name).unwrap_or_else(|| panic!("{name}"));
    assert!(shown("ebhost_http_password_checks_total{result=\"refused\"}") >= 1.0);
    assert!(shown("ebhost_http_scrapes_abandoned_total") >= 1.0);
    let _ = writeln!(
        std::io::stderr(),
        "{scrapes} scrapes during {rounds} rounds of attacks: {slowest:?} at most, {most_memory} MiB more"
    );
    host.stop();
}

/// The value of a sample, by its text before the value.
fn value(text: &str, sample: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ')?.parse().ok())
}

/// A header of `0.0000001` from one client emptied everybody's answers.
#[test]
fn a_tiny_timeout_header_empties_no_answer() {
    needs!(Root);
    let packages = many_series();
    let host = Ebhost::start(packages.path());
    fill(&host, &[]);
    let address = host.address();
    let mut attack = Attack::new();
    for _ in 0..4 {
        let tiny = ("X-Prometheus-Scrape-Timeout-Seconds", "0.0000001");
        attack.repeat(move || drop(get(address, "/metrics", &[tiny])));
    }
    for _ in 0..10 {
        assert_whole(host.get("/metrics", &[("X-Prometheus-Scrape-Timeout-Seconds", "10")]).text());
    }
    assert!(attack.end() > 0);
    host.stop();
}

/// A client that waits for a second had its answer when a slow reading for somebody else was over.
#[test]
fn a_client_is_answered_by_its_own_deadline() {
    needs!(Root, Tool("strace"));
    let packages = many_series();
    let host = Ebhost::start(packages.path());
    fill(&host, &[]);
    let mut strace = Command::new("strace");
    // A reading takes 25 calls and more.
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=bpf", "-e", "inject=bpf:delay_enter=200000"]);
    let strace = ebhost_tests::Running::start(strace.args(["-p", &host.pid().to_string()]));
    wait_until_traced(host.pid());
    let address = host.address();
    let patient = thread::spawn(move || get(address, "/metrics", &[("X-Prometheus-Scrape-Timeout-Seconds", "30")]));
    thread::sleep(Duration::from_millis(300));
    let started = Instant::now();
    let hurried = host.get("/metrics", &[("X-Prometheus-Scrape-Timeout-Seconds", "1")]);
    let took = started.elapsed();
    assert_eq!((hurried.status, took < Duration::from_secs(3)), (503, true), "{took:?}: {}", hurried.text());
    assert!(hurried.text().contains("could not be read within the time"), "{}", hurried.text());
    let patient = patient.join().expect("it only asks").expect("an answer");
    assert_whole(patient.text());
    drop(strace);
    host.stop();
}
