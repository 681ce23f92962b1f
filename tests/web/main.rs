//! The HTTP server from outside: real clients, hostile clients, native histograms in Debian's Prometheus, a service
//! manager.

mod access;
mod bounds;
mod certificates;
mod clients;
mod flood;
mod keys;
mod native;
mod process;
mod rotation;
mod slots;
mod sockets;
mod status;
mod top;

use std::process::Command;

/// The output and exit code of `curl ARGS`.
fn curl(args: &[&str]) -> (i32, String) {
    let output = Command::new("curl").args(["-sS", "--max-time", "60"]).args(args).output().expect("curl starts");
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The status of the response; 0 if there was none.
fn status(args: &[&str]) -> u16 {
    let all = [&["-o", "/dev/null", "-w", "%{http_code}"], args].concat();
    curl(&all).1.parse().unwrap_or(0)
}
