//! Pages that flusher threads write, against the size of a file and the kernel's count of the device.

use std::{fs, process::Command, time::Duration};

use ebhost_tests::{Disk, Ebhost, Exposition, Folder, alone, committed, needs, output, wait_until};

const PAGES: u64 = 8192;

/// Pages written to a device for all reasons, and for the reason `sync`.
fn written(served: &Exposition, device: &str) -> (f64, f64) {
    let family = "ebhost_writeback_pages_total";
    let of_device = served.samples().filter(|sample| sample.name == family && sample.labels["device"] == device);
    let sync = served.value(family, &[("device", device), ("reason", "sync")]).unwrap_or_default();
    (of_device.map(|sample| sample.value).sum(), sync)
}

/// The pages that the kernel has written to a disk, whoever wanted it.
fn counted_by_the_kernel(disk: &Disk) -> f64 {
    let file = format!("/sys/kernel/debug/bdi/{}/stats", disk.number());
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let line = text.lines().find_map(|line| line.strip_prefix("BdiWritten:")).expect("a line of every kernel");
    let bytes: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    bytes / 4.0
}

#[test]
fn pages_that_a_sync_writes_are_those_of_the_file() {
    needs!(Root, Tool("mkfs.ext4"), File("/sys/kernel/debug/bdi"));
    let _alone = alone();
    let folder = Folder::new();
    folder.copy(&committed().join("writeback"));
    let disk = Disk::in_memory();
    // Nothing is written but what the test writes.
    output(Command::new("mkfs.ext4").args(["-q", "-E", "lazy_itable_init=0,lazy_journal_init=0"]).arg(disk.device()));
    let mounted = disk.mount();
    output(Command::new("sync").arg("-f").arg(mounted.path()));
    let host = Ebhost::start(folder.path());
    let (first, kernel_first) = (written(&host.scrape(), disk.name()), counted_by_the_kernel(&disk));
    fs::write(mounted.path().join("file"), vec![1; 4096 * PAGES as usize]).expect("a disk with room");
    output(Command::new("sync").arg("-f").arg(mounted.path()));
    // The pass ends a moment after `sync` has returned.
    let served = wait_until("all pages", Duration::from_secs(60), || {
        Some(host.scrape()).filter(|served| written(served, disk.name()).0 - first.0 >= PAGES as f64)
    });
    let last = written(&served, disk.name());
    let (all, sync, kernel) = (last.0 - first.0, last.1 - first.1, counted_by_the_kernel(&disk) - kernel_first);
    eprintln!("{all} pages, {sync} of them for sync; the kernel wrote {kernel}");
    // The journal and a few blocks of metadata are written by others. The kernel counts in batches for each CPU.
    assert!(all >= PAGES as f64 && all <= PAGES as f64 + 64.0, "{all} pages of {PAGES}");
    assert!(sync > 0.0);
    assert!(kernel >= all - 64.0, "{all} pages, the kernel wrote {kernel}");
    let passes = served.histogram("ebhost_writeback_seconds", &[("device", disk.name())]).expect("there was one");
    assert!(passes.count >= 1 && passes.sum > 0.0, "{passes:?}");
    host.stop();
}
