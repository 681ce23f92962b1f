//! The package tcprtt against a wire with a known delay.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv6Addr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use ebhost_tests::{Ebhost, Folder, Namespace, Wire, alone, committed, needs, wait_until};

const PORT: u16 = 7009;
const EXCHANGES: u64 = 50;
/// One way. A round trip is in the bucket from 8.192 to 16.384 ms.
const DELAY: Duration = Duration::from_millis(5);

fn exchange() {
    let _wire = Wire::new(DELAY);
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, PORT)).expect("a free port");
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        for _ in 0..EXCHANGES {
            stream.read_exact(&mut [0]).expect("a request");
            stream.write_all(&[0]).expect("the client reads");
        }
    });
    let mut stream = TcpStream::connect((Wire::PEER_V6, PORT)).expect("the peer accepts");
    for _ in 0..EXCHANGES {
        stream.write_all(&[0]).expect("the server reads");
        stream.read_exact(&mut [0]).expect("a response");
    }
    server.join().expect("the server did not panic");
}

#[test]
fn round_trips_take_twice_the_delay_of_the_wire() {
    needs!(Root, Tool("ip"), File("/dev/net/tun"));
    let _alone = alone();
    let folder = Folder::new();
    folder.copy(&committed().join("tcprtt"));
    folder.set("plugins: { tcprtt: on }\n");
    let host = Ebhost::start(folder.path());
    let namespace = Namespace::new();
    namespace.run(exchange);
    let measured = wait_until("a measurement for each segment", Duration::from_secs(10), || {
        // The scrapes are connections of IPv4.
        let measured = host.scrape().histogram("ebhost_tcp_rtt_seconds", &[("family", "ipv6")])?;
        (measured.count >= 2 * EXCHANGES).then_some(measured)
    });
    let segments = namespace.run(ebhost_tests::NetworkCounters::read).get("Tcp InSegs");
    eprintln!("{} measurements of {segments} segments, mean {} s", measured.count, measured.mean());
    assert!(measured.count <= segments as u64, "{measured:?} of {segments} segments");
    assert_eq!(measured.at_most(0.008192), 0, "{measured:?}");
    assert!(measured.mean() < 0.016384, "{measured:?}");
    host.stop();
}
