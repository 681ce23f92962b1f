//! The block layer of other kernels: the programs find their arguments and fields by BTF there too, and count what the
//! kernel counts. The disk is a null_blk device on which every request takes 10 ms.

use ebhost_tests::{committed, needs};

use crate::guest::{Console, Guest};

/// Boots the newest kernel of a series, makes 100 reads and 50 writes, and compares the host's counts with the
/// kernel's.
fn counts_equal_the_kernels_on(line: &str) {
    let guest = Guest::x86(line, "disk-init");
    guest.put_ebhost();
    for module in ["configfs", "null_blk"] {
        guest.put_module(module);
    }
    put_biolatency(&guest);
    let console = guest.boot();
    assert!(console.section("release").starts_with(line), "{}", console.section("release"));
    let log = console.section("log disk");
    assert!(log.contains("package runs"), "{log}");
    let served = console.served("metrics");
    let (before, after) = (stat(&console, "stat before"), stat(&console, "stat after"));
    for (operation, field, done) in [("read", 0, 100), ("write", 4, 50)] {
        // The kernel reads the partition table before the host has started.
        let completed = after[field] - before[field];
        assert!(completed >= done, "{operation}: the kernel completed {completed} of {done}");
        let labels = [("device", "nullb0"), ("operation", operation)];
        let histogram = served.histogram("ebhost_bio_latency_seconds", &labels).expect("the disk is served");
        assert_eq!(histogram.count, completed, "{operation}");
        assert_eq!(histogram.at_most(0.008192), 0, "{operation}: none took less than 10 ms");
        assert!(histogram.mean() >= 0.01, "{operation}: 10 ms each, {} s in the mean", histogram.mean());
    }
    let lost = served.value("ebhost_bio_latency_lost_total", &[("reason", "no_start")]);
    assert_eq!(lost, Some(0.0));
}

pub(crate) fn put_biolatency(guest: &Guest) {
    for file in ["plugin.yaml", "biolatency.wasm", "biolatency.bpf.o"] {
        guest.put(&committed().join("biolatency").join(file), &format!("plugins/disk/biolatency/{file}"));
    }
}

/// The numbers of a disk's `stat` in a section.
pub(crate) fn stat(console: &Console, section: &str) -> Vec<u64> {
    console.numbers(section).into_iter().map(|number| number as u64).collect()
}

#[test]
fn counts_equal_the_kernels_on_5_10() {
    needs!(Guest);
    counts_equal_the_kernels_on("5.10");
}

#[test]
fn counts_equal_the_kernels_on_6_1() {
    needs!(Guest);
    counts_equal_the_kernels_on("6.1");
}
