//! Pins: a package that the operator has not pinned does not run.

use std::{fs, process::Command};

use ebhost_tests::{Folder, Start, alone, needs, output};

use crate::rig::{Misbehaving, scrape, scrape_until, start};

fn pins(folder: &Folder) -> String {
    let list = "sha256sum */plugin.yaml */*.wasm */*.bpf.o";
    output(Command::new("sh").args(["-c", list]).current_dir(folder.path()))
}

#[test]
fn only_pinned_packages_may_bring_bpf() {
    needs!(Root, Tool("sha256sum"));
    let _alone = alone();
    let misbehaving = Misbehaving { folder: Folder::with_biolatency() };
    // Not in the plugin folder, which is readable anyway.
    let elsewhere = Folder::new();
    let file = elsewhere.path().join("pins");
    fs::write(&file, pins(&misbehaving.folder)).expect("our own file");
    misbehaving.add("misbehaving", "fault: none");
    let host = start(&misbehaving.folder, &["--trust.pins", &file.display().to_string()]);
    let served = scrape(&host);
    let up = |served: &ebhost_tests::Exposition, plugin| served.value("ebhost_plugin_up", &[("plugin", plugin)]);
    assert_eq!((up(&served, "biolatency"), up(&served, "misbehaving")), (Some(1.0), Some(0.0)));
    let log = host.log().text();
    for part in [
        "misbehaving/plugin.yaml: ",
        " does not pin it, and only pinned packages may bring BPF",
        "look at the file, then add",
    ] {
        assert!(log.contains(part), "expected `{part}` in: {log}");
    }

    // As editors and `mv` replace a file: it is another file, which has to be readable too.
    let beside = elsewhere.path().join("pins.new");
    fs::write(&beside, pins(&misbehaving.folder)).and_then(|()| fs::rename(&beside, &file)).expect("our own files");
    host.hang_up();
    scrape_until(&host, "the pin is taken", |served| up(served, "misbehaving") == Some(1.0));

    misbehaving.configure(&host, "fault: trap", "");
    let served = scrape_until(&host, "the change is refused", |served| {
        served.value("ebhost_plugin_current", &[("plugin", "misbehaving")]) == Some(0.0)
    });
    assert_eq!(up(&served, "misbehaving"), Some(1.0), "the pinned version goes on");
    assert!(host.log().text().contains("changed since it was pinned?"), "{}", host.log().text());
    host.stop();
}

#[test]
fn the_host_does_not_start_with_pins_that_do_not_parse() {
    needs!(Root);
    let folder = Folder::with_biolatency();
    let file = folder.path().join("pins");
    fs::write(&file, "0123  biolatency/plugin.yaml\n").expect("our own file");
    let ended = Start::with(folder.path()).args(&["--trust.pins", &file.display().to_string()]).ended();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.log.text());
    assert!(
        ended.log.text().contains("pins:1: found `0123  biolatency/plugin.yaml`, expected a sha256"),
        "{}",
        ended.log.text()
    );
}
