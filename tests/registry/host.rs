//! A running host takes what an unprivileged user pulled.

use std::{os::unix::fs::chown, process::Command, time::Duration};

use ebhost_tests::{Start, binary, needs, wait_until};

use crate::kit::{Lab, Said};

/// The user `nobody`.
const NOBODY: u32 = 65534;

#[test]
fn a_running_host_takes_an_update_that_an_unprivileged_user_pulled() {
    needs!(Root, Tool("openssl"), Tool("apt-get"), Tool("dpkg-deb"), Tool("setpriv"));
    let lab = Lab::new();
    let (plugins, key) = (lab.at("plugins"), lab.at("a.pub"));
    chown(lab.plugins(), Some(NOBODY), Some(NOBODY)).expect("we are root");
    let pull = |reference: &str| {
        let mut command = lab.command(Command::new("setpriv"));
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs", "--bounding-set=-all"]);
        Said::of(command.arg(binary()).args(["pull", "--plugins", &plugins, "--key", &key, reference])).done()
    };
    lab.push("1.0.0", "acme/runqlat", "stable");
    let tag = lab.repository("acme/runqlat:stable");
    pull(&tag);
    let pins = lab.at("plugins/pins");
    let args = ["--set", "plugins.runqlat=on", "--trust.pins", &pins, "--trust.require", "all"];
    let host = Start::with(&lab.plugins()).args(&args).listening();
    let runs = |version: &str| {
        let scraped = host.scrape();
        scraped.samples().any(|sample| {
            sample.name == "ebhost_plugin_info"
                && sample.labels["plugin"] == "runqlat"
                && sample.labels["version"] == version
        })
    };
    wait_until("the first version", Duration::from_secs(30), || runs("1.0.0").then_some(()));
    lab.push("1.1.0", "acme/runqlat", "stable");
    let said = pull(&tag);
    assert!(said.starts_with("runqlat 1.1.0: installed in the place of 1.0.0"), "{said}");
    wait_until("the update", Duration::from_secs(30), || runs("1.1.0").then_some(()));
    let log = host.stop();
    assert!(!log.text().contains("does not pin it"), "{}", log.text());
}
