//! Requests that the kernel hid from biolatency's programs, told apart from requests that were lost.

use crate::{
    disk::{Disk, Stat},
    ebhost::Ebhost,
    exposition::Exposition,
    fio::Fio,
};

/// The fewest of so many requests that biolatency must have counted: the kernel hides some from every program (see `tests/kernel/counts.rs`),
/// on a busy machine one in forty.
pub fn fewest_counted(requests: f64) -> f64 {
    requests - 5.0 - requests / 20.0
}

/// The reads of a disk that biolatency has counted, once the disk is at rest: those that the kernel has counted since `before`, or a few less, as
/// it hides some from every program (see `tests/kernel/counts.rs`).
#[track_caller]
pub fn reads_counted(host: &Ebhost, disk: &Disk, before: Stat) -> f64 {
    requests_counted(host, disk, before)[0]
}

/// The same of reads and writes.
#[track_caller]
pub fn requests_counted(host: &Ebhost, disk: &Disk, before: Stat) -> [f64; 2] {
    let (served, now) = disk.at_rest(|| host.scrape());
    let done = now - before;
    [("read", done.reads), ("write", done.writes)].map(|(operation, kernel)| {
        let labels = [("device", disk.name()), ("operation", operation)];
        let counted = served.value("ebhost_bio_latency_seconds_count", &labels).unwrap_or_default();
        let kernel = kernel as f64;
        assert!(
            (fewest_counted(kernel)..=kernel).contains(&counted),
            "{counted} of {kernel} requests ({operation}) are counted"
        );
        counted
    })
}

/// Requests of all disks of which biolatency saw one end and not the other.
pub fn reported_as_lost(served: &Exposition) -> f64 {
    let samples = served.samples().filter(|sample| sample.name == "ebhost_bio_latency_lost_total");
    samples.filter(|sample| matches!(&*sample.labels["reason"], "no_start" | "no_end")).map(|sample| sample.value).sum()
}

/// Asserts that the requests of a disk that are missing are among those that biolatency reports as lost; `before` is what it had
/// reported when they began.
#[track_caller]
pub fn assert_reported_as_lost(disk: &Disk, missing: u64, before: f64, scrape: impl FnOnce() -> Exposition) {
    // A start is known to have lost its end when its tag is used again: more requests at once than there are tags use each of them.
    Fio::run(&disk.device(), &["--rw=randread", "--bs=4k", "--ioengine=libaio", "--iodepth=512", "--number_ios=4096"]);
    let reported = reported_as_lost(&scrape()) - before;
    // The kernel counts the preflush of an fsync twice: as a flush, and its empty bio as a write.
    assert!(missing as f64 <= 2.0 * reported, "{missing} requests are missing, and {reported} reported as lost");
}
