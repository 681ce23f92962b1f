//! Reasons why the host does not start: nothing to serve, or nowhere to serve it. Needs no privileges.

use std::{net::TcpListener, path::Path};

use ebhost_tests::{Ended, Folder, Start, needs};

use crate::says;

#[test]
fn no_such_folder() {
    let message = fatal(Start::with(Path::new("/no/such/folder")));
    says(
        &message,
        &["/no/such/folder: cannot be listed: No such file or directory", "--plugins takes a folder whose subfolders"],
    );
}

#[test]
fn a_file_instead_of_a_folder() {
    let message = fatal(Start::with(Path::new("/proc/version")));
    says(&message, &["/proc/version: cannot be listed: Not a directory", "--plugins takes a folder whose subfolders"]);
}

#[test]
fn an_empty_folder() {
    let folder = Folder::new();
    let path = folder.path().display().to_string();
    let message = fatal(Start::with(folder.path()));
    says(&message, &[&format!("{path}: found no plugin package"), &format!("such as {path}/biolatency/plugin.yaml")]);
}

/// The folder of a package instead of the folder that contains packages.
#[test]
fn a_package_instead_of_a_folder_of_packages() {
    let folder = Folder::new();
    let message = fatal(Start::with(&folder.add("biolatency")));
    says(&message, &["biolatency: found no plugin package; expected subfolders with a plugin.yaml each"]);
}

#[test]
fn the_port_in_use() {
    needs!(Root);
    let other = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = other.local_addr().expect("it is bound").to_string();
    let folder = Folder::with_biolatency();
    let message = fatal(Start::with(folder.path()).args(&["--web.listen-address", &address]));
    let parts =
        [&format!("cannot listen on {address}: Address already in use"), "choose another with --web.listen-address"];
    says(&message, &parts);
}

#[test]
fn an_invalid_address() {
    let Ended { status, log } = Start::with(Path::new("/")).args(&["--web.listen-address", "9435"]).ended();
    assert_eq!(status.code(), Some(2), "{}", log.text());
    says(
        &log.text(),
        &["found `9435`, expected an address such as :9435, 127.0.0.1:9435, localhost:9435, [::1]:9435, unix:"],
    );
}

/// The only error of a host that does not start.
fn fatal(start: Start) -> String {
    let Ended { status, log } = start.ended();
    assert_eq!(status.code(), Some(1), "{}", log.text());
    let lines = log.lines();
    let last = lines.last().unwrap_or_else(|| panic!("it ended without a word"));
    let errors = lines.iter().filter(|line| line.level == "ERROR").count();
    assert!(errors == 1 && last.level == "ERROR", "{}", log.text());
    last.text.clone()
}
