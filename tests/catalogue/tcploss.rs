//! The package tcploss against the kernel's own counters, on a wire that loses chosen segments.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use ebhost_tests::{Ebhost, Exposition, Folder, Namespace, Segment, Wire, alone, committed, needs, wait_until};

const PORT: u16 = 7001;
const KINDS: [&str; 5] = ["syn", "synack", "fast", "timeout", "probe"];
const REFUSED: i64 = 20;
const ABORTED: i64 = 10;

fn host() -> (Ebhost, Folder) {
    let folder = Folder::new();
    folder.copy(&committed().join("tcploss"));
    (Ebhost::start(folder.path()), folder)
}

/// Retransmitted segments by kind.
fn retransmitted(served: &Exposition) -> [i64; 5] {
    let value = |kind| served.value("ebhost_tcp_retransmitted_segments_total", &[("kind", kind)]);
    KINDS.map(|kind| value(kind).unwrap_or_default() as i64)
}

fn resets(served: &Exposition, direction: &str) -> i64 {
    served.value("ebhost_tcp_resets_total", &[("direction", direction)]).unwrap_or_default() as i64
}

/// True for the first `count` segments of a kind.
fn first(count: usize, is_chosen: fn(&Segment) -> bool) -> impl FnMut(&Segment) -> bool {
    let mut left = count;
    move |segment| {
        let is_lost = left > 0 && is_chosen(segment);
        left -= usize::from(is_lost);
        is_lost
    }
}

/// Accepts connections and answers each byte 0 with another, so that the client knows that all before it has arrived.
fn answer(listener: &TcpListener) {
    for stream in listener.incoming() {
        let mut stream = stream.expect("a connection");
        thread::spawn(move || {
            let mut buffer = [0; 65536];
            while let Ok(bytes @ 1..) = stream.read(&mut buffer) {
                if buffer[..bytes].contains(&0) && stream.write_all(&[0]).is_err() {
                    break;
                }
            }
        });
    }
}

/// Sends so many segments and waits until the last one was answered.
fn send(stream: &mut TcpStream, segments: usize) {
    let mut data = vec![1; segments * 1000];
    *data.last_mut().expect("at least one segment") = 0;
    stream.write_all(&data).expect("the peer reads");
    stream.read_exact(&mut [0]).expect("the peer answers");
}

/// Makes TCP repair a loss in each way that it has.
fn lose() {
    let wire = Wire::new(Duration::from_millis(5));
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).expect("a free port");
    thread::spawn(move || answer(&listener));
    let connect = || TcpStream::connect((Wire::PEER, PORT)).expect("the peer accepts");

    wire.lose(first(1, |segment| segment.is_syn && !segment.is_ack));
    drop(connect());
    wire.lose(first(1, |segment| segment.is_syn && segment.is_ack));
    let mut stream = connect();
    stream.set_nodelay(true).expect("a TCP socket");
    // In the middle: the acknowledgements of what follows show the gap.
    let mut count = 0;
    wire.lose(move |segment| {
        count += usize::from(segment.to_port == PORT && segment.payload > 0);
        count == 20 && segment.payload > 0
    });
    send(&mut stream, 200);
    // At the end: nothing follows that could be acknowledged.
    wire.lose(first(1, |segment| segment.to_port == PORT && segment.payload > 0));
    send(&mut stream, 1);
    // The segment that repairs it is lost, too.
    wire.lose(first(3, |segment| segment.to_port == PORT && segment.payload > 0));
    send(&mut stream, 1);
}

#[test]
fn every_retransmitted_segment_is_counted_under_the_mechanism_that_sent_it() {
    needs!(Root, Tool("ip"), File("/dev/net/tun"));
    let _alone = alone();
    let (host, _folder) = host();
    let namespace = Namespace::new();
    let before = (retransmitted(&host.scrape()), namespace.counters());
    namespace.run(lose);
    let counted = wait_until("the counts of ebhost and of the kernel to be equal", Duration::from_secs(10), || {
        let now = retransmitted(&host.scrape());
        let kernel = namespace.counters();
        let counted: [i64; 5] = std::array::from_fn(|kind| now[kind] - before.0[kind]);
        let [syn, synack, fast, ..] = counted;
        let kernels = ["Tcp RetransSegs", "TcpExt TCPSynRetrans", "TcpExt TCPFastRetrans"];
        let kernels = kernels.map(|name| kernel.since(&before.1, name));
        eprintln!("{KINDS:?}: {counted:?}; RetransSegs, TCPSynRetrans, TCPFastRetrans: {kernels:?}");
        (kernels == [counted.iter().sum(), syn + synack, fast]).then_some(counted)
    });
    assert!(counted.iter().all(|count| *count > 0), "each mechanism was needed: {KINDS:?} {counted:?}");
    host.stop();
}

/// Connections that nobody accepts, and connections that the client aborts.
fn reset() {
    for _ in 0..REFUSED {
        let refused = TcpStream::connect((Ipv4Addr::LOCALHOST, PORT)).expect_err("nobody listens");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, PORT)).expect("a free port");
    for _ in 0..ABORTED {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, PORT)).expect("a listener");
        let accepted = listener.accept().expect("a connection");
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a TCP socket");
        drop(stream);
        drop(accepted);
    }
}

#[test]
fn refused_and_aborted_connections_are_resets_in_both_directions() {
    needs!(Root, Tool("ip"));
    let _alone = alone();
    let (host, _folder) = host();
    let namespace = Namespace::new();
    let served = host.scrape();
    let (sent, received, before) = (resets(&served, "sent"), resets(&served, "received"), namespace.counters());
    namespace.run(reset);
    let received = wait_until("the counts of ebhost and of the kernel to be equal", Duration::from_secs(10), || {
        let served = host.scrape();
        let (sent, received) = (resets(&served, "sent") - sent, resets(&served, "received") - received);
        let kernel = namespace.counters().since(&before, "Tcp OutRsts");
        eprintln!("{sent} sent, {received} received; OutRsts: {kernel}");
        (sent == kernel && sent >= REFUSED + ABORTED).then_some(received)
    });
    assert!(received >= REFUSED + ABORTED, "{received} received");
    host.stop();
}
