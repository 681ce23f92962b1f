//! The package tcplife against sessions of known length and content.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv6Addr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use ebhost_tests::{Ebhost, Folder, Namespace, alone, committed, needs, wait_until};

const PORT: u16 = 7005;
const SESSIONS: u64 = 20;
const REQUEST: usize = 1000;
const RESPONSE: usize = 5_000_000;
const OPEN: Duration = Duration::from_millis(50);

/// Half of the sessions are closed by the client first, which is the other way through the states of TCP.
fn talk() {
    let listener = TcpListener::bind((Ipv6Addr::LOCALHOST, PORT)).expect("a free port");
    let server = thread::spawn(move || {
        for session in 0..SESSIONS {
            let (mut stream, _) = listener.accept().expect("a connection");
            stream.read_exact(&mut [0; REQUEST]).expect("a request");
            stream.write_all(&vec![0; RESPONSE]).expect("the client reads");
            if session % 2 == 0 {
                stream.read_to_end(&mut Vec::new()).expect("the client's end");
            }
        }
    });
    for session in 0..SESSIONS {
        let mut stream = TcpStream::connect((Ipv6Addr::LOCALHOST, PORT)).expect("the server accepts");
        thread::sleep(OPEN);
        stream.write_all(&[0; REQUEST]).expect("the server reads");
        stream.read_exact(&mut vec![0; RESPONSE]).expect("a response");
        if session % 2 == 1 {
            stream.read_to_end(&mut Vec::new()).expect("the server's end");
        }
    }
    server.join().expect("the server did not panic");
}

#[test]
fn sessions_have_the_bytes_that_were_sent_and_the_time_that_they_were_open() {
    needs!(Root, Tool("ip"));
    let _alone = alone();
    let folder = Folder::new();
    folder.copy(&committed().join("tcplife"));
    folder.set("plugins: { tcplife: on }\n");
    let host = Ebhost::start(folder.path());
    let namespace = Namespace::new();
    namespace.run(talk);
    // The scrapes are sessions of IPv4.
    let both_ends = [("active", REQUEST, RESPONSE), ("passive", RESPONSE, REQUEST)];
    for (direction, sent, received) in both_ends {
        let labels = [("direction", direction), ("family", "ipv6")];
        let ended = wait_until("the sessions' end", Duration::from_secs(10), || {
            let served = host.scrape();
            let histogram = |name: &str| served.histogram(&format!("ebhost_tcp_session_{name}"), &labels);
            Some(["seconds", "sent_bytes", "received_bytes"].map(histogram))
                .filter(|all| all.iter().flatten().all(|one| one.count == SESSIONS) && all[0].is_some())
        });
        let [seconds, sent_bytes, received_bytes] = ended.map(|histogram| histogram.expect("sessions that ended"));
        eprintln!("{direction}: {} s, {} and {} bytes", seconds.sum, sent_bytes.sum, received_bytes.sum);
        assert_eq!(sent_bytes.sum, (SESSIONS as usize * sent) as f64, "{direction}");
        assert_eq!(received_bytes.sum, (SESSIONS as usize * received) as f64, "{direction}");
        assert_eq!(seconds.at_most(0.032), 0, "{direction} {seconds:?}");
        assert!(seconds.sum >= OPEN.as_secs_f64() * SESSIONS as f64 && seconds.mean() < 0.5, "{direction} {seconds:?}");
    }
    host.stop();
}
