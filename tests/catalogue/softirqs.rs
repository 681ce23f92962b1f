//! The package softirqs against /proc/softirqs.

use std::{fs, net::UdpSocket, thread, time::Duration};

use ebhost_tests::{Exposition, alone, needs};

use crate::source::Package;

/// The names of the kernel's vectors, and how often each ran on all CPUs.
fn counted() -> Vec<(String, f64)> {
    let text = fs::read_to_string("/proc/softirqs").expect("the kernel has it");
    let line = |line: &str| {
        let (name, counts) = line.split_once(':')?;
        let all: u64 = counts.split_whitespace().filter_map(|count| count.parse::<u64>().ok()).sum();
        Some((name.trim().to_lowercase(), all as f64))
    };
    text.lines().filter_map(line).collect()
}

fn served(served: &Exposition, vector: &str) -> f64 {
    served.value("ebhost_softirq_seconds_count", &[("vector", vector)]).unwrap_or_default()
}

fn load() {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let to = socket.local_addr().expect("it is bound");
    // So many, and not for so long: a busy machine sends fewer in a second.
    for _ in 0..1_500 {
        socket.send_to(b"x", to).expect("loopback takes it");
        let _ = socket.recv(&mut [0; 1]);
        thread::sleep(Duration::from_micros(500));
    }
}

#[test]
fn runs_are_those_of_proc_softirqs() {
    needs!(Root);
    let _alone = alone();
    for options in ["", "histograms: native"] {
        let package = Package::start("softirqs", options);
        // One is counted by the kernel when it begins, and by the program when it ends.
        package.assert_increases_equal(counted, served, 64.0, load);
        let value = |name: &str| package.value(name, &[("vector", "net_rx")]);
        let (waits, waited) =
            (value("ebhost_softirq_latency_seconds_count"), value("ebhost_softirq_latency_seconds_sum"));
        assert!(waits > 1000.0 && waited > 0.0, "{waits} waits, {waited} s");
        package.host.stop();
    }
}
