//! Recordings: of this machine under load, replayed elsewhere; golden files.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use ebhost_tests::{Folder, binary, needs, workspace};

use crate::{ebhost, fixture, said};

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("our own folder");
    for entry in fs::read_dir(from).expect("a fixture") {
        let entry = entry.expect("a fixture");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("our own folder");
    }
}

#[test]
fn a_recording_of_this_machine_replays_to_the_same_bytes_as_nobody_without_sys_and_proc() {
    needs!(Root, Tool("setpriv"), Tool("unshare"));
    let folder = Folder::with_biolatency();
    let (package, file) = (folder.path().join("biolatency"), folder.path().join("disks.jsonl"));
    let load = folder.path().join("load");
    let recording = Command::new(binary())
        .args(["record", "--for", "3s", "--reads", "2", "-o"])
        .args([&file, &package])
        .spawn()
        .expect("the binary");
    // Something for the disk to do, if this folder lies on one.
    for _ in 0..20 {
        fs::write(&load, vec![7; 1 << 20]).expect("our own file");
        fs::File::open(&load).and_then(|file| file.sync_all()).expect("our own file");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let ended = recording.wait_with_output().expect("our own child");
    assert!(ended.status.success(), "{}", ended.status);

    // As nobody, in a mount namespace of its own with nothing in /sys and /proc.
    let copy = folder.path().join("ebhost");
    fs::copy(binary(), &copy).expect("our own folder");
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).expect("our own file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("our own file");
    let script = "mount -t tmpfs none /sys && mount -t tmpfs none /proc && \
                  exec setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all \"$@\"";
    let hidden = || {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script, "sh"]).arg(&copy).args(["replay"]).args([&package, &file]);
        let replayed = said(&mut command);
        assert_eq!(replayed.code, Some(0), "{}", replayed.err);
        replayed.out
    };
    let here = ebhost(&["replay", package.to_str().unwrap(), file.to_str().unwrap()], folder.path());
    assert_eq!(here.code, Some(0), "{}", here.err);
    assert!(here.out.contains("ebhost_bio_latency_lost_total{reason=\"banks_full\"} "), "{}", here.out);
    assert_eq!(hidden(), here.out);
    assert_eq!(hidden(), here.out);
}

#[test]
fn a_golden_file_is_compared_blessed_and_its_first_difference_shown() {
    let folder = Folder::new();
    let package = folder.path().join("p");
    copy(&fixture("contract-0.1.0"), &package);
    let replay = |more: &[&str]| {
        ebhost(&[&["replay", ".", "sample.jsonl", "--expect", "expected.prom"], more].concat(), &package)
    };
    let golden = package.join("expected.prom");
    let good = fs::read_to_string(&golden).expect("the fixture's");
    fs::write(&golden, good.replacen("} 41", "} 40", 1)).expect("our own file");
    let differs = replay(&[]);
    assert_eq!(differs.code, Some(1));
    assert!(
        differs.out.starts_with("expected.prom:3: differs\n  expected ") && differs.out.contains("} 41\n"),
        "{}",
        differs.out
    );
    assert_eq!(replay(&["--bless"]).code, Some(0));
    assert_eq!(fs::read_to_string(&golden).expect("written"), good);
    let told = replay(&[]).err;
    assert!(told.contains("decode  ") && told.contains("memory  ") && told.contains("series  7 of 5000"), "{told}");
}

#[test]
fn what_is_near_a_limit_is_warned_of() {
    let folder = Folder::new();
    let package = folder.path().join("p");
    copy(&fixture("contract-0.1.0"), &package);
    let yaml = package.join("plugin.yaml");
    let text = fs::read_to_string(&yaml).expect("the fixture's");
    fs::write(&yaml, text.replace("series: 5000", "series: 8")).expect("our own file");
    let told = ebhost(&["replay", ".", "sample.jsonl"], &package);
    assert!(told.err.contains("warning: 88 % of limits.series: raise it in plugin.yaml"), "{}", told.err);
}

#[test]
fn a_recording_that_cannot_be_replayed_says_why() {
    let package = fixture("contract-0.1.0");
    let folder = Folder::new();
    let file = folder.path().join("r.jsonl");
    let good = fs::read_to_string(package.join("sample.jsonl")).expect("the fixture's");
    for (from, to, says) in [
        ("\"package\":\"forks\"", "\"package\":\"spoons\"", "is of the package `spoons`, expected one of `forks`"),
        ("\"name\":\"lost\"", "\"name\":\"last\"", "has no source `lost`, which the manifest reads"),
        ("\"value_stride\":8", "\"value_stride\":16", "a struct or a map has changed since; record it again"),
        ("{\"read\"", "{\"reads\"", "r.jsonl:2: unknown variant `reads`"),
    ] {
        assert!(good.contains(from), "{from}");
        fs::write(&file, good.replacen(from, to, 1)).expect("our own file");
        let replayed = ebhost(&["replay", package.to_str().unwrap(), "r.jsonl"], folder.path());
        assert!(replayed.code == Some(2) && replayed.err.contains(says), "{}", replayed.err);
    }
}

#[test]
fn a_package_runs_in_the_terminal() {
    needs!(Root);
    let package = fixture("contract-0.1.0");
    let shown = ebhost(&["run", ".", "--for", "1s"], &package);
    assert_eq!(shown.code, Some(0), "{}", shown.err);
    assert!(
        shown.out.contains("\nforks_events_total: What processes did, by event and command name.\n  event"),
        "{}",
        shown.out
    );
    let own = shown.out.lines().find(|line| line.contains("value"));
    assert!(own.is_some() && workspace().is_dir(), "{}", shown.out);
}
