//! Recordings: one made on this machine under load and replayed without the machine's files, and golden files.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::parent_id},
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

use ebhost_tests::{Disk, Exposition, Fio, Folder, Format, binary, needs, workspace};

use crate::{counting::Counting, ebhost, fixture};

#[test]
fn a_recording_of_this_machine_under_fio_replays_to_the_same_bytes_as_nobody_without_sys_and_proc() {
    needs!(Root, Tool("fio"), Tool("setpriv"), Tool("unshare"));
    let (folder, disk) = (Folder::with_biolatency(), Disk::in_memory());
    let (package, file) = (folder.path().join("biolatency"), folder.path().join("disks.jsonl"));
    // A request that the kernel hides from every program is in no recording; see `kernel/counts.rs`.
    let exact = (0..10).find_map(|_| {
        let fio = record(&package, &file, &disk);
        let here = ebhost(&["replay", package.to_str().unwrap(), file.to_str().unwrap()], folder.path());
        assert_eq!(here.code, Some(0), "{}", here.err);
        is_all_of(&Exposition::parse(&here.out, Format::Text).expect("sound text"), &disk, &fio).then_some(here)
    });
    let here = exact.expect("a recording of all that fio did");

    // As the user nobody, in a mount namespace with empty /sys and /proc.
    let copy = folder.path().join("ebhost");
    fs::copy(binary(), &copy).expect("our own folder");
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).expect("our own file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("our own file");
    let script = "mount -t tmpfs none /sys && mount -t tmpfs none /proc && test -z \"$(ls /sys /proc | grep -v :)\" && \
                  exec setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all \"$@\"";
    let hidden = || {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script, "sh"]).arg(&copy).args(["replay"]).args([&package, &file]);
        let replayed = crate::said(&mut command);
        assert_eq!(replayed.code, Some(0), "{}", replayed.err);
        replayed.out
    };
    assert_eq!(hidden(), here.out);
    assert_eq!(hidden(), here.out);
}

/// Records biolatency while fio reads and writes.
fn record(package: &Path, file: &Path, disk: &Disk) -> Fio {
    let before = disk.stat();
    let record = Counting::start(&["record".as_ref(), "-o".as_ref(), file.as_os_str(), package.as_os_str()]);
    let fio = Fio::run(&disk.device(), &["--rw=randrw", "--bs=4k", "--number_ios=3000", "--size=64m"]);
    let said = record.end();
    assert!(said.contains("1 reads within "), "{said}");
    let done = disk.stat() - before;
    assert!(fio.reads.count > 1000 && (done.reads, done.writes) == (fio.reads.count, fio.writes.count), "{done:?}");
    fio
}

/// Whether the recording has exactly fio's requests, under the name that the disk had when it was recorded. A few may
/// be missing; none may be extra.
fn is_all_of(shown: &Exposition, disk: &Disk, fio: &Fio) -> bool {
    [("read", &fio.reads), ("write", &fio.writes)].into_iter().all(|(operation, side)| {
        let labels = [("device", disk.name()), ("operation", operation)];
        let latency = shown.histogram("ebhost_bio_latency_seconds", &labels).expect("the disk's latency");
        let is_near = latency.count <= side.count && latency.count * 100 >= side.count * 99;
        assert!(is_near, "{operation}: {} recorded of {}", latency.count, side.count);
        assert!(latency.sum > 0.0 && latency.mean() < side.mean.as_secs_f64() * 1.5, "{operation}: {latency:?}");
        latency.count == side.count
    })
}

#[test]
fn a_golden_file_is_compared_and_blessed_and_its_first_difference_is_shown() {
    let folder = Folder::new();
    let package = folder.copy(&fixture("contract-0.1.0"));
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
    assert!(["decode  ", "memory  ", "answer  ", "series  7 of 5000"].iter().all(|line| told.contains(line)), "{told}");
}

#[test]
fn replay_warns_of_values_near_a_limit() {
    let folder = Folder::new();
    let package = folder.copy(&fixture("contract-0.1.0"));
    let yaml = package.join("plugin.yaml");
    let text = fs::read_to_string(&yaml).expect("the fixture's");
    fs::write(&yaml, text.replace("series: 5000", "series: 8")).expect("our own file");
    let told = ebhost(&["replay", ".", "sample.jsonl"], &package);
    assert!(told.err.contains("warning: 88 % of limits.series: raise it in plugin.yaml"), "{}", told.err);
    // The component has 17 pages of memory, a sixteenth more than 1 MiB.
    fs::write(&yaml, text.replace("memory: 16MiB", "memory: 1200KiB")).expect("our own file");
    let told = ebhost(&["replay", ".", "sample.jsonl"], &package);
    assert!(told.err.contains(" % of limits.memory: raise it in plugin.yaml"), "{}", told.err);
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

/// A package with the fixture `mistaken`, which does what its config names.
fn mistaken(folder: &Folder, object: &Path, yaml: &str) -> std::path::PathBuf {
    let package = folder.path().join("mistaken");
    fs::create_dir(&package).expect("our own folder");
    for (from, to) in [(&*fixture("mistaken/mistaken.wasm"), "mistaken.wasm"), (object, "object.bpf.o")] {
        fs::copy(from, package.join(to)).expect("our own folder");
    }
    let yaml = format!("name: mistaken\ncomponent: mistaken.wasm\n{yaml}\n");
    fs::write(package.join("plugin.yaml"), yaml).expect("our own file");
    package
}

/// A recording of the map `events`, with these entries in each read; an entry is the first byte of its key.
fn recording(folder: &Folder, reads: &[&[u8]]) -> std::path::PathBuf {
    let mut text = "{\"recording\":{\"version\":1,\"package\":\"mistaken\",\"by\":\"hand\"}}\n".to_owned();
    for keys in reads {
        let rows = keys.len();
        text += &format!(
            "{{\"read\":{{\"at_ms\":1}}}}\n{{\"source\":{{\"name\":\"events\",\"keys\":\"bytes\",\"key_size\":20,\"value_stride\":8,\"cpus\":1,\
             \"rows\":{rows},\"complete\":true}}}}\n"
        );
        for key in *keys {
            text += &format!("{{\"row\":{{\"key\":\"{key:02x}{:038}\",\"values\":[\"05\"]}}}}\n", 0);
        }
    }
    let file = folder.path().join("hand.jsonl");
    fs::write(&file, text).expect("our own file");
    file
}

fn replay(package: &Path, file: &Path) -> crate::Said {
    ebhost(&["replay", package.to_str().unwrap(), file.to_str().unwrap()], Path::new("/"))
}

/// On a slow or emulated machine a call exceeded `limits.decode`, and the replay lacked what it was about.
#[test]
fn a_slow_machine_replays_the_same_text() {
    let folder = Folder::new();
    let yaml = "bpf: { object: object.bpf.o }\nconfig: { mistake: slow }\nlimits: { decode: 1ms }";
    let package = mistaken(&folder, &fixture("contract-0.1.0/forks.bpf.o"), yaml);
    let replayed = replay(&package, &recording(&folder, &[&[1, 2], &[1, 2, 3]]));
    assert_eq!(replayed.code, Some(0), "{}", replayed.err);
    assert!(replayed.out.contains("ebhost_mistaken_total{what=\"a\"} 15\n"), "{}", replayed.out);
    assert!(replayed.err.contains(" % of limits.decode: raise it in plugin.yaml"), "{}", replayed.err);
}

/// After a read in which the component failed it backed off, so the next read was labelled only if the machine was slow enough.
#[test]
fn a_component_that_failed_is_asked_again_in_the_next_read() {
    let folder = Folder::new();
    let yaml = "bpf: { object: object.bpf.o }\nconfig: { mistake: trap }";
    let package = mistaken(&folder, &fixture("contract-0.1.0/forks.bpf.o"), yaml);
    let replayed = replay(&package, &recording(&folder, &[&[255], &[255, 1]]));
    assert_eq!(replayed.code, Some(0), "{}", replayed.err);
    assert!(replayed.out.contains("ebhost_mistaken_total{what=\"a\"} 5\n"), "{}", replayed.out);
    assert!(replayed.err.contains("times: trap"), "{}", replayed.err);
}

#[test]
fn a_replay_takes_another_configuration_than_the_packages() {
    let folder = Folder::new();
    let yaml = "bpf: { object: object.bpf.o }\nconfig: { mistake: refuse }";
    let package = mistaken(&folder, &fixture("contract-0.1.0/forks.bpf.o"), yaml);
    let file = recording(&folder, &[&[1]]);
    assert!(replay(&package, &file).err.contains("found no `disk`, expected its name"));
    fs::write(folder.path().join("other.yaml"), "mistake: none").expect("our own file");
    let args = ["replay", package.to_str().unwrap(), file.to_str().unwrap(), "--config", "other.yaml"];
    let replayed = ebhost(&args, folder.path());
    assert_eq!(replayed.code, Some(0), "{}", replayed.err);
    assert!(replayed.out.contains("ebhost_mistaken_total{what=\"a\"} 5\n"), "{}", replayed.out);
}

/// Only what its first view saw of a buffer was recorded: a view that asks for longer events made the replay panic, and a view of events
/// without any bytes could not be replayed.
#[test]
fn several_views_of_one_event_buffer_replay_what_they_saw() {
    needs!(Root);
    let folder = Folder::new();
    let yaml = format!(
        "bpf:\n  object: object.bpf.o\n  programs: [getppid]\n  globals: {{ targ_tgid: {}, targ_getppid: {} }}\nconfig: {{ mistake: buffer }}",
        std::process::id(),
        libc::SYS_getppid
    );
    let package = mistaken(&folder, &workspace().join("bench/packages/maps/maps.bpf.o"), &yaml);
    let file = folder.path().join("events.jsonl");
    let record = Counting::start(&["record".as_ref(), "-o".as_ref(), file.as_os_str(), package.as_os_str()]);
    for _ in 0..5 {
        // So few that the buffer of 4 KiB has room until it is drained.
        for _ in 0..40 {
            let _ = parent_id();
        }
        thread::sleep(Duration::from_millis(100));
    }
    record.end();
    let replayed = replay(&package, &file);
    assert_eq!(replayed.code, Some(0), "{}", replayed.err);
    let counts = [24, 16, 8, 0].map(|length| {
        let name = format!("ebhost_of_{length}_bytes_total ");
        replayed.out.lines().find_map(|line| line.strip_prefix(&name)).map(str::to_owned)
    });
    // Each event has 16 bytes.
    assert_eq!(
        counts,
        [None, Some("200".to_owned()), Some("200".to_owned()), Some("200".to_owned())],
        "{}",
        replayed.out
    );
}
