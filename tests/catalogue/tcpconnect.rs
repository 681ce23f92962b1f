//! The package tcpconnect against the kernel's own counters, on a wire with a known delay.

use std::{
    fs,
    io::ErrorKind,
    net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use ebhost_tests::{Ebhost, Exposition, Folder, Namespace, Wire, alone, committed, needs, wait_until};
use socket2::{Domain, Socket, Type};

const PORT: u16 = 7002;
const NOBODY: u16 = 7003;
const LOST: u16 = 7004;
const IPV4: i64 = 40;
const IPV6: i64 = 30;
const REFUSED: i64 = 15;
const GIVEN_UP: i64 = 5;
/// One way. A handshake takes two, or a little more: the bucket from 8.192 to 16.384 ms.
const DELAY: Duration = Duration::from_millis(5);

fn opened(served: &Exposition, direction: &str) -> i64 {
    let value = |family| {
        let labels = [("direction", direction), ("family", family)];
        served.value("ebhost_tcp_connections_opened_total", &labels).unwrap_or_default() as i64
    };
    value("ipv4") + value("ipv6")
}

fn failed(served: &Exposition, reason: &str) -> i64 {
    let is_counted = |sample: &&ebhost_tests::Sample| {
        sample.name == "ebhost_tcp_connections_failed_total" && sample.labels["reason"] == reason
    };
    served.samples().filter(is_counted).map(|sample| sample.value as i64).sum()
}

fn connect() {
    let wire = Wire::new(DELAY);
    // A socket for both families, as most servers have.
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, PORT)).expect("a free port");
    thread::spawn(move || listener.incoming().for_each(drop));
    for (address, count) in [(Wire::PEER, IPV4), (Wire::PEER_V6, IPV6)] {
        for _ in 0..count {
            TcpStream::connect((address, PORT)).expect("the peer accepts");
        }
    }
    for _ in 0..REFUSED {
        let refused = TcpStream::connect((Wire::PEER, NOBODY)).expect_err("nobody listens");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    }
    wire.lose(|segment| segment.to_port == LOST);
    for _ in 0..GIVEN_UP {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_nonblocking(true).expect("a socket");
        socket.connect(&SocketAddr::new(Wire::PEER, LOST).into()).expect_err("it takes time");
    }
    fs::write("/proc/sys/net/ipv4/tcp_syn_retries", "1").expect("a setting of this namespace");
    let timed_out = TcpStream::connect((Wire::PEER, LOST)).expect_err("nothing arrives");
    assert_eq!(timed_out.kind(), ErrorKind::TimedOut);
}

#[test]
fn connections_are_counted_as_the_kernel_counts_them_and_take_as_long_as_the_wire() {
    needs!(Root, Tool("ip"), File("/dev/net/tun"));
    let _alone = alone();
    let folder = Folder::new();
    folder.copy(&committed().join("tcpconnect"));
    let host = Ebhost::start(folder.path());
    let namespace = Namespace::new();
    let (first, before) = (host.scrape(), namespace.counters());
    namespace.run(connect);
    let served = wait_until("the counts of ebhost and of the kernel to be equal", Duration::from_secs(10), || {
        let served = host.scrape();
        let kernel = namespace.counters();
        let counted = ["active", "passive"].map(|direction| opened(&served, direction) - opened(&first, direction));
        let failures = ["refused", "timed_out", "unreachable", "other"];
        let failures: i64 = failures.iter().map(|reason| failed(&served, reason) - failed(&first, reason)).sum();
        let kernels = ["Tcp ActiveOpens", "Tcp PassiveOpens", "Tcp AttemptFails"];
        let kernels = kernels.map(|name| kernel.since(&before, name));
        eprintln!("opened {counted:?}, failed {failures}; ActiveOpens, PassiveOpens, AttemptFails: {kernels:?}");
        (kernels == [counted[0], counted[1], failures]).then_some(served)
    });
    for (reason, expected) in [("refused", REFUSED), ("closed", GIVEN_UP), ("timed_out", 1)] {
        let counted = failed(&served, reason) - failed(&first, reason);
        assert!(counted >= expected, "{counted} {reason}, expected {expected}");
    }
    for direction in ["active", "passive"] {
        let of_family = |family| {
            let labels = [("direction", direction), ("family", family)];
            served.histogram("ebhost_tcp_connect_seconds", &labels).expect("connections of this family")
        };
        let (ipv4, ipv6) = (of_family("ipv4"), of_family("ipv6"));
        eprintln!("{direction}: {} of IPv4, {} of IPv6, mean {} s", ipv4.count, ipv6.count, ipv6.mean());
        // The scrapes are connections of IPv4.
        assert!(ipv4.count - ipv4.at_most(0.008192) >= IPV4 as u64, "{direction} {ipv4:?}");
        assert_eq!((ipv6.count, ipv6.at_most(0.008192)), (IPV6 as u64, 0), "{direction} {ipv6:?}");
        assert!(ipv6.mean() < 0.016384, "{direction} {ipv6:?}");
    }
    host.stop();
}

fn opened_at_once() {
    let wire = Wire::new(DELAY);
    wire.lose(|segment| segment.to_port == LOST);
    let sockets: Vec<_> = (0..24)
        .map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
            socket.set_nonblocking(true).expect("a socket");
            socket.connect(&SocketAddr::new(Wire::PEER, LOST).into()).expect_err("it takes time");
            socket
        })
        .collect();
    drop(sockets);
}

#[test]
fn connections_that_are_opened_when_there_is_no_room_for_their_times_are_reported_as_lost() {
    needs!(Root, Tool("ip"), File("/dev/net/tun"));
    let _alone = alone();
    let folder = Folder::new();
    folder.copy(&committed().join("tcpconnect"));
    folder.amend("tcpconnect", "    connect: 8 per cpu\n", "    begun: 1\n    begun_more: 4\n    connect: 8 per cpu\n");
    let host = Ebhost::start(folder.path());
    let first = host.scrape();
    assert_eq!(first.value("ebhost_tcp_connect_starts_lost_total", &[]), Some(0.0));
    Namespace::new().run(opened_at_once);
    let served = host.scrape();
    let lost = served.value("ebhost_tcp_connect_starts_lost_total", &[]).expect("the family");
    assert!(opened(&served, "active") - opened(&first, "active") >= 24);
    assert!(lost >= 16.0, "{lost} lost of 24, of which 4 have room, and few more in a row of 2048");
    let reason = [("plugin", "tcpconnect"), ("reason", "tcp_connect_starts_lost")];
    assert_eq!(served.value("ebhost_lost_total", &reason), Some(lost));
    host.stop();
}
