//! Listen addresses: several addresses, unix sockets, sockets passed by systemd.

use std::{
    net::{Ipv4Addr, TcpListener},
    process::{Command, Stdio},
    time::Duration,
};

use ebhost_tests::{Ebhost, Folder, Running, Start, binary, committed, get, needs, wait_until};

use crate::{curl, status};

#[test]
fn several_addresses_and_a_unix_socket() {
    needs!(Root, Tool("curl"));
    let folder = Folder::new();
    let socket = folder.path().join("ebhost.sock");
    // A socket file left behind by a killed process.
    drop(std::os::unix::net::UnixListener::bind(&socket).expect("our own folder"));
    let unix = format!("unix:{}", socket.display());
    let args = ["--web.listen-address", "[::1]:0", "--web.listen-address", &unix];
    let host = Start::with(&committed()).args(&args).listening();
    let addresses = listening(&host, 3);
    assert_eq!(status(&[&format!("http://{}/-/ready", addresses[0])]), 200);
    assert_eq!(status(&[&format!("http://{}/-/ready", addresses[1])]), 200);
    assert_eq!(addresses[2], unix);
    let (_, body) = curl(&["--unix-socket", &socket.display().to_string(), "http://localhost/metrics"]);
    assert!(body.contains("ebhost_ready 1\n"), "{body}");
    host.stop();
    assert!(!socket.exists(), "a socket's file goes with its server");
}

/// The addresses in the log's lines, of which each listener has one.
fn listening(host: &Ebhost, count: usize) -> Vec<String> {
    wait_until("a line for each listener", Duration::from_secs(10), || {
        let lines = host.log().lines();
        let addresses: Vec<_> =
            lines.iter().filter_map(|line| line.field("address").as_str().map(str::to_owned)).collect();
        (addresses.len() == count).then_some(addresses)
    })
}

/// Host names, service names and zones of addresses were refused.
#[test]
fn names_of_hosts_services_and_zones() {
    needs!(Root, Tool("curl"));
    let args = ["--web.listen-address", "localhost:0", "--web.listen-address", "[::1]:0"];
    let host = Start::with(&committed()).args(&args).listening();
    // The first one is that of all tests; localhost may have one or two addresses.
    let addresses = wait_until("a line for each listener", Duration::from_secs(10), || {
        let lines = host.log().lines();
        let addresses: Vec<_> =
            lines.iter().filter_map(|line| line.field("address").as_str().map(str::to_owned)).collect();
        (addresses.len() >= 3).then_some(addresses)
    });
    assert!(addresses[1].starts_with("127.0.0.1:") || addresses[1].starts_with("[::1]:"), "{addresses:?}");
    for address in &addresses {
        assert_eq!(status(&[&format!("http://{address}/-/ready")]), 200, "{address}");
    }
    host.stop();
    let refused = |address: &str| {
        let ended = Start::with(&committed()).args(&["--web.listen-address", address]).ended();
        assert_ne!(ended.status.code(), Some(0), "{address}");
        ended.log.text()
    };
    for (address, expected) in [
        (":no-such-service", "cannot listen on :no-such-service: the service is not in /etc/services"),
        ("no-such-host.invalid:9435", "cannot listen on no-such-host.invalid:9435: "),
        ("192.0.2.1:9435", "cannot listen on 192.0.2.1:9435: Cannot assign requested address"),
        ("::1:9435", "an IPv6 address is written in brackets"),
    ] {
        let message = refused(address);
        assert!(message.contains(expected), "{address}: {message}");
    }
}

/// `:9435` answered on IPv6 alone where `net.ipv6.bindv6only` is 1.
#[test]
fn all_addresses_are_those_of_both_families() {
    needs!(Root, Tool("curl"), Tool("unshare"), File("/proc/sys/net/ipv6/bindv6only"));
    // In a network of its own, so that the setting is nobody else's. The shell asks and the host is its child.
    let script = format!(
        "ip link set lo up || exit 9; echo 1 > /proc/sys/net/ipv6/bindv6only; \
         {} --plugins {} --web.listen-address :19435 2>/dev/null & pid=$!; \
         for i in $(seq 100); do curl -sf http://127.0.0.1:19435/-/ready && break; sleep 0.2; done; \
         curl -sf http://[::1]:19435/-/ready; kill $pid; wait $pid",
        binary().display(),
        committed().display()
    );
    let output = Command::new("unshare").args(["--net", "sh", "-c", &script]).output().expect("unshare starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said, "ebhost is ready.\nebhost is ready.\n", "{output:?}");
}

/// It said that another ebhost is running.
#[test]
fn a_socket_path_that_is_a_file_is_called_one() {
    needs!(Root);
    let folder = Folder::new();
    let file = folder.path().join("file");
    std::fs::write(&file, "of somebody").expect("our own folder");
    let address = format!("unix:{}", file.display());
    let ended = Start::with(&committed()).args(&["--web.listen-address", &address]).ended();
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.log.text().contains("found a file that is not a socket"), "{}", ended.log.text());
    assert_eq!(std::fs::read_to_string(&file).expect("it is still there"), "of somebody");
}

#[test]
fn sockets_that_systemd_opens() {
    needs!(Root, Tool("systemd-socket-activate"));
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    let address = free.expect("loopback has a free port");
    let mut command = Command::new("systemd-socket-activate");
    command.args(["-l", &address.to_string()]).arg(binary()).args(["--web.systemd-socket", "--plugins"]);
    let _activated = Running::start(command.arg(committed()).stdout(Stdio::null()).stderr(Stdio::null()));
    let ready = || get(address, "/-/ready", &[]).ok().filter(|answer| answer.status == 200);
    wait_until("a host that was started by the first connection", Duration::from_secs(20), ready);
}

#[test]
fn without_systemd_there_are_no_passed_sockets() {
    let ended = Start::with(&committed()).args(&["--web.systemd-socket"]).ended();
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.log.text().contains("found no socket from systemd, expected LISTEN_FDS"), "{}", ended.log.text());
    let ended = Start::with(&committed()).args(&["--web.listen-address", "fd://77"]).ended();
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.log.text().contains("cannot listen on fd://77: found no socket"), "{}", ended.log.text());
    // It took any descriptor that happened to be open.
    let ended = Start::with(&committed()).args(&["--web.listen-address", "fd://0"]).ended();
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.log.text().contains("expected LISTEN_FDS and LISTEN_PID of a .socket unit"), "{}", ended.log.text());
}
