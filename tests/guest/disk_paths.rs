//! Disks with several paths: NVMe's own multipath, where requests are those of hidden disks, and dm's, where a request is completed twice.

use ebhost_tests::needs;

use crate::{
    disk::{put_biolatency, stat},
    guest::Guest,
};

const READS: u64 = 1000;

/// Reads through an NVMe multipath disk. The requests are those of the hidden disk `nvme0c0n1`, which has no number in /sys.
fn nvme_multipath(line: &str) {
    let guest = Guest::x86(line, "nvme-init").with_parameters("nvme_core.multipath=Y");
    let image = guest.disk_image(16 << 20);
    let devices = format!(
        "-device nvme-subsys,id=s -device nvme,serial=a,subsys=s,id=c0 -drive file={},if=none,id=n,format=raw \
         -device nvme-ns,drive=n,bus=c0,shared=on",
        image.display()
    );
    let guest = guest.with_devices(&devices);
    guest.put_ebhost();
    put_biolatency(&guest);
    let console = guest.boot();
    let disks = console.section("disks");
    assert!(disks.contains("nvme0c0n1") && disks.contains("nvme0n1"), "the disk has no paths here: {disks}");
    let served = console.served("metrics");
    let (before, after) = (stat(&console, "path before"), stat(&console, "path after"));
    let completed = after[0] - before[0];
    assert!(completed >= READS, "the kernel completed {completed} of {READS}");
    let labels = [("device", "nvme0n1"), ("operation", "read")];
    let histogram = served.histogram("ebhost_bio_latency_seconds", &labels);
    let histogram =
        histogram.unwrap_or_else(|| panic!("the disk is not served; the log:\n{}", console.section("log disk")));
    assert_eq!(histogram.count, completed);
    assert!(!served.samples().any(|sample| sample.labels.get("device").is_some_and(|name| name == "nvme0c0n1")));
}

#[test]
fn reads_of_an_nvme_multipath_disk_are_under_its_name_on_6_1() {
    needs!(Guest);
    nvme_multipath("6.1");
}

#[test]
fn reads_of_an_nvme_multipath_disk_are_under_its_name_on_6_12() {
    needs!(Guest);
    nvme_multipath("6.12");
}

#[test]
fn reads_of_an_nvme_multipath_disk_are_under_its_name_on_the_newest_kernel() {
    needs!(Guest);
    nvme_multipath("7.3");
}

/// Reads, writes and discards through request-based dm-multipath over two paths of a SCSI disk. dm completes a request with its bytes when the
/// path's request is complete, and once more without bytes.
fn dm_multipath(line: &str) {
    let guest = Guest::x86(line, "dm-init");
    guest.put_modules(&["sd_mod", "scsi_debug", "dm_multipath", "dm_round_robin"]);
    guest.put_tool("dmsetup");
    guest.put_ebhost();
    put_biolatency(&guest);
    let console = guest.boot();
    let served = console.served("metrics");
    let (before, after) = (stat(&console, "stat before"), stat(&console, "stat after"));
    for (operation, field, done) in [("read", 0, READS), ("write", 4, 100), ("discard", 11, 1)] {
        let completed = after[field] - before[field];
        assert!(completed >= done, "{operation}: the kernel completed {completed} of {done}");
        let labels = [("device", "dm-0"), ("operation", operation)];
        let count = served.histogram("ebhost_bio_latency_seconds", &labels).map(|histogram| histogram.count);
        assert_eq!(count, Some(completed), "{operation}");
    }
    for reason in ["banks_full", "starts_full", "no_start", "no_end"] {
        let lost = served.value("ebhost_bio_latency_lost_total", &[("reason", reason)]);
        assert_eq!(lost, Some(0.0), "{reason}");
    }
}

#[test]
fn requests_of_dm_multipath_are_counted_once_and_none_is_lost_on_6_1() {
    needs!(Guest, Tool("dmsetup"));
    dm_multipath("6.1");
}

#[test]
fn requests_of_dm_multipath_are_counted_once_and_none_is_lost_on_6_12() {
    needs!(Guest, Tool("dmsetup"));
    dm_multipath("6.12");
}

#[test]
fn requests_of_dm_multipath_are_counted_once_and_none_is_lost_on_the_newest_kernel() {
    needs!(Guest, Tool("dmsetup"));
    dm_multipath("7.3");
}
