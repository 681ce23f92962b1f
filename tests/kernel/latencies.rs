//! Latencies are correct: on a disk on which every request takes a known time, nearly all requests are in the bucket
//! that contains it, none is below, and the mean equals fio's.
//!
//! A busy machine makes such a disk slower than configured. fio, which is independent of ebhost, shows whether that
//! happened; only then is a run repeated. On a machine that is busy all the time the mean is compared with the kernel's
//! own account, which a disk of any speed has.

use std::time::Duration;

use ebhost_tests::{
    Disk, Ebhost, Exposition, Fio, Histogram, Side, Throttled, alone, committed, fewest_counted, needs,
};

use crate::from_insertion;

/// A delay in the middle of a bucket, and the bounds of the bucket in seconds.
struct Known {
    delay: Duration,
    above: f64,
    up_to: f64,
}

const SHORT: Known = Known { delay: Duration::from_millis(3), above: 0.002048, up_to: 0.004096 };
const LONG: Known = Known { delay: Duration::from_millis(12), above: 0.008192, up_to: 0.016384 };

const READ: [&str; 4] = ["--rw=randread", "--bs=4k", "--number_ios=300", "--nice=-20"];
const WRITE: [&str; 4] = ["--rw=randwrite", "--bs=4k", "--number_ios=300", "--nice=-20"];
const RUNS: usize = 6;

/// Tests the fixture: if this fails, the other tests say nothing about ebhost.
#[test]
fn a_slow_disk_is_as_slow_as_it_says() {
    needs!(Root, Fuse, Tool("fio"));
    let _alone = alone();
    let disk = Disk::delayed(LONG.delay);
    let before = disk.stat();
    let fio = Fio::run(&disk.device(), &["--rw=randread", "--bs=4k", "--number_ios=50"]);
    assert_eq!(fio.reads.count, 50);
    assert!((disk.stat() - before).reads >= 50, "{:?}", disk.stat() - before);
    assert!(fio.reads.mean >= LONG.delay, "{:?}", fio.reads.mean);
    // On a busy machine some take longer.
    assert!(fio.reads.within(LONG.delay.mul_f64(1.5)) > 0, "{:?}", fio.reads);
}

#[test]
fn reads_of_3_ms_are_in_the_right_bucket() {
    needs!(Root, Fuse, Tool("fio"));
    assert_latencies(&SHORT, "read", &READ, |fio| &fio.reads);
}

#[test]
fn reads_of_12_ms_are_in_the_right_bucket() {
    needs!(Root, Fuse, Tool("fio"));
    assert_latencies(&LONG, "read", &READ, |fio| &fio.reads);
}

#[test]
fn writes_of_12_ms_are_in_the_right_bucket() {
    needs!(Root, Fuse, Tool("fio"));
    assert_latencies(&LONG, "write", &WRITE, |fio| &fio.writes);
}

/// Eight requests at a time: each completion is matched with its own start, not with another request's.
#[test]
fn overlapping_reads_have_their_own_latencies() {
    needs!(Root, Fuse, Tool("fio"));
    let overlapping = [&READ[..], &["--ioengine=libaio", "--iodepth=8"]].concat();
    assert_latencies(&LONG, "read", &overlapping, |fio| &fio.reads);
}

/// An I/O that is throttled waits before it becomes a request: fio's latency includes the wait, the disk's does not.
#[test]
fn a_throttle_does_not_shift_latencies() {
    needs!(Root, Fuse, Tool("fio"), BlkThrottle);
    let _alone = alone();
    let disk = Disk::delayed(SHORT.delay);
    let host = Ebhost::start(&committed());
    let throttled = Throttled::reads(&disk, 25);
    let fio =
        Fio::run_by(throttled.starter().arg("fio"), &disk.device(), &["--rw=randread", "--bs=4k", "--number_ios=75"]);
    assert!(fio.reads.mean > 5 * SHORT.delay, "the throttle does not throttle: {:?}", fio.reads.mean);
    let served = histogram(&disk.at_rest(|| host.scrape()).0, &disk, "read");
    assert_eq!(served.at_most(SHORT.above), 0, "faster than the disk can be: {served:?}");
    let (own, waiting) = (served.mean(), fio.reads.mean.as_secs_f64());
    let shift = (own - SHORT.delay.as_secs_f64()) / waiting;
    assert!((0.0..0.1).contains(&shift), "mean {own} s of a disk that takes {:?}, fio's is {waiting} s", SHORT.delay);
    host.stop();
}

/// The disk takes 128 requests at a time and fio keeps 200 in flight: the others wait in the scheduler, inserted but
/// not issued.
#[test]
fn waiting_in_the_scheduler_counts_from_insertion_only() {
    needs!(Root, Fuse, Tool("fio"));
    let _alone = alone();
    let delay = Duration::from_millis(48);
    let disk = Disk::delayed(delay);
    disk.set("queue/scheduler", "mq-deadline");
    let (folder, plain) = (from_insertion(), Ebhost::start(&committed()));
    let queued = Ebhost::start(folder.path());
    let deep = ["--rw=randread", "--bs=4k", "--number_ios=3000", "--ioengine=libaio", "--iodepth=200", "--nice=-20"];
    let fio = Fio::run(&disk.device(), &deep);
    let ((from_issue, from_insertion), _) = disk.at_rest(|| (plain.scrape(), queued.scrape()));
    let (from_issue, from_insertion) =
        (histogram(&from_issue, &disk, "read").mean(), histogram(&from_insertion, &disk, "read").mean());

    let (delay, by_fio) = (delay.as_secs_f64(), fio.reads.mean.as_secs_f64());
    assert!(from_issue >= delay, "{from_issue} s from issue, of a disk that takes {delay} s");
    // The scheduler holds 72 of the 200 requests in flight, so waiting is a third of the time at any speed of the disk, which on a busy machine is
    // slower than configured.
    let waiting = (from_insertion - from_issue) / from_insertion;
    assert!(
        waiting > 0.2,
        "{waiting} of the time is waiting: {from_issue} s from issue, {from_insertion} s from insertion"
    );
    let of_fio = from_insertion / by_fio;
    assert!((0.6..1.05).contains(&of_fio), "{from_insertion} s from insertion, by fio {by_fio} s");
    plain.stop();
    queued.stop();
}

fn assert_latencies(known: &Known, operation: &str, args: &[&str], side: fn(&Fio) -> &Side) {
    let _alone = alone();
    let was_quiet = (0..RUNS).any(|_| {
        let disk = Disk::delayed(known.delay);
        let host = Ebhost::start(&committed());
        let before = disk.times();
        let fio = Fio::run(&disk.device(), args);
        let ((served, times), _) = disk.at_rest(|| (host.scrape(), disk.times()));
        host.stop();
        let (served, fio) = (histogram(&served, &disk, operation), side(&fio));
        // The kernel may have hidden some from every program, on a busy machine more of them; see counts.rs.
        assert!(fio.count == 300 && served.count as f64 >= fewest_counted(300.0), "{fio:?}, {served:?}");
        let which = usize::from(operation == "write");
        assert_mean(&served, (times[which] - before[which]).as_secs_f64() / fio.count as f64);
        matches(known, &served, fio)
    });
    if !was_quiet {
        eprintln!("in {RUNS} runs the disk was never as fast as configured; only means were compared");
    }
}

/// The kernel accounts for a request from the moment in which it has one, which may be a moment before the disk does, to the same end.
fn assert_mean(served: &Histogram, by_kernel: f64) {
    let ratio = served.mean() / by_kernel;
    assert!((0.9..1.02).contains(&ratio), "mean {} s, by the kernel's account {by_kernel} s", served.mean());
}

/// Compares the served histogram with the disk's delay and with fio; returns false if the disk was slower than its
/// delay.
fn matches(known: &Known, served: &Histogram, fio: &Side) -> bool {
    assert_eq!(served.at_most(known.above), 0, "faster than the disk can be: {served:?}");
    // True on any machine: a request that returned to fio in time has completed in time.
    let (within, by_fio) = (served.at_most(known.up_to), fio.within(Duration::from_secs_f64(known.up_to)));
    let hidden = fio.count - served.count;
    assert!(within + hidden + 5 >= by_fio, "{within} within {} s, by fio {by_fio}: {served:?}", known.up_to);
    if by_fio * 100 < fio.count * 95 || fio.mean > known.delay.mul_f64(1.15) {
        return false;
    }
    assert!(within * 100 >= served.count * 95, "{within} of {} in the right bucket: {served:?}", served.count);
    let ratio = served.mean() / fio.mean.as_secs_f64();
    assert!((0.95..1.05).contains(&ratio), "mean {} s, fio's is {:?}", served.mean(), fio.mean);
    true
}

fn histogram(served: &Exposition, disk: &Disk, operation: &str) -> Histogram {
    let labels = [("device", disk.name()), ("operation", operation)];
    served.histogram("ebhost_bio_latency_seconds", &labels).unwrap_or_else(|| panic!("{labels:?} is not served"))
}
