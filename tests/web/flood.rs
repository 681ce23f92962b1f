//! Hostile clients by the hundred: the right status, bounded memory, and normal scrapes meanwhile.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use ebhost_tests::{
    Ebhost, Folder, KernelMap, Prometheus, Response, Running, SCRAPED, get, key, needs, wait_until, wait_until_traced,
    workspace,
};

use crate::{curl, status};

/// The host's resident memory, in MiB.
pub(crate) fn memory(host: &Ebhost) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", host.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process has memory");
    line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).expect("a number") >> 10
}

#[test]
fn hundreds_of_slow_loris_clients_do_not_lock_out_others() {
    needs!(Root, Tool("prometheus"));
    let plugins = Folder::with_biolatency();
    let host = Ebhost::start(plugins.path());
    let prometheus = Prometheus::scraping(host.address());
    wait_until("a first scrape", Duration::from_secs(20), || prometheus.query("up").filter(|up| *up == 1.0));
    let before = memory(&host);
    let mut clients: Vec<_> = (0..700)
        .map(|_| {
            let mut client = TcpStream::connect(host.address()).expect("ebhost listens");
            client.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ").expect("ebhost reads");
            client
        })
        .collect();
    for _ in 0..5 {
        // Connections that were closed to make room for others cannot be written to.
        clients.iter_mut().for_each(|client| drop(client.write_all(b"a")));
        let started = Instant::now();
        assert_eq!(host.get("/metrics", &[]).status, 200);
        assert!(started.elapsed() < SCRAPED, "a healthy scrape took {:?}", started.elapsed());
    }
    let open = fs::read_dir(format!("/proc/{}/fd", host.pid())).expect("it runs").count();
    assert!(open < 700, "{open} descriptors: the oldest connections are closed for new ones");
    let grown = memory(&host).saturating_sub(before);
    assert!(grown < 64, "{grown} MiB for 700 clients");
    // Prometheus keeps its connection between scrapes. If it was closed, Prometheus opens another one and misses no
    // scrape.
    let seen = prometheus.query("count_over_time(up[1m])").expect("scrapes so far");
    wait_until("scrapes by Prometheus", Duration::from_secs(30), || {
        clients.iter_mut().for_each(|client| drop(client.write_all(b"a")));
        prometheus.query("count_over_time(up[1m])").filter(|count| *count >= seen + 3.0)
    });
    assert_eq!(prometheus.query("min_over_time(up[1m])"), Some(1.0));
    drop(clients);
    host.stop();
}

#[test]
fn a_header_of_a_megabyte_is_refused() {
    needs!(Root, Tool("curl"));
    let plugins = Folder::with_biolatency();
    let host = Ebhost::start(plugins.path());
    host.scrape();
    let before = memory(&host);
    let folder = Folder::new();
    let file = folder.path().join("header");
    let url = format!("http://{}/metrics", host.address());
    let sent = |size: usize| {
        fs::write(&file, format!("X-Large: {}\n", "a".repeat(size))).expect("our own folder");
        status(&["-H", &format!("@{}", file.display()), &url])
    };
    for _ in 0..10 {
        // curl itself sends at most one mebibyte.
        assert_eq!(sent(1_000 << 10), 431);
        // A few kilobytes are allowed.
        assert_eq!(sent(16 << 10), 200);
        let mut client = TcpStream::connect(host.address()).expect("ebhost listens");
        let header = format!("GET /metrics HTTP/1.1\r\nHost: x\r\nX-Large: {}\r\n\r\n", "a".repeat(2 << 20));
        client.write_all(header.as_bytes()).expect("what is thrown away is taken");
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).expect("an answer, not a reset");
        assert!(answer.starts_with(b"HTTP/1.1 431 "), "{}", String::from_utf8_lossy(&answer));
    }
    let grown = memory(&host).saturating_sub(before);
    assert!(grown < 32, "{grown} MiB");
    host.stop();
}

#[test]
fn an_endless_body_is_not_read() {
    needs!(Root, Tool("curl"));
    let plugins = Folder::with_biolatency();
    let host = Ebhost::start(plugins.path());
    host.scrape();
    let before = memory(&host);
    for (method, status) in [("POST", 405), ("GET", 200)] {
        let mut client = TcpStream::connect(host.address()).expect("ebhost listens");
        let head =
            format!("{method} /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
        client.write_all(head.as_bytes()).expect("ebhost reads");
        let mut writer = client.try_clone().expect("a socket can be shared");
        let endless = thread::spawn(move || {
            let chunk = [b"10000\r\n".as_slice(), &[b'a'; 0x10000], b"\r\n"].concat();
            let end = Instant::now() + Duration::from_secs(20);
            let mut sent = 0u64;
            while Instant::now() < end && writer.write_all(&chunk).is_ok() {
                sent += 0x10000;
            }
            sent
        });
        client.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket takes it");
        let mut start = [0; 12];
        client.read_exact(&mut start).expect("an answer, though the request has no end");
        assert_eq!(&start, format!("HTTP/1.1 {status}").as_bytes());
        let _ = client.shutdown(std::net::Shutdown::Both);
        let sent = endless.join().expect("it only writes");
        assert!(sent < 1 << 30, "{method}: {sent} bytes were taken");
    }
    // The same with curl, which reads the response although it has not sent all of the request.
    for (method, expected) in [("POST", "405"), ("GET", "200")] {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--max-time", "20", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Expect:", "-X", method]);
        curl.args(["-T", "-", &format!("http://{}/metrics", host.address())]);
        let zeros = fs::File::open("/dev/zero").expect("every machine has it");
        let output = curl.stdin(zeros).output().expect("curl starts");
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{method}: {output:?}");
        assert_eq!(host.get("/metrics", &[]).status, 200);
    }
    let grown = memory(&host).saturating_sub(before);
    assert!(grown < 32, "{grown} MiB");
    host.stop();
}

#[test]
fn sixty_four_scrapes_at_once() {
    needs!(Root, Tool("curl"));
    let plugins = Folder::with_biolatency();
    let host = Ebhost::start(plugins.path());
    let address = host.address();
    let clients: Vec<_> = (0..64)
        .map(|client| {
            let accept = ["text/plain", "application/openmetrics-text"][client % 2];
            thread::spawn(move || -> std::io::Result<Response> { get(address, "/metrics", &[("Accept", accept)]) })
        })
        .collect();
    for client in clients {
        let answer = client.join().expect("a scrape does not panic").expect("an answer");
        assert_eq!(answer.status, 200);
        assert!(answer.text().contains("ebhost_plugin_up{plugin=\"biolatency\"} 1\n"), "{}", answer.text());
    }
    assert_eq!(host.scrape().value("ebhost_scrapes_total", &[]), Some(65.0), "this one too");
    let before = memory(&host);
    let url = format!("http://{}/metrics?client=[1-64]", host.address());
    let together = ["--parallel", "--parallel-immediate", "--parallel-max", "64", "-w", "%{http_code}\n"];
    for encoding in [&[][..], &["--compressed"]] {
        let (code, answers) = curl(&[&together, encoding, &["-o", "/dev/null", &url]].concat());
        assert_eq!((code, answers), (0, "200\n".repeat(64)));
    }
    assert_eq!(host.scrape().value("ebhost_scrapes_total", &[]), Some(65.0 + 2.0 * 64.0 + 1.0));
    let grown = memory(&host).saturating_sub(before);
    assert!(grown < 64, "{grown} MiB");
    host.stop();
}

/// strace delays each of the agent's map reads by a second, so scrapes pile up; those beyond the limit are rejected at
/// once.
#[test]
fn scrapes_beyond_the_limit_are_rejected() {
    needs!(Root, Tool("strace"));
    const IN_FLIGHT: usize = 128;
    let plugins = Folder::with_biolatency();
    let host = Ebhost::start(plugins.path());
    host.scrape();
    let before = memory(&host);
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=bpf", "-e", "inject=bpf:delay_enter=1000000"]);
    let strace = Running::start(strace.args(["-p", &host.pid().to_string()]));
    wait_until_traced(host.pid());
    let address = host.address();
    let scrape = move |_| thread::spawn(move || get(address, "/metrics", &[]).expect("an answer").status);
    let clients: Vec<_> = (0..IN_FLIGHT + 32).map(scrape).collect();
    let started = Instant::now();
    assert_eq!(host.get("/-/healthy", &[]).status, 200, "what is no scrape is answered");
    assert!(started.elapsed() < SCRAPED);
    let mut answers: Vec<_> = clients.into_iter().map(|client| client.join().expect("it only asks")).collect();
    answers.sort_unstable();
    assert_eq!(answers, [vec![200; IN_FLIGHT], vec![503; 32]].concat());
    let grown = memory(&host).saturating_sub(before);
    assert!(grown < 64, "{grown} MiB");
    drop(strace);
    assert_eq!(host.get("/metrics", &[]).status, 200, "and then there is room again");
    host.stop();
}

/// Series of the package of [`many_series`].
pub(crate) const SERIES: u64 = 100_000;

/// A package whose answer is longer than what the sockets' buffers hold.
pub(crate) fn many_series() -> Folder {
    let folder = Folder::new();
    let package = folder.path().join("maps");
    fs::create_dir(&package).expect("our own folder");
    for file in ["plugin.yaml", "maps.wasm", "maps.bpf.o"] {
        fs::copy(workspace().join("bench/packages/maps").join(file), package.join(file)).expect("our own folder");
    }
    folder.amend("maps", "series: 1000", "series: 200000");
    folder.amend("maps", " hash: 1", " hash: 100000");
    folder
}

/// Fills its map and waits until everything is labelled; returns the length of an answer. `headers` are sent with each request.
pub(crate) fn fill(host: &Ebhost, headers: &[(&str, &str)]) -> usize {
    let map = KernelMap::of(host.pid(), "hash");
    let keys: Vec<u8> = (0..SERIES).flat_map(key).collect();
    map.update_all(&keys, &7u64.to_le_bytes().repeat(SERIES as usize));
    wait_until("every entry to be labelled", Duration::from_secs(60), || {
        let answer = host.get("/metrics", headers);
        answer.text().contains("ebhost_plugin_unlabelled{plugin=\"maps\"} 0\n").then_some(answer.body.len())
    })
}

/// A client that reads no response is cut off after half a minute. Others are served meanwhile.
#[test]
fn clients_that_stop_reading_are_cut_off() {
    needs!(Root);
    const CLIENTS: usize = 12;
    let folder = many_series();
    let host = Ebhost::start(folder.path());
    let whole = fill(&host, &[]);
    assert!(whole > 5 << 20, "{whole} bytes would fit into the sockets' buffers");
    let sockets = || {
        let open = fs::read_dir(format!("/proc/{}/fd", host.pid())).expect("it runs").flatten();
        let targets = open.filter_map(|entry| fs::read_link(entry.path()).ok());
        targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
    };
    let (before, free) = (memory(&host), sockets());
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| host.begin("/metrics")).collect();
    wait_until("all answers to be held up", Duration::from_secs(20), || (sockets() >= free + CLIENTS).then_some(()));
    let mut most = 0;
    let started = Instant::now();
    wait_until("the clients to be cut off", Duration::from_secs(90), || {
        assert_eq!(host.get("/-/healthy", &[]).status, 200);
        assert_eq!(host.get("/metrics", &[("Accept-Encoding", "gzip")]).status, 200);
        most = most.max(memory(&host).saturating_sub(before));
        thread::sleep(Duration::from_millis(500));
        (sockets() <= free).then_some(())
    });
    assert!(started.elapsed() > Duration::from_secs(20), "they had half a minute: {:?}", started.elapsed());
    let bound = (((CLIENTS + 3) * whole) >> 20) as u64 + 32;
    assert!(most < bound, "{most} MiB for {CLIENTS} answers of {whole} bytes");
    for client in &mut clients {
        client.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket takes it");
        let mut rest = Vec::new();
        let _ = client.read_to_end(&mut rest);
        assert!(rest.starts_with(b"HTTP/1.1 200 ") && rest.len() < whole, "{} of {whole} bytes", rest.len());
    }
    host.stop();
}
