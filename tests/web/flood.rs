//! Clients that mean harm, by the hundred: the right status, bounded memory, and healthy scrapes meanwhile.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use ebhost_tests::{Ebhost, Response, committed, get, needs};

/// Resident memory of the host, in MiB.
fn memory(host: &Ebhost) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", host.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process has memory");
    line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).expect("a number") >> 10
}

#[test]
fn hundreds_of_slow_loris_clients_keep_nobody_out() {
    needs!(Root);
    let host = Ebhost::start(&committed());
    host.scrape();
    let before = memory(&host);
    let mut clients: Vec<_> = (0..700)
        .map(|_| {
            let mut client = TcpStream::connect(host.address()).expect("ebhost listens");
            client.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ").expect("ebhost reads");
            client
        })
        .collect();
    for _ in 0..5 {
        // Those that were closed to make room cannot write any more.
        clients.iter_mut().for_each(|client| drop(client.write_all(b"a")));
        let started = Instant::now();
        assert_eq!(host.get("/metrics", &[]).status, 200);
        assert!(started.elapsed() < Duration::from_secs(5), "a healthy scrape took {:?}", started.elapsed());
    }
    let open = fs::read_dir(format!("/proc/{}/fd", host.pid())).expect("it runs").count();
    assert!(open < 700, "{open} descriptors: the oldest connections are closed for new ones");
    let grown = memory(&host).saturating_sub(before);
    assert!(grown < 64, "{grown} MiB for 700 clients");
    drop(clients);
    host.stop();
}

#[test]
fn a_header_of_a_megabyte_is_refused() {
    needs!(Root);
    let host = Ebhost::start(&committed());
    let mut client = TcpStream::connect(host.address()).expect("ebhost listens");
    let header = format!("GET /metrics HTTP/1.1\r\nHost: x\r\nX-Large: {}\r\n\r\n", "a".repeat(1 << 20));
    // The host stops reading before the end.
    let _ = client.write_all(header.as_bytes());
    let mut answer = Vec::new();
    let _ = client.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    // A few kilobytes are legal.
    assert_eq!(host.get("/metrics", &[("X-Large", &"a".repeat(16 << 10))]).status, 200);
    host.stop();
}

#[test]
fn an_endless_body_is_not_read() {
    needs!(Root);
    let host = Ebhost::start(&committed());
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
    let grown = memory(&host).saturating_sub(before);
    assert!(grown < 32, "{grown} MiB");
    host.stop();
}

#[test]
fn sixty_four_scrapes_at_once() {
    needs!(Root);
    let host = Ebhost::start(&committed());
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
    host.stop();
}
