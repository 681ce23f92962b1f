//! The package udp against the kernel's own counter and the datagrams that arrived.

use std::{net::UdpSocket, time::Duration};

use ebhost_tests::{Ebhost, Exposition, Folder, Namespace, alone, committed, needs, wait_until};

const PORT: u16 = 7006;
const SENT: i64 = 1000;

fn dropped(served: &Exposition, port: &str) -> i64 {
    let labels = [("port", port), ("reason", "buffer")];
    served.value("ebhost_udp_receive_drops_total", &labels).unwrap_or_default() as i64
}

/// Sends to a socket that nobody reads; returns how many datagrams were dropped.
fn overflow(port: u16) -> i64 {
    let receiver = UdpSocket::bind(("127.0.0.1", port)).expect("a free port");
    socket2::SockRef::from(&receiver).set_recv_buffer_size(20_000).expect("a socket");
    let sender = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let to = receiver.local_addr().expect("it is bound");
    for _ in 0..SENT {
        sender.send_to(&[0; 100], to).expect("loopback takes it");
    }
    receiver.set_nonblocking(true).expect("a socket");
    let received = std::iter::from_fn(|| receiver.recv(&mut [0; 200]).ok()).count();
    SENT - received as i64
}

#[test]
fn datagrams_that_did_not_fit_are_counted_by_port() {
    needs!(Root, Tool("ip"));
    let _alone = alone();
    let folder = Folder::new();
    folder.copy(&committed().join("udp"));
    let host = Ebhost::start(folder.path());
    let namespace = Namespace::new();
    let (first, before) = (host.scrape(), namespace.counters());
    let (server, client) = namespace.run(|| (overflow(PORT), overflow(0)));
    assert!(server > 0 && client > 0, "both buffers were too small: {server}, {client}");
    wait_until("the counts of ebhost, of the kernel and of the test to be equal", Duration::from_secs(10), || {
        let served = host.scrape();
        let counted =
            [PORT.to_string().as_str(), "ephemeral"].map(|port| dropped(&served, port) - dropped(&first, port));
        let kernel = namespace.counters().since(&before, "Udp RcvbufErrors");
        eprintln!("{counted:?} dropped of {SENT} each, {server} and {client} missing; RcvbufErrors: {kernel}");
        (counted == [server, client] && kernel == server + client).then_some(())
    });
    host.stop();
}
