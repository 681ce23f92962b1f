//! The host on kernels that this machine does not run, in a small guest under qemu: the programs find their arguments
//! and fields by BTF there too, and count what the kernel counts.
//!
//! Kernels are Debian's, fetched with apt and unpacked into a cache folder, never installed. Each guest has one disk, made by
//! null_blk, whose every request takes 10 ms.

mod guest;

use ebhost_tests::{Exposition, Format, needs};
use guest::{Console, Guest};

/// Boots the newest kernel of a line, does 100 reads and 50 writes, and holds the host's counts against the kernel's.
fn counts_are_the_kernels_on(line: &str) {
    let console = Guest::new(line).boot();
    assert!(console.section("release").starts_with(line), "{}", console.section("release"));
    let log = console.section("log");
    assert!(log.contains("package runs"), "{log}");
    let served = Exposition::parse(&metrics(&console), Format::Text).unwrap_or_else(|fault| panic!("{fault}"));
    let (before, after) = (stat(&console, "stat before"), stat(&console, "stat after"));
    for (operation, field, done) in [("read", 0, 100), ("write", 4, 50)] {
        // The partition table was looked for before the host was there.
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

fn stat(console: &Console, section: &str) -> Vec<u64> {
    console.section(section).split_whitespace().map(|field| field.parse().expect("stat holds numbers")).collect()
}

fn metrics(console: &Console) -> String {
    format!("{}\n", console.section("metrics"))
}

#[test]
fn counts_are_the_kernels_on_5_10() {
    needs!(Tool("qemu-system-x86_64"), Tool("busybox"), Tool("cpio"), Tool("apt-get"), Tool("dpkg-deb"));
    counts_are_the_kernels_on("5.10");
}

#[test]
fn counts_are_the_kernels_on_6_1() {
    needs!(Tool("qemu-system-x86_64"), Tool("busybox"), Tool("cpio"), Tool("apt-get"), Tool("dpkg-deb"));
    counts_are_the_kernels_on("6.1");
}
