//! The package dns against dnsmasq behind a wire with a known delay.

use std::{
    net::{IpAddr, UdpSocket},
    process::Command,
    time::Duration,
};

use ebhost_tests::{Ebhost, Folder, Namespace, Running, Wire, alone, committed, needs, wait_until};

/// One way. An answer comes after twice that: in the bucket from 8.192 to 16.384 ms.
const DELAY: Duration = Duration::from_millis(5);
const A: u8 = 1;
const AAAA: u8 = 28;
/// The names, the types and the answers of dnsmasq, and how often each is asked.
const QUERIES: [(&str, u8, [&str; 2], usize); 4] = [
    ("known.test", A, ["A", "NOERROR"], 20),
    ("known.test", AAAA, ["AAAA", "NOERROR"], 15),
    ("gone.test", A, ["A", "NXDOMAIN"], 10),
    ("a.name.of.somebody.else.example", A, ["A", "REFUSED"], 5),
];

fn query(id: u16, name: &str, of_type: u8) -> Vec<u8> {
    let mut message = id.to_be_bytes().to_vec();
    // Recursion desired, one question.
    message.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend(label.as_bytes());
    }
    message.extend([0, 0, of_type, 0, 1]);
    message
}

/// Asks once, and returns the answer's code.
fn ask(server: IpAddr, id: u16, name: &str, of_type: u8) -> Option<u8> {
    let local = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(local).expect("a free port");
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a socket");
    socket.connect((server, 53)).expect("there is a route");
    socket.send(&query(id, name, of_type)).ok()?;
    let mut answer = [0; 512];
    socket.recv(&mut answer).ok()?;
    Some(answer[3] & 15)
}

fn resolve() {
    let mut dnsmasq = Command::new("dnsmasq");
    dnsmasq.args([
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--pid-file=",
        "--user=root",
        "--no-resolv",
        "--no-hosts",
    ]);
    dnsmasq.args([
        "--log-facility=-",
        "--local=/gone.test/",
        "--local=/known.test/",
        "--host-record=known.test,192.0.2.1",
    ]);
    let _server = Running::start(&mut dnsmasq);
    // Before the wire is there, so that they are not mistaken for those below.
    wait_until("dnsmasq", Duration::from_secs(10), || ask(IpAddr::from([127, 0, 0, 1]), 1, "gone.test", 16));
    let _wire = Wire::new(DELAY);
    for (name, of_type, _, count) in QUERIES {
        for id in 0..count {
            let server = if id % 2 == 0 { Wire::PEER } else { Wire::PEER_V6 };
            ask(server, id as u16, name, of_type).unwrap_or_else(|| panic!("dnsmasq answers for {name}"));
        }
    }
    // Nobody answers these.
    for id in 0..10 {
        let socket = UdpSocket::bind("0.0.0.0:0").expect("a free port");
        socket.send_to(&query(id, "known.test", A)[..11], (Wire::PEER, 53)).expect("there is a route");
    }
}

#[test]
fn queries_take_as_long_as_the_wire_and_have_the_type_and_the_answer() {
    needs!(Root, Cgroup2, Tool("ip"), Tool("dnsmasq"), File("/dev/net/tun"));
    let _alone = alone();
    let folder = Folder::new();
    folder.copy(&committed().join("dns"));
    folder.set("plugins: { dns: on }\n");
    let host = Ebhost::start(folder.path());
    Namespace::new().run(resolve);
    let served = host.scrape();
    for (name, _, [of_type, rcode], count) in QUERIES {
        let labels = [("type", of_type), ("rcode", rcode)];
        let answers = served.histogram("ebhost_dns_latency_seconds", &labels).expect(name);
        eprintln!("{name} {of_type} {rcode}: {} answers, mean {} s", answers.count, answers.mean());
        assert_eq!((answers.count, answers.at_most(0.008192)), (count as u64, 0), "{name} {answers:?}");
        assert!(answers.mean() < 0.016384, "{name} {answers:?}");
    }
    host.stop();
}
