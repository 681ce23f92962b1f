//! The package drops against the kernel's own counters, and datagrams that are dropped by a known rule.

use std::{net::UdpSocket, time::Duration};

use ebhost_tests::{Ebhost, Exposition, Folder, Namespace, alone, committed, needs, wait_until};

const PORT: u16 = 7007;
const NOBODY: u16 = 7008;
const UNWANTED: i64 = 40;
const FILTERED: i64 = 30;
const TOO_MANY: i64 = 500;

fn dropped(served: &Exposition, reason: &str) -> i64 {
    served.value("ebhost_packets_dropped_total", &[("reason", reason)]).unwrap_or_default() as i64
}

/// Sends to a port without a socket, to a socket whose filter takes nothing, and to one that nobody reads.
fn send() {
    let sender = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let receiver = UdpSocket::bind(("127.0.0.1", PORT)).expect("a free port");
    for _ in 0..UNWANTED {
        sender.send_to(&[0], ("127.0.0.1", NOBODY)).expect("loopback takes it");
    }
    let receiver = socket2::SockRef::from(&receiver);
    // BPF_RET: 0 bytes of each packet.
    receiver.attach_filter(&[socket2::SockFilter::new(6, 0, 0, 0)]).expect("a filter");
    for _ in 0..FILTERED {
        sender.send_to(&[0], ("127.0.0.1", PORT)).expect("loopback takes it");
    }
    receiver.detach_filter().expect("it has one");
    receiver.set_recv_buffer_size(4096).expect("a socket");
    for _ in 0..TOO_MANY {
        sender.send_to(&[0; 100], ("127.0.0.1", PORT)).expect("loopback takes it");
    }
}

#[test]
fn packets_are_counted_by_the_reason_for_which_the_kernel_dropped_them() {
    needs!(Root, Tool("ip"));
    let _alone = alone();
    let folder = Folder::new();
    folder.copy(&committed().join("drops"));
    let host = Ebhost::start(folder.path());
    let namespace = Namespace::new();
    let (first, before) = (host.scrape(), namespace.counters());
    namespace.run(send);
    wait_until("the counts of ebhost and of the kernel to be equal", Duration::from_secs(10), || {
        let served = host.scrape();
        let kernel = namespace.counters();
        let counted = ["NO_SOCKET", "SOCKET_FILTER", "SOCKET_RCVBUFF"];
        let [nobody, filtered, full] = counted.map(|reason| dropped(&served, reason) - dropped(&first, reason));
        let [no_ports, buffer_errors] =
            ["NoPorts", "RcvbufErrors"].map(|name| kernel.since(&before, &format!("Udp {name}")));
        eprintln!(
            "NO_SOCKET {nobody}, NoPorts {no_ports}; SOCKET_FILTER {filtered}; SOCKET_RCVBUFF {full}, RcvbufErrors {buffer_errors}"
        );
        let is_equal = nobody >= UNWANTED && nobody == no_ports && full == buffer_errors && full > 0;
        (is_equal && filtered >= FILTERED).then_some(())
    });
    host.stop();
}
