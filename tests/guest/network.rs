//! The network packages on other kernels, whose tracepoints have other arguments, on a loopback that delays and loses packets.

use std::path::Path;

use ebhost_tests::{Exposition, Folder, committed, needs};

use crate::guest::{Console, Guest};

const TC: &str = "/usr/sbin/tc";
const PACKAGES: [&str; 9] =
    ["dns", "drops", "packets", "tcpbacklog", "tcpconnect", "tcplife", "tcploss", "tcprtt", "udp"];
/// Connections to a port without a listener, and datagrams to a port without a socket.
const REFUSED: f64 = 5.0;

/// The sum of a family's series in which the label has this value.
fn sum(served: &Exposition, name: &str, label: (&str, &str)) -> f64 {
    let of_label = |sample: &&ebhost_tests::Sample| {
        sample.name == name && sample.labels.get(label.0).is_some_and(|value| value == label.1)
    };
    // Not `sum`, whose zero is negative.
    served.samples().filter(of_label).fold(0.0, |sum, sample| sum + sample.value)
}

/// The kernel's count between the two scrapes.
fn kernel(console: &Console, protocol: &str, counter: &str) -> f64 {
    let read = |section: &str| {
        let mut lines =
            console.section(section).lines().filter_map(|line| line.strip_prefix(protocol)?.strip_prefix(": "));
        let (names, numbers) = (lines.next().expect("names"), lines.next().expect("numbers"));
        let index = names.split(' ').position(|name| name == counter).expect("the counter");
        numbers.split(' ').nth(index).and_then(|number| number.parse::<f64>().ok()).expect("a number")
    };
    read("kernel after") - read("kernel before")
}

/// Boots the newest kernel of a series. `reason`: what it says of a datagram that has no socket.
fn network_counts_on(line: &str, reason: &str) {
    let guest = Guest::x86(line, "network-init");
    guest.put_ebhost();
    guest.put_program(Path::new(TC), "iproute2-tc");
    guest.put_modules(&["sch_netem"]);
    let folder = Folder::new();
    PACKAGES.iter().for_each(|package| _ = folder.copy(&committed().join(package)));
    // With --strict, a package that a kernel refuses ends the host.
    let all: Vec<_> = PACKAGES.iter().map(|package| format!("{package}: on")).collect();
    folder.set(&format!("plugins: {{ {} }}\n", all.join(", ")));
    guest.put(folder.path(), "plugins/network");
    let console = guest.boot();
    let (before, after) = (console.served("before"), console.served("after"));
    let grown = |name: &str, label: (&str, &str)| sum(&after, name, label) - sum(&before, name, label);

    let kinds = ["syn", "synack", "fast", "timeout", "probe"];
    let retransmitted: f64 =
        kinds.iter().map(|kind| grown("ebhost_tcp_retransmitted_segments_total", ("kind", kind))).sum();
    assert!(retransmitted > 0.0);
    // On emulated CPUs a segment may be sent again between the scrape and the kernel's own numbers.
    let kernels = kernel(&console, "Tcp", "RetransSegs");
    assert!((retransmitted - kernels).abs() <= 2.0, "{retransmitted} retransmitted, RetransSegs: {kernels}");
    // The scrape's own connection is the last one that each counts.
    assert_eq!(
        grown("ebhost_tcp_connections_opened_total", ("direction", "active")),
        kernel(&console, "Tcp", "ActiveOpens")
    );
    assert_eq!(
        grown("ebhost_tcp_connections_opened_total", ("direction", "passive")),
        kernel(&console, "Tcp", "PassiveOpens")
    );
    assert_eq!(grown("ebhost_tcp_connections_failed_total", ("reason", "refused")), REFUSED);
    assert!(grown("ebhost_tcp_resets_total", ("direction", "received")) >= REFUSED);
    assert!(grown("ebhost_packets_dropped_total", ("reason", reason)) >= kernel(&console, "Udp", "NoPorts"));
    assert!(kernel(&console, "Udp", "NoPorts") >= REFUSED);
    let rtt = after.histogram("ebhost_tcp_rtt_seconds", &[("family", "ipv4")]).expect("segments arrived");
    // netem delays by whole ticks of the clock.
    assert!(rtt.count - rtt.at_most(0.016384) > 10, "{rtt:?}");
    assert!(grown("ebhost_tcp_session_received_bytes_sum", ("direction", "active")) >= 3.0 * 2000.0 * 1024.0);
    assert!(after.value("ebhost_tcp_accept_queue_limit_connections", &[("port", "9435")]).is_some());
    assert!(grown("ebhost_packets_total", ("direction", "receive")) > 100.0);
}

#[test]
fn network_packages_count_on_5_10() {
    needs!(Guest, File(TC));
    network_counts_on("5.10", "NOT_SPECIFIED");
}

#[test]
fn network_packages_count_on_6_1() {
    needs!(Guest, File(TC));
    network_counts_on("6.1", "NO_SOCKET");
}

#[test]
fn network_packages_count_on_6_12() {
    needs!(Guest, File(TC));
    network_counts_on("6.12", "NO_SOCKET");
}

#[test]
fn network_packages_count_on_the_newest() {
    needs!(Guest, File(TC));
    network_counts_on("7.3", "NO_SOCKET");
}
