//! Pins: what an operator did not look at does not run.

use std::{fs, process::Command};

use ebhost_tests::{Folder, Start, alone, needs, output};

use crate::rig::{Sinner, scrape, start, until};

fn pins(folder: &Folder) -> String {
    let list = "sha256sum */plugin.yaml */*.wasm */*.bpf.o";
    output(Command::new("sh").args(["-c", list]).current_dir(folder.path()))
}

#[test]
fn only_pinned_packages_bring_bpf() {
    needs!(Root, Tool("sha256sum"));
    let _alone = alone();
    let sinner = Sinner { folder: Folder::with_biolatency() };
    // Not in the plugin folder, which is readable anyway.
    let elsewhere = Folder::new();
    let file = elsewhere.path().join("pins");
    fs::write(&file, pins(&sinner.folder)).expect("our own file");
    sinner.add("sinner", "sin: none");
    let host = start(&sinner.folder, &["--trust.pins", &file.display().to_string()]);
    let served = scrape(&host);
    let up = |served: &ebhost_tests::Exposition, plugin| served.value("ebhost_plugin_up", &[("plugin", plugin)]);
    assert_eq!((up(&served, "biolatency"), up(&served, "sinner")), (Some(1.0), Some(0.0)));
    let said = host.log().text();
    for part in [
        "sinner/plugin.yaml: ",
        " does not pin it, and only pinned packages may bring BPF",
        "look at the file, then add",
    ] {
        assert!(said.contains(part), "expected `{part}` in: {said}");
    }

    // As editors and `mv` replace a file: it is another file, which has to be readable too.
    let beside = elsewhere.path().join("pins.new");
    fs::write(&beside, pins(&sinner.folder)).and_then(|()| fs::rename(&beside, &file)).expect("our own files");
    host.hang_up();
    until(&host, "the pin is taken", |served| up(served, "sinner") == Some(1.0));

    sinner.sin(&host, "sin: trap", "");
    let served = until(&host, "the change is refused", |served| {
        served.value("ebhost_plugin_current", &[("plugin", "sinner")]) == Some(0.0)
    });
    assert_eq!(up(&served, "sinner"), Some(1.0), "the version that was pinned goes on");
    assert!(host.log().text().contains("changed since it was pinned?"), "{}", host.log().text());
    host.stop();
}

#[test]
fn pins_that_cannot_be_read_end_the_start() {
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
