//! A target whose counters grow: what a package recorded elsewhere, so many times as it was scraped.

use std::{
    fmt::Write as _,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    thread,
    time::Duration,
};

/// Serves `text`, an exposition of text 0.0.4, with every number multiplied by the number of the scrape. It ends with the tests.
pub(crate) fn serve(text: String) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for (scrape, stream) in (1u32..).zip(listener.incoming()) {
            let Ok(mut stream) = stream else { return };
            let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
            let _ = stream.read(&mut [0; 4096]);
            let body = grown(&text, scrape);
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\n";
            let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
        }
    });
    address
}

fn grown(text: &str, times: u32) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let number = line.rsplit_once(' ').filter(|_| !line.starts_with('#'));
        let number = number.and_then(|(series, value)| Some((series, value.parse::<f64>().ok()?)));
        let _ = match number {
            Some((series, value)) => writeln!(out, "{series} {}", value * f64::from(times)),
            None => writeln!(out, "{line}"),
        };
    }
    out
}
