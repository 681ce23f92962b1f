//! Listen addresses: several addresses, unix sockets, sockets passed by systemd.

use std::{
    net::{Ipv4Addr, TcpListener},
    process::{Command, Stdio},
    time::Duration,
};

use ebhost_tests::{Folder, Running, Start, binary, committed, get, needs, wait_until};

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
    let lines = host.log().lines();
    let addresses: Vec<_> = lines.iter().filter_map(|line| line.field("address").as_str().map(str::to_owned)).collect();
    assert_eq!(addresses.len(), 3, "{addresses:?}");
    assert_eq!(status(&[&format!("http://{}/-/ready", addresses[0])]), 200);
    assert_eq!(status(&[&format!("http://{}/-/ready", addresses[1])]), 200);
    assert_eq!(addresses[2], unix);
    let (_, body) = curl(&["--unix-socket", &socket.display().to_string(), "http://localhost/metrics"]);
    assert!(body.contains("ebhost_ready 1\n"), "{body}");
    host.stop();
    assert!(!socket.exists(), "a socket's file goes with its server");
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
}
