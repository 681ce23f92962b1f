//! The package packets against the interface's own statistics.

use std::{fs, net::UdpSocket, time::Duration};

use ebhost_tests::{Ebhost, Exposition, Folder, Namespace, alone, committed, needs, wait_until};

const SERVICE: u16 = 514;
const OTHER: u16 = 7010;
const SENT: i64 = 200;
const PAYLOAD: usize = 100;
/// Bytes of the headers of IPv4 and UDP.
const HEADERS: i64 = 28;

fn counted(served: &Exposition, family: &str, port: &str, direction: &str) -> i64 {
    let labels = [("interface", "lo"), ("port", port), ("direction", direction), ("protocol", "udp")];
    served.value(&format!("ebhost_{family}"), &labels).unwrap_or_default() as i64
}

fn send() {
    let sender = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    for port in [SERVICE, OTHER] {
        let _receiver = UdpSocket::bind(("127.0.0.1", port)).expect("a free port");
        for _ in 0..SENT {
            sender.send_to(&[0; PAYLOAD], ("127.0.0.1", port)).expect("loopback takes it");
        }
    }
}

/// Packets and bytes that loopback of this thread's network namespace received. /sys shows another one's.
fn statistics() -> [i64; 2] {
    let text = fs::read_to_string("/proc/thread-self/net/dev").expect("/proc is mounted");
    let line = text.lines().find_map(|line| line.trim().strip_prefix("lo:")).expect("every namespace has it");
    let numbers: Vec<i64> = line.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    [numbers[1], numbers[0]]
}

#[test]
fn packets_and_bytes_are_those_of_the_interface() {
    needs!(Root, Tool("ip"));
    let _alone = alone();
    let folder = Folder::new();
    folder.copy(&committed().join("packets"));
    folder.set("plugins: { packets: on }\n");
    let host = Ebhost::start(folder.path());
    let namespace = Namespace::new();
    let before = namespace.run(statistics);
    let first = host.scrape();
    let service = SERVICE.to_string();
    namespace.run(send);
    let after = namespace.run(statistics);
    assert_eq!([after[0] - before[0], after[1] - before[1]], [2 * SENT, 2 * SENT * (PAYLOAD as i64 + HEADERS)]);
    wait_until("the counts of ebhost and of the interface to be equal", Duration::from_secs(10), || {
        let served = host.scrape();
        let grown = |family, port, direction| {
            counted(&served, family, port, direction) - counted(&first, family, port, direction)
        };
        let all = ["transmit", "receive"].map(|direction| {
            [service.as_str(), "other"]
                .map(|port| [grown("packets_total", port, direction), grown("packet_bytes_total", port, direction)])
        });
        eprintln!("{all:?}");
        (all == [[[SENT, SENT * (PAYLOAD as i64 + HEADERS)]; 2]; 2]).then_some(())
    });
    host.stop();
}
